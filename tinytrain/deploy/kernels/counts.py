"""Instructions of the kernels of firmware/kernels, from what stands in an operator's block: shapes and rounding.

Their loops depend on nothing else, so what an operator costs is linear in how often each of its parts runs. The
coefficients are least squares over single operators counted on the emulated Cortex-M7, where the kernels run alone:
`benchmarks/single_operators.py` counts and fits them. gcc 12.2.
"""

import struct
from collections import Counter
from typing import NamedTuple

from tinytrain.deploy.kernels import add, average_pool, conv, depthwise
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.scales import CLAMP, HIGHEST, LOWEST

Counts = tuple[int, ...]
TWO_PIXELS_STEP, ONE_PIXEL_STEP, TURN = 14, 10, 2  # instructions of dot.h for a word of weights, and for a turn of two
MOST_PIXELS = 255  # of average_pool.c
REGISTRATION = 90.0  # from TFLM's call to the kernel's and back (firmware/app/kernels_tflm.cc): 81 to 108

# Of each route: the instructions of a call, then of each count that `counts` returns for it. Above it: over how many
# single operators, and the largest errors there.
COEFFICIENTS: dict[str, tuple[float, ...]] = {
    # 70: -0.8 to +0.4 %
    "conv_1x1": (71.63, 12.88, 9.313, 5.56, 6.526, 60.85, 1, 43.78, 47.9, 105.5, 22.82, 23.45, 46.52),
    # 109: -0.7 to +0.9 %
    "conv": (205.9, 89.57, 47.73, 6.714, 5.517, 24.72, 0.9972, 43.56, 47.62, 106.8, 26.62, 28.26, 32.36),
    # 80: -1.3 to +1.5 %
    "conv gathered": (
        58.77,
        25.44,
        3.755,
        4.257,
        9.531,
        8.885,
        5.451,
        0,
        66.82,
        5.957,
        2.213,
        3.553,
        169.3,
        0.979,
        45.95,
        50,
        108.5,
        0,
        53.9,
        39.22,
    ),
    # 80: -1.3 to +1.8 %
    "depthwise small": (101.1, 49.69, 3.368, 4.577, 21.99, 21.95, 35.15),
    # 53: -2.1 to +0.9 %
    "depthwise 3x3": (
        0,
        235.2,
        1.252,
        0,
        18.6,
        25.82,
        15.25,
        0.8129,
        15.47,
        7.799,
        50.85,
        20.61,
        26.12,
        24.54,
        11.9,
        13.94,
        36.12,
    ),
    # 21: -1.2 to +0.7 %
    "depthwise 3x3/2": (
        161.6,
        0,
        1.601,
        110.3,
        0,
        11.25,
        14.08,
        0,
        18.89,
        5.801,
        133.9,
        0,
        16.41,
        39.05,
        21.27,
        24.06,
        46.19,
    ),
    # 43: -0.5 to +0.7 %
    "depthwise 5x5": (
        1.469,
        255.5,
        1.309,
        0,
        33.35,
        17.94,
        17.69,
        2.385,
        13.07,
        7.471,
        102,
        17.2,
        116.9,
        78.97,
        14.24,
        15.82,
        38.21,
    ),
    # 26: -0.7 to +0.7 %
    "depthwise 5x5/2": (
        196.4,
        0,
        1.623,
        112.2,
        0,
        20.65,
        12.59,
        0,
        22.53,
        6.022,
        69.98,
        33.91,
        152.2,
        107.3,
        5.065,
        7.068,
        30.15,
    ),
    # 38: -0.3 to +0.2 %
    "depthwise 7x7": (
        253.4,
        0,
        1.414,
        198,
        26.57,
        19.67,
        9.787,
        0,
        30.26,
        6.2,
        127.5,
        16.9,
        281.4,
        179.4,
        9.474,
        11.04,
        33.9,
    ),
    # 26: -0.5 to +0.3 %
    "depthwise 7x7/2": (
        198,
        0,
        1.621,
        0,
        0,
        17.83,
        14.16,
        5.946,
        10.17,
        6.67,
        182.3,
        19.8,
        267.4,
        188.9,
        7.878,
        10.18,
        32.84,
    ),
    # 42: -5.2 to +4.6 %
    "fully_connected": (89.58, 0, 0, 6.568, 6.095, 0, 1.002, 0, 0, 0, 23.06, 23.11, 45.93),
    # 28: -4.4 to +2.9 %
    "add": (44.71, 13.96, 15.01, 24.99),
    # 18: -0.5 to +0.4 %
    "average_pool": (90.88, 70.56, 36.67, 37.89, 9.013, 5.906, 47.42, 10.04, 0.9702, 6.714, 10.47),
}


def predict(kernel: Kernel) -> float:
    """Returns the predicted instructions of an operator of ours, called by TFLM."""
    return alone(kernel) + REGISTRATION


def alone(kernel: Kernel) -> float:
    """Returns the predicted instructions of the kernel's function."""
    constant, *factors = COEFFICIENTS[route(kernel)]
    return constant + sum(factor * count for factor, count in zip(factors, counts(kernel), strict=True))


def route(kernel: Kernel) -> str:
    """Returns which loops run: the kernel's name, and its case."""
    if kernel.name == "conv":
        return "conv" if _Shape.of(kernel, conv.HEAD).channels % 4 == 0 else "conv gathered"
    if kernel.name == "depthwise":
        side = depthwise.variant(kernel)
        if side == depthwise.SMALL:
            return f"depthwise {side}"
        return f"depthwise {side}x{side}" + ("/2" if _Shape.of(kernel, depthwise.HEAD).strides[0] == 2 else "")
    return kernel.name


def counts(kernel: Kernel) -> Counts:
    """Returns what the coefficients of the operator's route multiply."""
    if kernel.name in ("conv", "conv_1x1", "fully_connected"):
        return _convolution(kernel)
    if kernel.name == "depthwise":
        return _depthwise(kernel)
    if kernel.name == "add":
        _, count, *_, mode, _ = struct.unpack_from(add.BLOCK, kernel.block)
        return _by_mode(count, mode)
    return _pool(kernel)


class _Shape(NamedTuple):
    """What the structs of kernels.h begin with."""

    height: int
    width: int
    channels: int
    rows: int  # of the output, as are columns and filters
    columns: int
    filters: int
    window: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int]

    @classmethod
    def of(cls, kernel: Kernel, head: str) -> "_Shape":
        sizes = struct.unpack_from(head, kernel.block)[1:13]
        return cls._make((*sizes[:6], sizes[6:8], sizes[8:10], sizes[10:12]))

    @property
    def pixels(self) -> int:
        """The pixels of the output."""
        return self.rows * self.columns

    def seen(self, axis: int) -> list[int]:
        """Returns how many rows (axis 0) or columns of the input each of the windows along an axis sees."""
        size, outputs = (self.height, self.rows) if axis == 0 else (self.width, self.columns)
        begins = [place * self.strides[axis] - self.padding[axis] for place in range(outputs)]
        return [max(min(begin + self.window[axis], size) - max(begin, 0), 0) for begin in begins]


def _by_mode(count: int, mode: int) -> Counts:
    """Returns `count` at the place of the rounding, and 0 at those of the others."""
    return tuple(count if mode == each else 0 for each in range(CLAMP + 1))


def _convolution(kernel: Kernel) -> Counts:
    """Returns the counts of the columns (`_spread`, …), then of their products with all channels.

    The latter: columns, instructions of the inner loops, and by rounding pairs of channels of two pixels, and of one.
    """
    shape = _Shape.of(kernel, conv.HEAD)
    *_, mode, words, _, _ = struct.unpack_from(conv.HEAD, kernel.block)
    twos, ones = divmod(shape.pixels, 2)
    pairs, turns = -(-shape.filters // 2), TURN * -(-words // 2)
    steps = pairs * (twos * (TWO_PIXELS_STEP * words + turns) + ones * (ONE_PIXEL_STEP * words + turns))
    mode = CLAMP if shape.filters == 1 else mode
    products = (twos + ones, steps, *_by_mode(twos * pairs, mode), *_by_mode(ones * pairs, mode))
    if kernel.name == "conv":
        return (*(_spread(shape) if shape.channels % 4 == 0 else _gathered(shape, words)), *products)
    whole, rest = divmod(shape.channels, 4)
    return (twos * whole, twos * rest, ones * whole, ones * rest, *products)


def _spread(shape: _Shape) -> Counts:
    """Returns (pixels, rows of windows on the input, words on it, words of padding)."""
    rows, columns = sum(shape.seen(0)), sum(shape.seen(1))
    words = shape.channels // 4
    every = shape.pixels * shape.window[0] * shape.window[1]
    return (shape.pixels, rows * shape.columns, rows * columns * words, (every - rows * columns) * words)


def _gathered(shape: _Shape, words: int) -> Counts:
    """Returns the counts of windows that are copied first.

    (pixels, words spread; of windows inside the input: them, rows, words, bytes left over; of the others: them, rows,
    words, bytes left over, bytes of padding).
    """
    height, width = shape.window
    row = width * shape.channels
    seen = Counter((rows, columns) for rows in shape.seen(0) for columns in shape.seen(1))
    inside = seen.pop((height, width), 0) if shape.channels * shape.width >= 3 else 0
    border = shape.pixels - inside
    whole, rest = divmod(row, 4)
    of_inside = (inside, inside * height, inside * ((height - 1) * -(-row // 4) + whole), inside * rest)
    copied: Counter[int] = Counter()
    for (rows, columns), windows in seen.items():
        copied[columns * shape.channels] += windows * rows  # bytes of a row, and how often
    words_copied = sum(each // 4 * times for each, times in copied.items())
    bytes_copied = sum(each % 4 * times for each, times in copied.items())
    filled = border * height * row - sum(each * times for each, times in copied.items())
    of_border = (border, border * height, words_copied, bytes_copied, filled)
    return (shape.pixels, shape.pixels * words, *of_inside, *of_border)


def _depthwise(kernel: Kernel) -> Counts:
    """Returns how often the parts of a depthwise convolution run.

    On a small map: (pixels, rows that windows see, values that they see, by rounding the outputs). Else:
    (bands, words filled; of four channels: bands, rows, pairs, values left over; of single ones: bands, rows, values;
    of all: bands, rows, sums of four outputs and of two, by rounding the outputs).
    """
    shape = _Shape.of(kernel, depthwise.HEAD)
    *_, mode, band, pitch, plane, _ = struct.unpack_from(depthwise.HEAD, kernel.block)
    channels = shape.channels
    if depthwise.variant(kernel) == depthwise.SMALL:
        seen_rows, seen_columns = sum(shape.seen(0)), sum(shape.seen(1))
        rows_summed, summed = channels * seen_rows * shape.columns, channels * seen_rows * seen_columns
        return (shape.pixels, rows_summed, summed, *_by_mode(channels * shape.pixels, mode))
    fours, singles = divmod(channels, 4)
    tops = range(0, shape.rows, band)
    rows = 0  # of the input that bands see
    for top in tops:
        first = top * shape.strides[0] - shape.padding[0]
        height = (min(band, shape.rows - top) - 1) * shape.strides[0] + shape.window[0]
        rows += min(first + height, shape.height) - max(first, 0)
    bands, columns = len(tops), min(shape.width, pitch - shape.padding[1])
    lines = channels * shape.rows
    return (
        bands,
        bands * (min(channels, 4) * plane // 2),
        fours * bands,
        fours * rows,
        fours * rows * (columns // 2),
        fours * rows * (columns % 2),
        singles * bands,
        singles * rows,
        singles * rows * columns,
        channels * bands,
        lines,
        lines * ((shape.columns + 1) // 4),
        lines * (shape.columns % 4 in (1, 2)),
        *_by_mode(lines * shape.columns, mode),
    )


def _pool(kernel: Kernel) -> Counts:
    """Returns the counts of a pool.

    (pixels; of four channels of a pixel: them, sums of 16 bits, rows, values; of single ones: the same; outputs that
    are clamped).
    """
    shape = _Shape.of(kernel, average_pool.BLOCK)
    *_, low, high = struct.unpack_from(average_pool.BLOCK, kernel.block)
    result = [0] * 8
    for rows in shape.seen(0):
        for columns in shape.seen(1):
            fours = shape.channels // 4 if columns <= MOST_PIXELS else 0
            sums = -(-rows // (MOST_PIXELS // columns)) if fours else 0
            for first, count in ((0, fours), (4, shape.channels - 4 * fours)):
                for place, each in enumerate((1, sums, rows, rows * columns), first):
                    result[place] += count * each
    clamped = shape.pixels * shape.channels if (low, high) != (LOWEST, HIGHEST) else 0
    return (shape.pixels, *result, clamped)
