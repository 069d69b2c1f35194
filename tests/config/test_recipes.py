"""The recipes of the adaptive pipeline: found by name, and what they set against methods.md C."""

import dataclasses

import pytest

from tinytrain.config import library
from tinytrain.config import load as configs


def load(path, *words):
    return configs.load(path, ["model.weights=", *words])


@pytest.mark.parametrize("recipe", ["adaptive", "adaptive_am"])
def test_the_adaptive_recipes_are_those_of_the_specification(recipe):
    config = load(library.recipe(recipe))
    optim, augment = config.optim, config.augment
    assert (optim.momentum, optim.nesterov, optim.weight_decay, optim.decay, optim.bias_lr) == (
        0.9,
        False,
        5e-4,
        "kernels",
        2,
    )
    assert (optim.schedule, optim.epochs, optim.warmup_epochs, optim.warmup_from) == ("plateau", 200, 5, 0.1)
    plateau = config.plateau
    assert (plateau.gamma, plateau.patience, plateau.floor, plateau.threshold, plateau.stop_patience) == (
        0.1,
        5,
        200,
        2e-4,
        5,
    )
    assert (config.search.algorithm, config.search.trials) == ("tpe", 15)
    assert (augment.augmix, augment.augmix_severity, augment.augmix_width, augment.augmix_depth) == (True, 5, 3, 0)
    assert (augment.small_crop, augment.small_crop_probability) == (0.9, 0.3)
    assert (augment.rotation, augment.rotation_probability) == (10, 0.3)
    assert config.dml.form == ("released" if recipe == "adaptive" else "paper")
    assert (config.sam.rho, config.dml.margin, config.dml.scale, config.am_softmax.margin) == (0.05, 0.35, 1.0, 0.35)
    assert config.method == {"adaptive": "dml+sam", "adaptive_am": "am_softmax+sam"}[recipe]


def test_the_baseline_is_the_papers():
    config = load(library.recipe("adaptive_baseline"))
    assert (config.method, config.search.algorithm, config.optim.schedule) == ("", "none", "cosine_epochs")
    assert (config.optim.epochs, config.optim.lr, config.model.dropout) == (200, 0.013, 0.2)
    assert (config.augment.augmix, config.augment.jitter_probability) == (False, 0.5)


def test_the_ablated_augmentation_is_that_of_the_specification():
    """methods.md D.1: RandAugment(2, 9), then MixUp(0.2) or CutMix(1), drawn for each batch; all else as by default."""
    augment = {"randaugment": 2, "randaugment_magnitude": 9.0, "mixup": 0.2, "cutmix": 1.0}
    expected = dataclasses.replace(configs.load(), augment=dataclasses.replace(configs.load().augment, **augment))
    assert configs.load(library.recipe("ablated")) == expected
    assert expected.augment.mix_probability == 1


def test_a_recipe_is_found_by_name(command_line):
    assert library.path_of("adaptive") == library.recipe("adaptive")
    status, _, error = command_line("fit", "--recipe", "adaptiv")
    assert (status, "did you mean 'adaptive'" in error) == (2, True)
    status, _, error = command_line("fit", "some.toml", "--recipe", "adaptive")
    assert (status, "a config file or --recipe" in error) == (2, True)
    status, _, error = command_line("compare", "adaptive", "adaptiv")
    assert (status, "no config file 'adaptiv'" in error) == (2, True)


def test_a_file_of_the_name_of_a_recipe_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adaptive").write_text("")
    assert str(library.path_of("adaptive")) == "adaptive"
