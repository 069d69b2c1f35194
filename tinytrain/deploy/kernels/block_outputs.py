"""What an operator of ours computes, in NumPy, from nothing but its block of constants: a second reader of the blocks.

It is how an export proves what stands in the C array (exporting/kernel_parity.py), where no core and no C compiler may
be at hand. Sums are exact: float64 holds what 32 bits do.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinytrain.deploy.kernels import add, average_pool, conv, depthwise
from tinytrain.deploy.kernels.scales import CLAMP, HIGHEST, LOWEST, SATURATE


@dataclass(frozen=True)
class _Shape:
    """Height, width and channels of input and output; sides and strides of the window, and the padding before it."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    sides: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int]

    @classmethod
    def of(cls, numbers: Sequence[int]) -> "_Shape":
        height, width, vertical, horizontal, top, left = numbers[6:12]
        return cls(tuple(numbers[:3]), tuple(numbers[3:6]), (height, width), (vertical, horizontal), (top, left))

    def views(self, images: np.ndarray, border: int) -> list[tuple[int, int, np.ndarray]]:
        """Returns (row, column, values) of each place in the window: what every output sees there."""
        rows, columns = self.target[:2]
        sides = zip(self.source, self.target, self.sides, self.strides, self.padding, strict=False)
        after = [max((new - 1) * stride + side - old - before, 0) for old, new, side, stride, before in sides]
        margins = [(before, more) for before, more in zip(self.padding, after, strict=True)]
        padded = np.pad(images, ((0, 0), *margins, (0, 0)), constant_values=border)
        vertical, horizontal = self.strides
        return [
            (y, x, padded[:, y::vertical, x::horizontal][:, :rows, :columns])
            for y in range(self.sides[0])
            for x in range(self.sides[1])
        ]


@dataclass(frozen=True)
class _Requantize:
    """As firmware/kernels/requantize.h; multiplier and shifts are one number or one for each channel."""

    multiplier: np.ndarray
    right: np.ndarray
    left: np.ndarray
    zero: int
    low: int
    high: int
    mode: int

    def __call__(self, sums: np.ndarray) -> np.ndarray:
        clamped = self.mode == CLAMP
        high = _scaled(sums << self.left if clamped else sums, self.multiplier)
        divided = _divided(high, self.right, away_from_zero=self.mode != SATURATE)
        low, most = (self.low, self.high) if clamped else (LOWEST, HIGHEST)
        return np.clip(divided + self.zero, low, most).astype(np.int8)


def outputs(name: str, block: bytes, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the output (N, elements) int8 of a kernel; `inputs` are (N, …) int8 each."""
    result = _RUN[name](block, inputs)
    return result.reshape(len(result), -1)


def _scaled(values: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Returns x·m/2^31, halves up, of the m that stands as 2m - 2^32."""
    return (values * ((stored.astype(np.int64) + 2**32) >> 1) + 2**30) >> 31


def _divided(values: np.ndarray, right: np.ndarray, away_from_zero: bool) -> np.ndarray:
    """Returns values / 2^right; halves go up, or away from 0."""
    half = (1 << right) >> 1
    sign = np.where(right > 0, values >> 63, 0) if away_from_zero else 0
    return (values + sign + half) >> right


def _conv(block: bytes, inputs: Sequence[np.ndarray]) -> np.ndarray:
    _, *numbers, zero, output_zero, low, high, mode, words, first, weights_at = struct.unpack_from(conv.HEAD, block)
    shape = _Shape.of(numbers)
    channels = shape.target[2]
    pairs = conv.channel_pairs(channels)
    bias, multiplier, right, left = np.zeros((4, channels), np.int64)
    values = np.frombuffer(block, np.int8, 8 * words * len(pairs), weights_at).reshape(len(pairs), words, 2, 4)
    weights = np.zeros((channels, 4 * words))
    for number, pair in enumerate(pairs):
        *pair_values, shifts = struct.unpack_from(conv.PAIR, block, first + number * struct.calcsize(conv.PAIR))
        for place, channel in enumerate(pair):
            bias[channel], multiplier[channel] = pair_values[place], pair_values[2 + place]
            right[channel], left[channel] = shifts >> 8 * place & 0xFF, shifts >> 8 * (2 + place) & 0xFF
            weights[channel] = values[number, :, place].reshape(-1)
    images = inputs[0].reshape(len(inputs[0]), *shape.source)
    depth = shape.source[2]
    windows = weights[:, : shape.sides[0] * shape.sides[1] * depth].reshape(channels, *shape.sides, depth)
    sums = np.zeros((len(images), *shape.target))
    for y, x, seen in shape.views(images, zero):
        sums += seen.astype(np.float64) @ windows[:, y, x].T
    return _Requantize(multiplier, right, left, output_zero, low, high, mode)(sums.astype(np.int64) + bias)


def _depthwise(block: bytes, inputs: Sequence[np.ndarray]) -> np.ndarray:
    head = struct.unpack_from(depthwise.HEAD, block)
    _, *numbers, zero, output_zero, low, high, mode, _band, _pitch, plane, first = head
    shape = _Shape.of(numbers)
    (height, width), channels = shape.sides, shape.source[2]
    weight_bytes = 4 * (height * (width // 2) if plane else -(-height * width // 4))
    record = np.dtype([("bias", "<i4"), ("multiplier", "<i4"), ("shifts", "<u4"), ("weights", "i1", weight_bytes)])
    records = np.frombuffer(block, record, channels, first)
    weights = records["weights"]
    if plane:  # w0 w1 w1 w2, w2 w3 w3 w4 …: bytes 0 and 1 of each word, and the last byte of a row
        rows = weights.reshape(channels, height, width // 2, 4)
        weights = np.concatenate([rows[..., :2].reshape(channels, height, -1), rows[..., -1, 3:]], axis=2)
    weights = weights.reshape(channels, -1)[:, : height * width].reshape(channels, height, width)
    images = inputs[0].reshape(len(inputs[0]), *shape.source).astype(np.int32)
    if not plane:  # the bias holds no zero point
        images, zero = images - zero, 0
    sums = np.zeros((len(images), *shape.target), np.int64)
    for y, x, seen in shape.views(images, zero):
        sums += seen * weights[:, y, x].astype(np.int32)
    right, left = records["shifts"] & 0xFF, records["shifts"] >> 16 & 0xFF
    scale = (records["multiplier"].astype(np.int64), right.astype(np.int64), left.astype(np.int64))
    return _Requantize(*scale, output_zero, low, high, mode)(sums + records["bias"])


def _add(block: bytes, inputs: Sequence[np.ndarray]) -> np.ndarray:
    _, _count, *offsets, smaller_multiplier, multiplier, smaller_right, right, zero, low, high, mode, swapped = (
        struct.unpack_from(add.BLOCK, block)
    )
    larger, smaller = (each.astype(np.int64) for each in (inputs[::-1] if swapped else inputs))
    second = _scaled(offsets[1] + (smaller << add.LEFT), np.array(smaller_multiplier))
    second = _divided(second, np.array(smaller_right), away_from_zero=True)
    sums = offsets[0] + (larger << (add.LEFT - 1)) + second
    scale = (np.array(multiplier), np.array(right), np.array(0))
    return _Requantize(*scale, zero, low, high, mode)(sums)


def _average_pool(block: bytes, inputs: Sequence[np.ndarray]) -> np.ndarray:
    _, *numbers, low, high = struct.unpack_from(average_pool.BLOCK, block)
    shape = _Shape.of(numbers)
    images = inputs[0].reshape(len(inputs[0]), *shape.source).astype(np.int64)
    sums = sum(seen for _, _, seen in shape.views(images, 0))
    seen_pixels = sum(seen for _, _, seen in shape.views(np.ones((1, *shape.source[:2], 1), np.int64), 0))
    means = np.sign(sums) * ((np.abs(sums) + seen_pixels // 2) // seen_pixels)
    return np.clip(means, low, high).astype(np.int8)


_RUN: dict[str, Callable[[bytes, Sequence[np.ndarray]], np.ndarray]] = {
    "conv": _conv,
    "conv_1x1": _conv,
    "fully_connected": _conv,
    "depthwise": _depthwise,
    "add": _add,
    "average_pool": _average_pool,
}
