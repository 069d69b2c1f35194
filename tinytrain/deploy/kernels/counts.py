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
from tinytrain.deploy.kernels.scales import CLAMP

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
    # 15: -0.8 to +1.2 %
    "depthwise 1x1": (68.26, 19.06, 19.04, 26.85),
    # 63: -2.1 to +2.4 %
    "depthwise 3x3": (
        195.4,
        0,
        1.404,
        0,
        28.11,
        23.13,
        25.31,
        12.08,
        18.06,
        7.463,
        60,
        14.96,
        16.45,
        19.11,
        14.92,
        16.95,
        39.14,
    ),
    # 36: -3.7 to +3.3 %
    "depthwise 3x3/2": (
        193.7,
        0,
        1.489,
        0,
        49.54,
        8.815,
        0.1594,
        36.78,
        6.011,
        7.423,
        61.23,
        0,
        58.24,
        37.38,
        12.84,
        15.63,
        37.79,
    ),
    # 53: -0.7 to +1.0 %
    "depthwise 5x5": (
        0,
        252.9,
        1.388,
        9.685,
        37.33,
        18.16,
        11.23,
        0,
        15.86,
        7.197,
        92.35,
        18.17,
        127.5,
        83.45,
        11.43,
        13,
        35.5,
    ),
    # 36: -1.1 to +1.7 %
    "depthwise 5x5/2": (
        121.8,
        0,
        1.992,
        0,
        57.99,
        15.93,
        12.65,
        31.28,
        20.08,
        6.647,
        111.1,
        0.8156,
        152.1,
        105,
        7.511,
        9.448,
        32.89,
    ),
    # 48: -0.6 to +0.5 %
    "depthwise 7x7": (
        0,
        243.4,
        1.327,
        77.83,
        32.65,
        19.09,
        13.32,
        0,
        26,
        6.486,
        146.1,
        18.2,
        272.6,
        174.2,
        11.6,
        13.37,
        36.21,
    ),
    # 36: -0.6 to +0.6 %
    "depthwise 7x7/2": (
        92.96,
        172.9,
        1.44,
        60.43,
        47.01,
        17.18,
        11.93,
        0,
        22.54,
        6.756,
        156.2,
        3.604,
        260.8,
        184,
        9.099,
        11.63,
        34.36,
    ),
    # 42: -5.2 to +4.6 %
    "fully_connected": (89.58, 0, 0, 6.568, 6.095, 0, 1.002, 0, 0, 0, 23.06, 23.11, 45.93),
    # 28: -4.4 to +2.9 %
    "add": (44.71, 13.96, 15.01, 24.99),
    # 18: -0.7 to +1.0 %
    "average_pool": (87.88, 64.2, 64.8, 34.07, 9.968, 6.016, 29.54, 18.9, 8.422, 6.112),
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
        shape = _Shape.of(kernel, depthwise.HEAD)
        side = shape.window[0]
        return f"depthwise {side}x{side}" + ("/2" if shape.strides[0] == 2 else "")
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
    """Returns how often the parts of a depthwise convolution run; of an input of one pixel, by rounding, its channels.

    (bands, words filled; of four channels: bands, rows, pairs, values left over; of single ones: bands, rows, values;
    of all: bands, rows, sums of four outputs and of two, by rounding the outputs).
    """
    shape = _Shape.of(kernel, depthwise.HEAD)
    *_, mode, band, pitch, plane, _ = struct.unpack_from(depthwise.HEAD, kernel.block)
    channels = shape.channels
    if shape.window == (1, 1):
        return _by_mode(channels, mode)
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
    """Returns (pixels; of four channels of a pixel: them, sums of 16 bits, rows, values; of single ones: the same)."""
    shape = _Shape.of(kernel, average_pool.BLOCK)
    result = [0] * 8
    for rows in shape.seen(0):
        for columns in shape.seen(1):
            fours = shape.channels // 4 if columns <= MOST_PIXELS else 0
            sums = -(-rows // (MOST_PIXELS // columns)) if fours else 0
            for first, count in ((0, fours), (4, shape.channels - 4 * fours)):
                for place, each in enumerate((1, sums, rows, rows * columns), first):
                    result[place] += count * each
    return (shape.pixels, *result)
