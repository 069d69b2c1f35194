"""The convolution blocks of the architectures: Keras layers only, with names that a report can show.

Convolutions have no bias, unless said otherwise, and are followed by BatchNorm. Its momentum, in Keras' convention, is
0.9, so that short trainings evaluate with fresh statistics; its epsilon is 1e-3, so that the weights that Keras
publishes give the same outputs. "same" padding is TensorFlow's: with stride 2 on an even side, one row and one column
at the bottom and right.
"""

from typing import Any, TypeAlias

import keras
from keras import layers

HE_FAN_OUT: dict[str, Any] = {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"}
Tensor: TypeAlias = Any  # a keras.KerasTensor; Keras gives no types


def make_divisible(value: float, divisor: int = 8) -> int:
    """Returns `value` rounded to a multiple of `divisor`, but at least 90 % of `value` (methods.md B.0)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def image_input(resolution: int, channels: int) -> Tensor:
    """Returns the input (B, resolution, resolution, channels) float32 in [-1, 1)."""
    return keras.Input((resolution, resolution, channels), name="image")


def activate(x: Tensor, activation: str | None, name: str) -> Tensor:
    """Applies an activation: "relu6", "relu", "hard_swish", "swish", "hard_sigmoid", "sigmoid" or None."""
    if activation is None:
        return x
    if activation in ("relu", "relu6"):
        return layers.ReLU(max_value=6.0 if activation == "relu6" else None, name=f"{name}_{activation}")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x)


def batch_norm(x: Tensor, name: str, epsilon: float = 1e-3) -> Tensor:
    """Applies BatchNorm over the channels."""
    return layers.BatchNormalization(momentum=0.9, epsilon=epsilon, name=f"{name}_bn")(x)


def conv(
    x: Tensor, filters: int, kernel: int, stride: int, name: str, use_bias: bool = False, padding: str = "same"
) -> Tensor:
    """Applies a convolution: (B, H, W, C) -> (B, ⌈H/stride⌉, ⌈W/stride⌉, filters) with "same" padding.

    Args:
        x: (B, H, W, C).
        filters: output channels.
        kernel: side of the kernel.
        stride: along both axes.
        name: prefix of the layer's name.
        use_bias: whether it has a bias.
        padding: "same" or "valid".
    """
    return layers.Conv2D(
        filters,
        kernel,
        stride,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer=keras.initializers.VarianceScaling(**HE_FAN_OUT),
        name=f"{name}_conv",
    )(x)


def conv_bn(x: Tensor, filters: int, kernel: int, stride: int, activation: str | None, name: str) -> Tensor:
    """Applies convolution, BatchNorm and activation: (B, H, W, C) -> (B, ⌈H/stride⌉, ⌈W/stride⌉, filters)."""
    return activate(batch_norm(conv(x, filters, kernel, stride, name), name), activation, name)


def depthwise_bn(x: Tensor, kernel: int, stride: int, activation: str | None, name: str) -> Tensor:
    """Applies depthwise convolution, BatchNorm and activation: (B, H, W, C) -> (B, ⌈H/stride⌉, ⌈W/stride⌉, C)."""
    initializer = keras.initializers.VarianceScaling(**HE_FAN_OUT)
    x = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, depthwise_initializer=initializer, name=f"{name}_depthwise"
    )(x)
    return activate(batch_norm(x, name), activation, name)


def squeeze_excite(x: Tensor, squeezed: int, activation: str, gate: str, name: str) -> Tensor:
    """Scales each channel by a gate computed from all of them (Hu et al., 2018; arXiv 1709.01507).

    Args:
        x: (B, H, W, C).
        squeezed: the number of channels between the two 1x1 convolutions, which have biases.
        activation: of the first convolution.
        gate: the activation of the second one.
        name: prefix of the layers' names.
    """
    scale = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    scale = activate(conv(scale, squeezed, 1, 1, f"{name}_reduce", use_bias=True), activation, f"{name}_reduce")
    scale = activate(conv(scale, x.shape[-1], 1, 1, f"{name}_excite", use_bias=True), gate, f"{name}_excite")
    return layers.Multiply(name=f"{name}_scale")([x, scale])


def inverted_residual(
    x: Tensor,
    expanded: int,
    filters: int,
    kernel: int,
    stride: int,
    residual: bool,
    name: str,
    activation: str = "relu6",
) -> Tensor:
    """Applies an inverted residual block (MobileNetV2): 1x1 expansion, depthwise, linear 1x1 projection, shortcut.

    Args:
        x: (B, H, W, C).
        expanded: channels after the expansion.
        filters: channels after the projection.
        kernel: side of the depthwise kernel.
        stride: of the depthwise convolution.
        residual: whether there is a shortcut.
        name: prefix of the layers' names.
        activation: after the expansion and the depthwise convolution.
    """
    y = conv_bn(x, expanded, 1, 1, activation, f"{name}_expand")
    y = depthwise_bn(y, kernel, stride, activation, name)
    y = conv_bn(y, filters, 1, 1, None, f"{name}_project")
    return layers.Add(name=f"{name}_add")([x, y]) if residual else y


def classifier(x: Tensor, classes: int, dropout: float) -> Tensor:
    """Applies global average pooling, dropout (unless 0) and a dense layer: (B, H, W, C) -> (B, classes) logits."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, dtype="float32", name="logits")(x)
