"""Trainings that no machine can do are refused before they begin."""

import keras
import pytest

from tinytrain.commands import fit
from tinytrain.config import load as configs
from tinytrain.errors import UserError
from tinytrain.train import memory


def network():
    """Maps of 4·4·8 and 4·4·8 floats, an answer of 10; 3·3·3·8 + 8, 3·3·8 + 8 and 8·10 + 10 weights."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same")(image)
    x = keras.layers.ReLU()(keras.layers.DepthwiseConv2D(3, padding="same")(x))
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))


def test_the_least_memory_of_a_step_by_hand():
    weights = (3 * 3 * 3 * 8 + 8) + (3 * 3 * 8 + 8) + (8 * 10 + 10)
    assert memory.step_bytes(network(), 7) == 7 * 4 * (128 + 128 + 10) + 3 * 4 * weights


def test_half_precision_halves_the_maps():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = memory.step_bytes(network(), 1000)
    finally:
        keras.config.set_dtype_policy("float32")
    whole = memory.step_bytes(network(), 1000)
    assert whole - half == 1000 * 2 * (128 + 128 + 10)


def test_a_step_that_is_too_large_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    words = ["optim.batch=64", "model.width=0.25", "optim.epochs=1", "data.check=false"]
    monkeypatch.setattr(memory, "machine_bytes", lambda: 1_000_000)
    with pytest.raises(
        UserError, match=r"a step of 64 images at 8 pixels needs at least .* GB, but this machine has 0.0 GB"
    ):
        fit.fit(configs.load(None, [*words, "model.resolution=8"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_machine_has_memory():
    assert 10**8 < memory.machine_bytes() < 10**15
