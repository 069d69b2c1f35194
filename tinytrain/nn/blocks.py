"""The convolution blocks that the architectures are made of: Keras layers only, names that a report can show.

Every convolution is bias-free and followed by BatchNorm (momentum 0.9 and epsilon 1e-3 in Keras' convention, so that
short trainings evaluate with fresh statistics and the weights that Keras publishes give the same outputs). "same"
padding is TensorFlow's: with stride 2 on an even side, one row and column at the bottom and right.
"""

from typing import Any, TypeAlias

import keras
from keras import layers

HE_FAN_OUT: dict[str, Any] = {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"}
Tensor: TypeAlias = Any  # a keras.KerasTensor; Keras gives no types


def make_divisible(value: float, divisor: int = 8) -> int:
    """Returns `value` rounded to a multiple of `divisor`, never below 90 % of it (methods.md B.0)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def image_input(resolution: int, channels: int) -> Tensor:
    """Returns the input (B, resolution, resolution, channels) float32 in [-1, 1)."""
    return keras.Input((resolution, resolution, channels), name="image")


def activate(x: Tensor, activation: str | None, name: str) -> Tensor:
    """Applies "relu6", "relu", "hard_swish", "swish", "hard_sigmoid", "sigmoid" or nothing (None)."""
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
    """Applies convolution: (B, H, W, C) -> (B, ⌈H/stride⌉, ⌈W/stride⌉, filters)."""
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
    init = keras.initializers.VarianceScaling(**HE_FAN_OUT)
    x = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, depthwise_initializer=init, name=f"{name}_depthwise"
    )(x)
    return activate(batch_norm(x, name), activation, name)


def squeeze_excite(x: Tensor, squeezed: int, activation: str, gate: str, name: str) -> Tensor:
    """Scales each channel by a gate computed from all of them (Hu et al., 2018): pool, 1x1, 1x1, multiply."""
    g = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    g = activate(conv(g, squeezed, 1, 1, f"{name}_reduce", use_bias=True), activation, f"{name}_reduce")
    g = activate(conv(g, x.shape[-1], 1, 1, f"{name}_excite", use_bias=True), gate, f"{name}_excite")
    return layers.Multiply(name=f"{name}_scale")([x, g])


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
    """Applies 1x1 expand, depthwise, linear 1x1 project and, if `residual`, the identity shortcut (MobileNetV2)."""
    y = conv_bn(x, expanded, 1, 1, activation, f"{name}_expand")
    y = depthwise_bn(y, kernel, stride, activation, name)
    y = conv_bn(y, filters, 1, 1, None, f"{name}_project")
    return layers.Add(name=f"{name}_add")([x, y]) if residual else y


def classifier(x: Tensor, classes: int, dropout: float) -> Tensor:
    """Applies global average pooling, dropout (if any) and the fully connected layer: -> (B, classes) logits."""
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, dtype="float32", name="logits")(x)
