import tomllib

import pytest

from tinytrain.config import load, schema
from tinytrain.errors import UserError


def test_words_override_the_file_and_the_dump_repeats_the_config(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('seed = 3\n[optim]\nepochs = 7\nlr = 1\n[data]\nspec = "folder:a b"\n')
    loaded = load.load(path, ["optim.epochs=9", "augment.flip=false", "model.width=0.35"])
    assert (loaded.seed, loaded.optim.epochs, loaded.optim.lr, loaded.augment.flip) == (3, 9, 1.0, False)
    assert type(loaded.optim.lr) is float
    path.write_text(load.dump(loaded))
    assert load.load(path) == loaded


def test_the_dump_holds_every_key():
    def flatten(table, prefix=""):
        for name, value in table.items():
            yield from flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]

    assert set(flatten(tomllib.loads(load.dump(schema.Config())))) == set(load.keys())


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("optim.epoch=3", "did you mean 'optim.epochs'"),
        ("optim.epochs=many", "optim.epochs = 'many' has the wrong type: expected int"),
        ("optim.epochs=2.5", "expected int"),
        ("optim.epochs=true", "expected int"),
        ("optim.epochs=0", "out of range: expected 1 to 10,000"),
        ("optim.lr=nan", "out of range"),
        ("optim.name=sdg", "did you mean 'sgd'"),
        ("model.dropout=1", "expected 0 to 0.95"),
        ("model.channels=2", "expected 1 or 3 or 'auto'"),
        ("model.name=mobilnet_v2", "did you mean 'mobilenet_v2'"),
        ("data.spec=digit", "unknown dataset 'digit'; did you mean 'digits'"),
        ("data.spec=", "the data source is empty: give digits, folder:PATH"),
        ("epochs", "expected KEY=VALUE"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(word, sentence):
    with pytest.raises(UserError) as error:
        load.load(None, [word])
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "needs optim.drops, received 'none': expected the epochs after which the rate falls, such as [16, 18]"),
        (["optim.drops=[12, 12]"], "optim.drops = [12, 12]: expected rising epochs"),
        (["optim.drops=[0, 12]"], "all above 0"),
        (
            ["optim.drops=[12, 20]"],
            "optim.drops = [12, 20]: expected rising epochs, all above 0 and below optim.epochs, 20",
        ),
        (["optim.drops=often"], "optim.drops = 'often' has the wrong type: expected a list of numbers or 'none'"),
        (["optim.drops=[12]", "optim.schedule=cosine"], "needs optim.schedule = 'steps', received 'cosine'"),
    ],
)
def test_the_epochs_of_a_step_schedule_are_checked(words, sentence):
    with pytest.raises(UserError) as error:
        load.load(None, ["optim.schedule=steps", "optim.epochs=20", *words])
    assert sentence in str(error.value)
    assert load.load(None, ["optim.schedule=steps", "optim.drops=[6, 8.5]"]).optim.drops == [6.0, 8.5]


def test_a_folder_given_as_data_is_told_how_it_is_given(tmp_path):
    with pytest.raises(UserError, match=r"is a folder: give a folder of class folders as folder:"):
        load.parse_spec(str(tmp_path))


def test_a_mistake_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "broken.toml"
    with pytest.raises(UserError, match=r"no config file '.*broken.toml'"):
        load.load(path)
    path.write_text("[optim\n")
    with pytest.raises(UserError, match=r"broken.toml' is not a TOML file"):
        load.load(path)
    path.write_text("[optim]\nlearning_rate = 1\n")
    with pytest.raises(UserError, match=r"unknown config key 'optim.learning_rate' in .*broken.toml"):
        load.load(path)
