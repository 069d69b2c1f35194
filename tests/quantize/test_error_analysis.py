"""The quantization error of each layer against the TFLM interpreter, and for a layer spoiled on purpose."""

import keras
import numpy as np
import pytest
from int8_models import noise_images
from small_networks import BODIES, head, small, trained

from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.quantize import convert, error_analysis, qat, tf_keras_clone
from tinytrain.tflite.int8_values import dequantize


def diagnosed(model, shape, count=40):
    """Returns (rows by layer name in their order, fake-quantized graph, int8 images, float images)."""
    int8, floats = noise_images(count, shape)
    built = tf_keras_clone.rebuild(model)
    quantized = qat.quantize(built, floats)
    return {row["layer"]: row for row in error_analysis.layers(quantized, built, floats)}, quantized, int8, floats


@pytest.mark.parametrize("body", ["hard swish", "gate, map kept", "swish as an argument", "padding of ResNet"])
def test_the_total_of_the_last_layer_is_what_tflm_gives_against_keras(body):
    image = keras.Input((12, 12, 3))
    model = trained(keras.Model(image, head(BODIES[body](image))))
    rows, quantized, int8, floats = diagnosed(model, (12, 12, 3))
    tflite = convert.convert(quantized)
    expected = np.asarray(model(floats, training=False))
    actual = dequantize(ReferenceInterpreter(tflite.content).run(int8)[0], tflite.outputs[0])
    ratio = 10 * np.log10(np.square(expected).sum() / np.square(expected - actual).sum())
    assert rows[quantized.layers[-1].layer.name]["total_db"] == pytest.approx(ratio, abs=0.1)


@pytest.mark.long
def test_one_stretched_channel_shows_as_the_worst_layer():
    """A channel 200 times as large as the others leaves them one or two of the 256 steps."""
    model = small("mobilenet_v1")
    before = diagnosed(model, model.input_shape[1:])[0]
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    spoiled = next(norm for norm in norms if "block3_point" in norm.name)
    gamma = np.array(spoiled.gamma)
    gamma[0] *= 200
    spoiled.gamma.assign(gamma)
    for layer in model.layers:  # so that the stretched channel is not clipped at 6
        if isinstance(layer, keras.layers.ReLU):
            layer.max_value = None
    rows = diagnosed(model, model.input_shape[1:])[0]
    name = next(name for name in rows if "block3_point" in name)
    assert list(rows).index(name) <= 1
    assert rows[name]["bulk_share"] < 0.5 * before[name]["bulk_share"]


def test_eight_bits_of_a_uniform_signal_are_about_50_db():
    """Weights uniform in [-1, 1) with steps of 1/127: 10·log10(1/3 / (1/127² / 12)) = 48.1 dB."""
    inputs = keras.Input((4, 4, 64))
    model = keras.Model(inputs, keras.layers.Conv2D(64, 3, padding="same", name="only")(inputs))
    kernel = np.random.default_rng(0).uniform(-1, 1, (3, 3, 64, 64))
    model.get_layer("only").set_weights([kernel, np.zeros(64)])
    rows = diagnosed(model, (4, 4, 64))[0]
    assert rows["only"]["weights_db"] == pytest.approx(10 * np.log10(127**2 * 12 / 3), abs=0.2)
    assert rows["only"]["own_db"] == rows["only"]["total_db"]  # its input is the exact image


def test_no_noise_is_no_infinity():
    assert error_analysis.decibels(1.0, 0.0) == error_analysis.EXACT_DB
    assert error_analysis.decibels(1.0, 0.1) == pytest.approx(10)
