"""Small networks with weights as after a training, and bodies of the layers that a conversion rewrites."""

import keras
import numpy as np
from keras import layers

from tinytrain.config import plugins
from tinytrain.nn.graph import walk


def trained(model, seed=0):
    """Gives every layer weights and statistics as after a training: those of noise images, for BatchNorm."""
    random = np.random.default_rng(seed)
    norms = [call.layer for call in walk(model).calls if isinstance(call.layer, layers.BatchNormalization)]
    for layer in norms:
        layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        layer.momentum = 0.0
    for layer in (call.layer for call in walk(model).calls):
        if layer not in norms and layer.weights and getattr(layer, "use_bias", False):
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
    "one learnt slope": lambda x: layers.PReLU(keras.initializers.Constant(0.3), shared_axes=[1, 2, 3])(
        layers.Conv2D(6, 3)(x)
    ),
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
