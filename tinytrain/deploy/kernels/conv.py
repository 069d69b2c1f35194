"""CONV_2D for firmware/kernels/conv.c and conv_1x1.c."""

import struct
from collections.abc import Sequence

import numpy as np

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import Bounds, Scale, one_scale, require_exact, shifts
from tinytrain.deploy.kernels.windows import Window
from tinytrain.tflite.model import Model, Operator, Tensor

HEAD = "<I6H6B4bBx3I"  # KernelConv
PAIR = "<4iI"  # KernelPair


def prepare(model: Model, operator: Operator) -> Kernel:
    """Prepares a CONV_2D; raises Refusal if it is none of ours."""
    source, filters, target = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if source is None or filters is None:
        raise ValueError("CONV_2D without input or weights")
    window = Window.of(operator, filters.shape[1:3])
    require(window.dilations == (1, 1), "it has dilation")
    require(filters.shape[3] == source.shape[3], "it has groups")
    require(target.shape[3] == filters.shape[0], "its output has another number of channels than its weights")
    weights = int8_weights(model, filters).reshape(filters.shape[0], -1)
    bias = bias_of(model, operator, len(weights))
    scales = channel_scales(source, filters, target, len(weights))
    bounds = Bounds.of(target, operator.options.get("fusedActivationFunction", 0))
    name = "conv_1x1" if _is_1x1(window) else "conv"
    constants = block(window, scratch_bytes(window), source.zero_point[0], weights, bias, scales, bounds)
    return Kernel(name, constants, lead(window))


def scratch_bytes(window: Window) -> int:
    """Returns the scratch memory of a convolution: two columns of 16 bits.

    Where windows are gathered first, the bytes of one are added, with what copying words may exceed.
    """
    words = _words(window)
    return 16 * words + (0 if _is_1x1(window) or window.source[2] % 4 == 0 else 4 * words + 4)


def lead(window: Window) -> int:
    """Returns how many bytes before the input the output begins at least (`Kernel.lead`)."""
    height, width, channels = window.source
    if _is_1x1(window):  # each pixel is written after it was read: what the output has more
        return height * width * max(window.target[2] - channels, 0)
    return window.lead(1, window.target[2])


def block_bytes(window: Window) -> int:
    """Returns the size of the block that `block` makes."""
    pairs = -(-window.target[2] // 2)
    return struct.calcsize(HEAD) + pairs * (struct.calcsize(PAIR) + 8 * _words(window))


def _is_1x1(window: Window) -> bool:
    return window.sides == (1, 1) and window.is_plain


def _words(window: Window) -> int:
    """Returns how many words of 4 weights a window has."""
    return -(-window.sides[0] * window.sides[1] * window.source[2] // 4)


def block(
    window: Window,
    scratch_bytes: int,
    zero: int,
    weights: np.ndarray,
    bias: np.ndarray,
    scales: Sequence[Scale],
    bounds: Bounds,
) -> bytes:
    """Returns KernelConv, its pairs and its weights.

    Args:
        window: the shapes.
        scratch_bytes: what the kernel needs while it runs.
        zero: zero point of the input.
        weights: (channels, values of a window) int8.
        bias: (channels,) int32.
        scales: of each channel.
        bounds: of the output.
    """
    shifted = shifted_bias(weights, bias, zero, scales)
    pairs = channel_pairs(len(weights))
    table = [
        struct.pack(
            PAIR,
            *(shifted[channel] for channel in pair),
            *(scales[channel].stored for channel in pair),
            shifts([scales[channel] for channel in pair]),
        )
        for pair in pairs
    ]
    words = -(-weights.shape[1] // 4)
    padded = np.zeros((len(weights), 4 * words), np.int8)
    padded[:, : weights.shape[1]] = weights
    interleaved = padded[np.array(pairs)].reshape(len(pairs), 2, words, 4).transpose(0, 2, 1, 3)
    first = struct.calcsize(HEAD)
    head = struct.pack(
        HEAD,
        scratch_bytes,
        *window.numbers,
        zero,
        bounds.zero,
        bounds.low,
        bounds.high,
        bounds.mode(scales),
        words,
        first,
        first + len(table) * struct.calcsize(PAIR),
    )
    return head + b"".join(table) + interleaved.tobytes()


def channel_pairs(count: int) -> list[tuple[int, int]]:
    """Returns the channels in pairs; of an odd number the last pair overlaps, and a single one is its own partner."""
    pairs = [(first, first + 1) for first in range(0, count - 1, 2)]
    return pairs + ([(max(count - 2, 0), count - 1)] if count % 2 else [])


def int8_weights(model: Model, tensor: Tensor) -> np.ndarray:
    """Returns the weights; raises Refusal unless they are constant int8 with zero point 0."""
    require(tensor.dtype == "int8" and tensor.constant, "its weights are not constant int8")
    require(all(zero == 0 for zero in tensor.zero_point), "its weights have a zero point")
    return model.constant(tensor)


def bias_of(model: Model, operator: Operator, channels: int) -> np.ndarray:
    """Returns the bias (channels,) int32, zeros where there is none; raises Refusal if it does not fit."""
    bias = operator.inputs[2] if len(operator.inputs) > 2 else None
    if bias is None:
        return np.zeros(channels, np.int32)
    require(bias.dtype == "int32" and bias.constant and bias.shape == (channels,), "its bias is not constant int32")
    return model.constant(bias)


def channel_scales(source: Tensor, weights: Tensor, target: Tensor, channels: int) -> list[Scale]:
    """Returns the scale of each channel; raises Refusal unless there is one for all or one for each."""
    require(len(weights.scale) in (1, channels), "its weights have another number of scales than channels")
    first, last = one_scale(source), one_scale(target)
    require(first > 0 and last > 0, "a scale is not above 0")
    every = weights.scale if len(weights.scale) == channels else weights.scale * channels
    return [Scale.of_channel(first * scale / last) for scale in every]


def shifted_bias(weights: np.ndarray, bias: np.ndarray, zero: int, scales: Sequence[Scale]) -> list[int]:
    """Returns bias - zero·Σ weights of each channel, which spares the kernel the zero point.

    Raises:
        Refusal: the accumulator of a channel, or the sum with zero points in it, could exceed 32 bits.
    """
    wide = weights.astype(np.int64)
    spread = np.abs(wide).sum(axis=1) * max(zero + 128, 127 - zero)
    shifted = bias.astype(np.int64) - zero * wide.sum(axis=1)
    for most, start, scale in zip(
        (np.abs(bias.astype(np.int64)) + spread).tolist(), shifted.tolist(), scales, strict=True
    ):
        require_exact(max(most, abs(start)), [scale])
    return [int(value) for value in shifted]
