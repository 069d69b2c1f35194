"""What a classifier is trained with by default: each value worked by hand, and who may change it."""

import pytest

from tinytrain.cli.lists import names
from tinytrain.commands import fit as train
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data.load import load_dataset
from tinytrain.tasks.classify import defaults
from tinytrain.train import resolve

ALL = {"name", "lr", "batch", "epochs", "warmup_epochs", "weight_decay", "label_smoothing", "ema", "checkpoint"}


def usual(images, *words):
    config = configs.load(None, ["model.name=resnet8", *words])
    values = defaults.usual(config, images, [word.partition("=")[0] for word in words])
    return {dotted.removeprefix("optim."): value for dotted, value in values.items()}


@pytest.mark.parametrize(
    ("images", "words", "expected"),
    [
        # 45,000/64 = 703 steps, 14,060 in 20 epochs: 5 % would be 703, at most 500; 2 % are 281 steps, 1 - 1/281.2
        (45_000, ["optim.epochs=20"], {"batch": 64, "lr": 0.002, "warmup_epochs": 500 / 703, "ema": 0.9964}),
        # 1,000/16 = 62 steps of the first batch with 50 or more; 1,860 in 30 epochs: 93 and 37.2
        (1000, ["optim.epochs=30"], {"batch": 16, "lr": 0.002, "warmup_epochs": 93 / 62, "ema": 0.9731}),
        # 1,650/32 = 51 steps; ⌈2000/51⌉ = 40 epochs, 2,040 steps: 102 and 40.8
        (1650, [], {"batch": 32, "epochs": 40, "lr": 0.002, "warmup_epochs": 102 / 51, "ema": 0.9755}),
        # 40 images are 2 steps: at most 200 epochs, 400 steps: 20 and 8
        (40, [], {"batch": 16, "epochs": 200, "warmup_epochs": 10.0, "ema": 0.875}),
        # a batch that was typed: 0.002·√(256/64), 50,000/256 = 195 steps
        (50_000, ["optim.batch=256"], {"batch": 256, "epochs": 30, "lr": 0.004, "warmup_epochs": 292 / 195}),
        # fewer images than a batch are one step; an average of less than 2 steps would be none
        (10, ["optim.epochs=1"], {"warmup_epochs": 0.0, "ema": 0.5}),
    ],
)
def test_values_follow_images_and_steps(images, words, expected):
    found = usual(images, *words)
    assert found.keys() == ALL
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_the_list_of_keys_says_what_a_classifier_begins_with():
    rows = names.LISTS["keys"]()
    assert defaults.BEGUN_WITH.keys() == {f"optim.{name}" for name in ALL}
    assert (
        "; classify: 0.002 for resnet8, times √(batch/64) with more than 64 images per step (0 to 1,000)"
        in rows["optim.lr"]
    )
    assert (
        "; classify: for resnet8 the first of 64, 32, 16 that makes 50 steps per epoch, or 16 (" in rows["optim.batch"]
    )


def test_other_networks_keep_sgd_and_its_batch_and_are_averaged():
    """1,000/64 = 15 steps; ⌈2000/15⌉ = 134 epochs are 2,010 steps, of which 2 % are 40.2."""
    found = usual(1000, "model.name=mobilenet_v1")
    assert found == {"epochs": 134, "ema": 0.9751, "checkpoint": "last"}


@pytest.mark.parametrize(
    "word", ["optim.lr=0.05", "optim.name=sgd", "optim.schedule=constant", "search.algorithm=range"]
)
def test_who_says_more_of_the_optimizer_says_all_of_it(word):
    assert usual(1000, word, "optim.epochs=3") == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], 1294),  # 1,797 digits: 359 test, then 144 val images
        (["data.test_images=300", "data.val_images=97"], 1400),
        (["data.train_images=200"], 200),
        (["data.train_images=2000"], 1294),
    ],
)
def test_training_images_are_counted_before_the_split(words, expected):
    config = configs.load(None, words)
    assert resolve.training_images(config, load_dataset(config)) == expected


def test_a_training_says_what_was_chosen_and_why_and_its_config_holds_it(tmp_path, capsys):
    words = ["model.name=resnet8", "model.width=0.25", "model.resolution=16", "data.train_images=128"]
    words += ["optim.epochs=1", "data.check=false", "optim.checkpoint=best"]
    run = train.fit(configs.load(None, words), tmp_path / "run", typed=[word.partition("=")[0] for word in words])
    said = capsys.readouterr().err
    assert "chosen for the task classify, unless you set them: optim.ema=0.5 optim.name=adam optim.lr=0.002" in said
    assert "about 128 training images make 8 steps of 16 per epoch, 8 in all: 0 are the warm-up" in said
    optim = run.config().optim
    assert (optim.name, optim.lr, optim.batch, optim.ema, optim.checkpoint) == ("adam", 0.002, 16, 0.5, "best")
    again = train.fit(Config(), run.folder, resume=True)
    assert again.config().optim == optim
