"""The tf_keras clone against Keras: equal outputs, folding worked by hand, and every conversion rule."""

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers
from small_networks import BODIES, head, outputs, shared, small, trained

from tinytrain.config import plugins
from tinytrain.errors import TinytrainError, UserError
from tinytrain.nn.graph import walk
from tinytrain.quantize import tf_keras_clone
from tinytrain.quantize.clone_builder import Clip
from tinytrain.quantize.conversion_rules import pads_as_same
from tinytrain.quantize.hard_swish import HardSwish


def assert_clone_equal(model):
    built = tf_keras_clone.rebuild(model)
    expected = outputs(model)
    np.testing.assert_allclose(outputs(built), expected, atol=1e-4 * np.abs(expected).max())
    return built


@pytest.mark.parametrize("name", plugins.names("models"))
def test_every_model_has_an_equal_clone(name):
    built = assert_clone_equal(small(name, resolution=64))
    kinds = {type(layer).__name__ for layer in built.layers}
    assert not kinds & {"BatchNormalization", "Dropout", "GlobalAveragePooling2D"}
    assert "AveragePooling2D" in kinds


def test_batch_norm_is_folded_as_by_hand():
    image = keras.Input((1, 1, 1))
    x = layers.Conv2D(1, 1, use_bias=False, name="conv")(image)
    model = keras.Model(image, layers.Flatten()(layers.BatchNormalization(epsilon=1.0, name="bn")(x)))
    model.get_layer("conv").set_weights([np.full((1, 1, 1, 1), 2.0)])
    model.get_layer("bn").set_weights([np.array([value]) for value in (3.0, 1.0, 0.5, 8.0)])  # gamma beta mean variance
    kernel, bias = tf_keras_clone.rebuild(model).get_layer("conv").get_weights()
    assert kernel.item() == pytest.approx(2 * 3 / 3)
    assert bias.item() == pytest.approx(1 - 0.5 * 3 / 3)


def test_check_equal_accepts_the_clone_and_refuses_another():
    model = small("mobilenet_v2")
    built = tf_keras_clone.rebuild(model)
    assert tf_keras_clone.check_equal(model, built) <= tf_keras_clone.TOLERANCE
    kernel, bias = built.get_layer("logits").get_weights()
    built.get_layer("logits").set_weights([kernel, bias + 0.01 * np.abs(outputs(model)).max()])
    with pytest.raises(TinytrainError, match=r"off by 0\.0"):
        tf_keras_clone.check_equal(model, built)


def test_check_equal_compares_a_mixed_precision_model_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small("mobilenet_v1")
    finally:
        keras.config.set_dtype_policy("float32")
    assert tf_keras_clone.check_equal(model, tf_keras_clone.rebuild(model)) <= tf_keras_clone.TOLERANCE


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_every_conversion_rule_keeps_the_function(body):
    image = keras.Input((12, 12, 3))
    assert_clone_equal(trained(keras.Model(image, head(body(image)))))


def kinds(body):
    image = keras.Input((12, 12, 3))
    return [type(layer) for layer in tf_keras_clone.rebuild(keras.Model(image, head(body(image)))).layers]


def test_gates_and_paddings_cost_no_operator_where_they_can():
    assert tf_keras.layers.ZeroPadding2D in kinds(BODIES["padding of ResNet"])
    assert tf_keras.layers.ZeroPadding2D not in kinds(BODIES["padding of MobileNet"])
    assert tf_keras.layers.ZeroPadding2D in kinds(BODIES["padding before a pool"])
    assert kinds(BODIES["hard swish"]).count(HardSwish) == 1
    layer_types = kinds(BODIES["gate, reshaped"])
    assert layer_types.count(Clip) == 1
    assert layer_types.count(tf_keras.layers.Reshape) == 1  # the vector of factors, for Keras; none of the operators
    assert layer_types.count(tf_keras.layers.Conv2D) == 1  # on a map of 1x1 a convolution is a Dense


def test_which_padding_is_that_of_same_by_hand():
    """12 pixels, stride 2: "same" of 7 taps pads 5 zeros, 2 before and 3 after; of 3 taps 1, after."""
    conv = layers.Conv2D(1, 7, 2)
    assert pads_as_same((12, 12), ((2, 3), (2, 3)), conv)
    assert not pads_as_same((12, 12), ((3, 3), (3, 3)), conv)
    assert not pads_as_same((12, 12), ((2, 3), (3, 2)), conv)
    assert pads_as_same((12, 13), ((0, 1), (1, 1)), layers.Conv2D(1, 3, 2))  # an odd side pads on both ends
    assert pads_as_same((12, 12), ((2, 2), (2, 2)), layers.Conv2D(1, 3, dilation_rate=2))  # 3 taps reach over 5 pixels
    assert not pads_as_same((12, 12), ((2, 3), (2, 3)), layers.Conv2D(1, 7, 2, padding="same"))


def test_an_unknown_layer_is_named():
    image = keras.Input((8, 8, 3))
    for grow in (
        layers.UpSampling2D(interpolation="bicubic", name="grow"),
        layers.Resizing(12, 12, interpolation="nearest", name="grow"),  # no whole factor
    ):
        model = keras.Model(image, head(grow(image)))
        with pytest.raises(UserError, match=f"'grow' of class {type(grow).__name__} interpolates"):
            tf_keras_clone.rebuild(model)
    model = keras.Model(image, head(layers.Conv2D(2, 1, activation="gelu", name="soft")(image)))
    with pytest.raises(UserError, match="'soft' of class Conv2D applies 'gelu'"):
        tf_keras_clone.rebuild(model)


def test_walk_numbers_tensors_and_finds_shared_layers():
    image = keras.Input((4, 4, 3))
    graph = walk(keras.Model(image, head(shared(image))))
    assert [layer.name for layer in graph.shared_layers()] == ["shared"]
    written = set(graph.inputs)
    for call in graph.calls:  # in an order that can run
        assert set(call.inputs) <= written
        written |= set(call.outputs)
    assert graph.shapes[graph.outputs[0]] == (None, 4)
    assert [call.layer.name for call in graph.consumers()[graph.inputs[0]]] == ["shared", "shared"]


def test_walk_refuses_a_model_without_graph():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UserError, match="has no graph"):
        walk(Subclassed())
