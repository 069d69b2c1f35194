"""The tf_keras clone against Keras: equal outputs, folding worked by hand, and every conversion rule."""

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers

from tinytrain.config import plugins
from tinytrain.errors import TinytrainError, UserError
from tinytrain.nn.graph import walk
from tinytrain.quantize import tf_keras_clone
from tinytrain.quantize.clone_builder import Clip
from tinytrain.quantize.conversion_rules import pads_as_same
from tinytrain.quantize.hard_swish import HardSwish


def trained(model, seed=0):
    """Gives every layer weights and statistics as after a training: those of noise images, for BatchNorm."""
    random = np.random.default_rng(seed)
    norms = [call.layer for call in walk(model).calls if isinstance(call.layer, layers.BatchNormalization)]
    for layer in norms:
        layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        layer.momentum = 0.0
    for layer in (call.layer for call in walk(model).calls):
        if layer not in norms and layer.weights and layer.use_bias:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, random.normal(0, 0.3, bias.shape)])
    model(random.uniform(-1, 1, (8, *model.inputs[0].shape[1:])).astype("float32"), training=True)
    return model


def small(name, **options):
    keras.utils.set_random_seed(0)
    build = plugins.load("models", name).build
    return trained(build(**{"classes": 5, "resolution": 32, "channels": 3, "width": 0.25, "dropout": 0.3} | options))


def outputs(model, seed=1):
    shape = (3, *model.inputs[0].shape[1:])
    return np.asarray(model(np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32"), training=False))


def assert_clone_equal(model):
    built = tf_keras_clone.rebuild(model)
    expected = outputs(model)
    np.testing.assert_allclose(outputs(built), expected, atol=1e-4 * np.abs(expected).max())
    return built


@pytest.mark.parametrize("name", plugins.names("models"))
def test_every_model_has_an_equal_twin(name):
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


def head(x):
    return layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D(name="pool")(x))


def gate(x, keepdims):
    y = layers.GlobalAveragePooling2D(keepdims=keepdims)(x)
    y = y if keepdims else layers.Reshape((1, 1, x.shape[-1]))(y)
    y = layers.Conv2D(x.shape[-1], 1, name="gate")(layers.Conv2D(4, 1, activation="relu")(y))
    return layers.Multiply()([x, layers.Activation("hard_sigmoid")(y)])


def shared(x):
    conv = layers.Conv2D(3, 3, padding="same", name="shared")
    return layers.Add()([conv(x), conv(conv(x))])


def nested(x):
    inner_input = keras.Input(x.shape[1:])
    inner = keras.Model(inner_input, layers.BatchNormalization()(layers.Conv2D(6, 3)(inner_input)), name="inner")
    return layers.Activation("silu")(inner(x))


BODIES = {
    "batch norm after a sum": lambda x: layers.BatchNormalization()(layers.Add()([layers.Conv2D(3, 1)(x), x])),
    "sum of three": lambda x: layers.Add()([x, layers.Conv2D(3, 1)(x), layers.Conv2D(3, 1)(x)]),
    "relu after a sum": lambda x: layers.ReLU()(layers.Add()([layers.Conv2D(3, 1)(x), x])),
    "convolution that two read": lambda x: (lambda y: layers.Add()([layers.ReLU()(y), y]))(layers.Conv2D(4, 3)(x)),
    "hard swish": lambda x: layers.Activation("hard_silu")(layers.Conv2D(6, 3)(x)),
    "swish as an argument": lambda x: layers.Conv2D(6, 3, activation="silu")(x),
    "hard sigmoid alone": lambda x: layers.Activation("hard_sigmoid")(layers.Add()([x, x])),
    "gate, map kept": lambda x: gate(layers.Conv2D(6, 3)(x), keepdims=True),
    "gate, reshaped": lambda x: gate(layers.Conv2D(6, 3)(x), keepdims=False),
    "depthwise of two": lambda x: layers.BatchNormalization()(layers.DepthwiseConv2D(3, depth_multiplier=2)(x)),
    "groups, dilation": lambda x: layers.Conv2D(6, 3, groups=3, dilation_rate=2, activation="relu6")(x),
    "pools": lambda x: layers.AveragePooling2D(2)(layers.MaxPooling2D(3, 2, padding="same")(x)),
    "rescaling": lambda x: layers.Rescaling(2.0, -0.5)(x),
    "padding of ResNet": lambda x: layers.Conv2D(4, 7, 2)(layers.ZeroPadding2D(3)(x)),
    "padding of MobileNet": lambda x: layers.DepthwiseConv2D(3, 2)(layers.ZeroPadding2D(((0, 1), (0, 1)))(x)),
    "padding before a pool": lambda x: layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(layers.ReLU()(x))),
    "enlarged by 2": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(6, 3)(x)),
    "enlarged to 12": lambda x: layers.Resizing(12, 12)(layers.Conv2D(8, 3, 2, groups=2)(layers.Conv2D(4, 3)(x))),
    "shared": shared,
    "nested": nested,
}


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
    model = keras.Model(image, head(layers.UpSampling2D(name="grow")(image)))
    with pytest.raises(UserError, match="'grow' of class UpSampling2D"):
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
    assert [call.layer.name for call in graph.readers()[graph.inputs[0]]] == ["shared", "shared"]


def test_walk_refuses_a_model_without_graph():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UserError, match="has no graph"):
        walk(Subclassed())
