"""DEPTHWISE_CONV_2D for firmware/kernels/depthwise.c."""

import struct
from dataclasses import replace

import numpy as np

from tinytrain.deploy.kernels.conv import bias_of, channel_scales, int8_weights, shifted_bias
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import Bounds
from tinytrain.deploy.kernels.windows import Window
from tinytrain.tflite.model import Model, Operator

HEAD = "<I6H6B4bBx2H2I"  # KernelDepthwise
WINDOW_BYTE = 16  # of the head
CHANNEL = "<2iI"  # KernelChannel
WINDOWS, STRIDES = ((3, 3), (5, 5), (7, 7)), ((1, 1), (2, 2))
PLANES = 4  # channels that are spread at once
SCRATCH_BYTES = 4096  # for their planes; where these are larger, bands of them
SLACK = 8  # values that four outputs read beyond the end of a row


def prepare(model: Model, operator: Operator) -> Kernel:
    """Prepares a DEPTHWISE_CONV_2D; raises Refusal if it is none of ours."""
    source, filters, target = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if source is None or filters is None:
        raise ValueError("DEPTHWISE_CONV_2D without input or weights")
    window = Window.of(operator, filters.shape[1:3])
    channels = source.shape[3]
    require(window.dilations == (1, 1), "it has dilation")
    require(target.shape[3] == filters.shape[3] == channels and filters.shape[0] == 1, "it has a depth multiplier")
    require(window.sides in WINDOWS, "its window is not 3x3, 5x5 or 7x7")
    require(window.strides in STRIDES, "its stride is neither 1 nor 2")
    weights = int8_weights(model, filters)[0].transpose(2, 0, 1)
    (band, pitch, plane), scratch, may_lead = _band(window), scratch_bytes(window), lead(window)
    if _is_pixel(window):  # all but one of the weights meet the border
        top, left = window.padding
        weights = weights[:, top : top + 1, left : left + 1]
        window = replace(window, sides=(1, 1), strides=(1, 1), padding=(0, 0))
        words = np.pad(weights.reshape(channels, 1), ((0, 0), (0, 3)))
    else:
        words = _words(weights)
    scales = channel_scales(source, filters, target, channels)
    bias = bias_of(model, operator, channels)
    shifted = shifted_bias(weights.reshape(channels, -1), bias, source.zero_point[0], scales)
    bounds = Bounds.of(target, operator.options.get("fusedActivationFunction", 0))
    records = [
        struct.pack(CHANNEL, start, scale.stored, scale.right | scale.left << 16) + words[channel].tobytes()
        for channel, (start, scale) in enumerate(zip(shifted, scales, strict=True))
    ]
    head = struct.pack(
        HEAD,
        scratch,
        *window.numbers,
        source.zero_point[0],
        bounds.zero,
        bounds.low,
        bounds.high,
        bounds.mode(scales),
        band,
        pitch,
        plane,
        struct.calcsize(HEAD),
    )
    return Kernel("depthwise", head + b"".join(records), may_lead)


def window_of(kernel: Kernel) -> int:
    """Returns the side of the windows that a kernel of `prepare` computes, 1 for an input of one pixel."""
    return kernel.block[WINDOW_BYTE]


def band_rows(window: Window) -> int:
    """Returns the output rows that a depthwise convolution computes at a time."""
    return _band(window)[0]


def scratch_bytes(window: Window) -> int:
    """Returns the scratch memory of a depthwise convolution."""
    return 2 * _band(window)[2] * _planes(window)


def lead(window: Window) -> int:
    """Returns how many bytes before the input the output begins at least (`Kernel.lead`)."""
    return window.lead(_band(window)[0])


def block_bytes(window: Window) -> int:
    """Returns the size of the block that `prepare` makes."""
    words = 1 if _is_pixel(window) else window.sides[0] * (window.sides[0] // 2)
    return struct.calcsize(HEAD) + window.source[2] * (struct.calcsize(CHANNEL) + 4 * words)


def _is_pixel(window: Window) -> bool:
    return window.source[:2] == (1, 1)


def _planes(window: Window) -> int:
    return min(window.source[2], PLANES)


def _band(window: Window) -> tuple[int, int, int]:
    """Returns the output rows of a band, and the 16-bit values of a row and of a plane in scratch."""
    if _is_pixel(window):
        return 1, 1, 0
    planes = _planes(window)
    side, stride = window.sides[0], window.strides[0]
    pitch = (window.target[1] - 1) * stride + side
    pitch += pitch % 2
    most = SCRATCH_BYTES // (2 * pitch * planes)  # rows of the input
    band = min(max((most - side) // stride + 1, 1), window.target[0])
    bands = -(-window.target[0] // band)
    band = -(-window.target[0] // bands)  # all about as large
    return band, pitch, pitch * ((band - 1) * stride + side) + SLACK


def _words(weights: np.ndarray) -> np.ndarray:
    """Returns the rows of weights (channels, k, k) as bytes w0 w1 w1 w2, w2 w3 w3 w4 …: (channels, k, k // 2, 4)."""
    side = weights.shape[2]
    places = [[first, first + 1, first + 1, first + 2] for first in range(0, side - 1, 2)]
    return np.ascontiguousarray(weights[:, :, np.array(places)])
