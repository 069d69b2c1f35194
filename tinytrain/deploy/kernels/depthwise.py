"""DEPTHWISE_CONV_2D for firmware/kernels/depthwise.c, and for depthwise_small.c where a map has few pixels.

Rows and columns of a window that never meet anything but the border are left out: of 7x7 on a map of 3x3 pixels 5x5 are
left, of any window on a single pixel one weight.
"""

import struct
from dataclasses import dataclass, replace

import numpy as np

from tinytrain.deploy.kernels.conv import bias_of, channel_scales, int8_weights, shifted_bias
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import Bounds
from tinytrain.deploy.kernels.windows import Window
from tinytrain.tflite.model import Model, Operator

HEAD = "<I6H6B4bBx2H2I"  # KernelDepthwise
WINDOW_AT, PLANE_AT = 16, 32  # bytes of it
CHANNEL = "<2iI"  # KernelChannel
WINDOWS, STRIDES = ((3, 3), (5, 5), (7, 7)), ((1, 1), (2, 2))
PLANES = 4  # channels that are spread at once
SCRATCH_BYTES = 4096  # for their planes; where these are larger, bands of them
SLACK = 8  # values that four outputs read beyond the end of a row
SMALL = "small"  # the variant of depthwise_small.c
MOST_COLUMNS = 3  # of the input that one of its windows sees
# Beside a variant with windows of that side, SMALL is faster up to so many values of a channel that all windows see
# together: both were counted on the emulated Cortex-M7 for maps of 1x1 to 6x6 pixels.
MOST_SEEN = {3: 25, 5: 81, 7: 144}


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
    loops = _Loops.of(window)
    (top, left), (height, width) = loops.first, loops.window.sides
    weights = int8_weights(model, filters)[0, top : top + height, left : left + width].transpose(2, 0, 1)
    words = _plain_words(weights) if loops.is_small else _words(weights)
    scales = channel_scales(source, filters, target, channels)
    bias = bias_of(model, operator, channels)
    shifted = shifted_bias(weights.reshape(channels, -1), bias, source.zero_point[0], scales)
    starts = bias.tolist() if loops.is_small else shifted
    bounds = Bounds.of(target, operator.options.get("fusedActivationFunction", 0))
    records = [
        struct.pack(CHANNEL, start, scale.stored, scale.right | scale.left << 16) + words[channel].tobytes()
        for channel, (start, scale) in enumerate(zip(starts, scales, strict=True))
    ]
    head = struct.pack(
        HEAD,
        scratch_bytes(window),
        *loops.window.numbers,
        source.zero_point[0],
        bounds.zero,
        bounds.low,
        bounds.high,
        bounds.mode(scales),
        loops.band,
        loops.pitch,
        loops.plane,
        struct.calcsize(HEAD),
    )
    return Kernel("depthwise", head + b"".join(records), lead(window))


def variant(kernel: Kernel) -> str:
    """Returns which function runs a kernel of `prepare`: SMALL, or the side of the windows that it computes."""
    (plane,) = struct.unpack_from("<I", kernel.block, PLANE_AT)
    return str(kernel.block[WINDOW_AT]) if plane else SMALL


def is_small(window: Window) -> bool:
    """Returns whether SMALL runs a depthwise convolution."""
    return _Loops.of(window).is_small


def band_rows(window: Window) -> int:
    """Returns the output rows that a depthwise convolution computes at a time."""
    return _Loops.of(window).band


def scratch_bytes(window: Window) -> int:
    """Returns the scratch memory of a depthwise convolution."""
    return 2 * _Loops.of(window).plane * _planes(window)


def lead(window: Window) -> int:
    """Returns how many bytes before the input the output begins at least (`Kernel.lead`)."""
    loops = _Loops.of(window)
    return loops.window.lead(loops.band)


def block_bytes(window: Window) -> int:
    """Returns the size of the block that `prepare` makes."""
    loops = _Loops.of(window)
    height, width = loops.window.sides
    words = -(-height * width // 4) if loops.is_small else height * (width // 2)
    return struct.calcsize(HEAD) + window.source[2] * (struct.calcsize(CHANNEL) + 4 * words)


@dataclass(frozen=True)
class _Loops:
    """What the loops of a kernel go by.

    window: the operator's without what is left out of it; first: the first row and column of it that are not; band,
    pitch, plane: as in KernelDepthwise.
    """

    window: Window
    first: tuple[int, int]
    band: int = 1
    pitch: int = 0
    plane: int = 0

    @classmethod
    def of(cls, window: Window) -> "_Loops":
        """Returns the loops of a convolution."""
        rows, columns = (window.taps(axis) for axis in (0, 1))
        first = min(each.start for each in rows), min(each.start for each in columns)
        sides = max(each.stop for each in rows) - first[0], max(each.stop for each in columns) - first[1]
        side = min(side for side, _ in WINDOWS if side >= max(sides))
        seen = sum(map(len, rows)) * sum(map(len, columns))
        if seen <= MOST_SEEN[side] and max(map(len, columns)) <= MOST_COLUMNS:
            return cls(_cut(window, first, sides), first)
        first = min(first[0], window.sides[0] - side), min(first[1], window.sides[1] - side)
        cut = _cut(window, first, (side, side))
        return cls(cut, first, *_band(cut))

    @property
    def is_small(self) -> bool:
        """Whether they are those of SMALL."""
        return self.plane == 0


def _cut(window: Window, first: tuple[int, int], sides: tuple[int, int]) -> Window:
    """Returns the part of a window that begins at row and column `first`."""
    padding = window.padding[0] - first[0], window.padding[1] - first[1]
    return replace(window, sides=sides, padding=padding)


def _planes(window: Window) -> int:
    return min(window.source[2], PLANES)


def _band(window: Window) -> tuple[int, int, int]:
    """Returns the output rows of a band, and the 16-bit values of a row and of a plane in scratch."""
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


def _plain_words(weights: np.ndarray) -> np.ndarray:
    """Returns weights (channels, height, width) row by row, filled up with zeros to words: (channels, bytes)."""
    flat = weights.reshape(len(weights), -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4)))
