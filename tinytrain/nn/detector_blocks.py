"""What the heads of detectors are made of (detection.md C.2): cells, separable cells, upsampling, the output.

A cell is a convolution without bias, BatchNorm and ReLU6, which int8 fuses into one operator.
"""

import math

import keras
import numpy as np
from keras import layers

from tinytrain.nn.blocks import HE_FAN_OUT, Tensor, activate

EPSILON = 1e-5  # of BatchNorm, GluonCV's
PRIOR = 0.01  # share of the positions that hold an object before anything is learnt (Lin et al., 2017)


def cell(x: Tensor, filters: int, name: str) -> Tensor:
    """Applies a 1x1 cell: (B, H, W, C) -> (B, H, W, filters)."""
    initializer = keras.initializers.VarianceScaling(**HE_FAN_OUT)
    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer=initializer, name=f"{name}_conv")(x)
    return _normalized(x, name)


def separable(x: Tensor, filters: int, name: str) -> Tensor:
    """Applies a 3x3 depthwise cell and a 1x1 cell, in place of a 3x3 convolution: -> (B, H, W, filters)."""
    initializer = keras.initializers.VarianceScaling(**HE_FAN_OUT)
    x = layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, depthwise_initializer=initializer, name=f"{name}_depthwise"
    )(x)
    return cell(_normalized(x, name), filters, f"{name}_point")


def body(x: Tensor, filters: int, depth: int, name: str) -> Tensor:
    """Applies `depth` cells, by turns 1x1 to `filters` and separable to twice as many, a 1x1 one first and last."""
    for number in range(depth):
        build, width = (cell, filters) if number % 2 == 0 else (separable, 2 * filters)
        x = build(x, width, f"{name}_{number}")
    return x


def upsample(x: Tensor, name: str) -> Tensor:
    """Doubles both sides by repeating pixels: (B, H, W, C) -> (B, 2H, 2W, C)."""
    return layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_up")(x)


def box_output(x: Tensor, anchors: int, classes: int, gain: float, name: str) -> Tensor:
    """Applies the output convolution: (B, H, W, C) -> (B, H, W, anchors·(5 + classes)) float32.

    For each anchor tx, ty, tw, th, objectness, classes. The bias makes every position begin as background, so that the
    first epochs are not spent on learning that (detection.md D).

    Args:
        x: the features.
        anchors: of this output.
        classes: how many.
        gain: what objectness and classes are multiplied by before the sigmoid.
        name: of the layer.
    """
    bias = np.zeros((anchors, 5 + classes), np.float32)
    bias[:, 4] = -math.log((1 - PRIOR) / PRIOR) / gain
    return layers.Conv2D(
        bias.size,
        1,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(bias.ravel()),
        dtype="float32",
        name=name,
    )(x)


def _normalized(x: Tensor, name: str) -> Tensor:
    x = layers.BatchNormalization(momentum=0.9, epsilon=EPSILON, name=f"{name}_bn")(x)
    return activate(x, "relu6", name)
