"""The package as pip knows it: its name, its version, and another project that has the same import name.

The distribution is called tinytrain-mcu, because tinytrain on PyPI is another project. Command and import are
`tinytrain` for both, so that of two in one environment the one that was installed last has overwritten the other.
"""

from importlib import metadata

from tinytrain.errors import UserError

NAME, OTHER = "tinytrain-mcu", "tinytrain"


def version() -> str:
    """Returns the version that is installed."""
    return metadata.version(NAME)


def refuse_clash() -> None:
    """Raises UserError if the other project, or a version of this one from before 0.2, is installed as well."""
    try:
        other = metadata.version(OTHER)
    except metadata.PackageNotFoundError:
        return
    raise UserError(
        f"the package {OTHER} {other} is installed, another project that has the import name of {NAME}: "
        f"pip uninstall {OTHER} {NAME}, then pip install {NAME} again"
    )
