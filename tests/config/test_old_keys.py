"""Runs of older versions: their config.toml means what it meant, and one line names the keys of today."""

import dataclasses

import pytest

from tinytrain.config import library, load
from tinytrain.errors import UserError

OLD = """
[model]
init = "default"
mean = [0.5]
deviation = [0.25]

[augment]
ablated = true
mixup = 0.0

[optim]
keep = "last"

[search]
way = "grid"
"""


def test_an_old_file_is_read_as_it_was_meant_and_one_line_names_the_new_keys(tmp_path, capfd):
    (tmp_path / "config.toml").write_text(OLD)
    config = load.load(tmp_path / "config.toml")
    assert (config.model.init, config.model.mean, config.model.std) == ("he", [0.5], [0.25])
    assert (config.optim.checkpoint, config.search.algorithm) == ("last", "grid")
    assert config.augment == load.load(library.recipe("ablated")).augment
    load.load(tmp_path / "config.toml")
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    for new in ("model.std", "optim.checkpoint", "search.algorithm", '"he"', "recipe ablated"):
        assert f"now {new}" in told or f"now the {new}" in told
    assert load.load(None, []).model.std == "none"
    assert capfd.readouterr().err == ""


def test_ablated_false_sets_nothing(tmp_path):
    (tmp_path / "config.toml").write_text("[augment]\nablated = false\nmixup = 0.3\n")
    config = load.load(tmp_path / "config.toml")
    assert config == dataclasses.replace(load.load(), augment=dataclasses.replace(load.load().augment, mixup=0.3))


def test_a_new_key_wins_over_the_old_one_beside_it(tmp_path):
    (tmp_path / "config.toml").write_text('[optim]\ncheckpoint = "best"\nkeep = "last"\n')
    assert load.load(tmp_path / "config.toml").optim.checkpoint == "best"


@pytest.mark.parametrize(
    ("override", "new"),
    [
        ("model.deviation=[0.5]", "it is now model.std"),
        ("search.way=tpe", "it is now search.algorithm"),
        ("optim.keep=last", "it is now optim.checkpoint"),
        ("augment.ablated=true", "it is now a recipe, --recipe ablated"),
        ("model.init=default", "expected 'auto' or 'torch' or 'he'"),
    ],
)
def test_an_old_word_that_is_typed_is_refused_with_the_new_one(override, new):
    with pytest.raises(UserError) as refused:
        load.load(None, [override])
    assert new in str(refused.value)
