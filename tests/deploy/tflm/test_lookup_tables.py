"""The tables that the firmware looks values up in, against the functions they stand for."""

import keras
import numpy as np

from tinytrain.deploy.tflm import lookup_tables
from tinytrain.quantize import convert, tf_keras_clone


def converted(*activations):
    """Returns the .tflite of these activations one after the other."""
    image = keras.Input((8, 8, 3))
    x = image
    for activation in activations:
        x = keras.layers.Activation(activation)(x)
    noise = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 3)).astype("float32")
    return convert.convert_post_training(tf_keras_clone.rebuild(keras.Model(image, x)), noise)


def real(tensor, values):
    return (values.astype(float) - tensor.zero_point[0]) * tensor.scale[0]


def test_each_operator_has_the_table_of_its_function_in_the_order_of_the_model():
    model = converted("hard_silu", "sigmoid")
    assert [use.name for use in lookup_tables.operators(model)] == ["HARD_SWISH", "LOGISTIC"]
    tables = lookup_tables.tables(model)
    assert (tables.shape, tables.dtype) == ((2, 256), np.int8)
    functions = [lambda x: x * np.clip(x + 3, 0, 6) / 6, lambda x: 1 / (1 + np.exp(-x))]
    for table, use, function in zip(tables, lookup_tables.operators(model), functions, strict=True):
        expected = function(real(use.inputs[0], np.arange(-128, 128)))
        low, high = (real(use.outputs[0], np.array(limit)) for limit in (-128, 127))
        np.testing.assert_allclose(
            real(use.outputs[0], table), np.clip(expected, low, high), atol=1.01 * use.outputs[0].scale[0]
        )


def test_a_model_without_such_operators_has_no_table():
    model = converted("relu")
    assert lookup_tables.tables(model).shape == (0, 256)
