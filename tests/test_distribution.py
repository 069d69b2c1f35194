"""Another project on PyPI has the import name tinytrain."""

from importlib import metadata

import pytest

from tinytrain import distribution
from tinytrain.errors import UserError


def installed(monkeypatch, **versions):
    """Makes pip know these packages alone."""

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", lambda name: version(name.replace("-", "_")))


def test_the_other_project_beside_this_one_is_told_in_a_sentence(monkeypatch):
    installed(monkeypatch, tinytrain="0.1.0", tinytrain_mcu="0.2.0")
    with pytest.raises(UserError) as error:
        distribution.refuse_clash()
    assert str(error.value) == (
        "the package tinytrain 0.1.0 is installed, another project that has the import name of tinytrain-mcu: "
        "pip uninstall tinytrain tinytrain-mcu, then pip install tinytrain-mcu again"
    )


def test_this_project_alone_is_no_clash(monkeypatch):
    installed(monkeypatch, tinytrain_mcu="0.2.0")
    distribution.refuse_clash()
