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
    # 70: -1 to 0 %
    "conv_1x1": (59.02, 12.89, 9.341, 5.665, 6.964, 60.76, 1, 43.78, 47.91, 105.5, 22.84, 23.47, 46.4),
    # 109: ±1 %
    "conv": (184.7, 80.35, 39.83, 6.702, 5.579, 19.15, 0.9971, 43.53, 47.57, 106.8, 27.07, 28.82, 31.22),
    # 80: -1 to +2 %
    "conv gathered": (
        13.64,
        14.7,
        3.294,
        9.939,
        3.492,
        9.395,
        5.867,
        0,
        56.46,
        7.218,
        2.555,
        3.446,
        176.1,
        0.9782,
        46.03,
        50.07,
        108.6,
        0,
        55.45,
        39.41,
    ),
    # 15: ±1 %
    "depthwise 1x1": (42.86, 20.06, 20.02, 27.81),
    # 63: -2 to +3 %
    "depthwise 3x3": (
        160.7,
        0,
        1.39,
        0,
        18.26,
        23.12,
        24.81,
        11.26,
        11.86,
        7.483,
        60.1,
        14.84,
        17.11,
        19.44,
        14.76,
        16.8,
        38.99,
    ),
    # 36: -4 to +3 %
    "depthwise 3x3/2": (
        161.6,
        0,
        1.447,
        0,
        39.66,
        9.447,
        1.108,
        35.06,
        0,
        7.526,
        61.18,
        0,
        58,
        37.19,
        12.61,
        15.38,
        37.53,
    ),
    # 53: ±1 %
    "depthwise 5x5": (
        0,
        216,
        1.398,
        17.6,
        27.05,
        18.22,
        11.27,
        0,
        10.22,
        7.159,
        90.51,
        18.17,
        127.5,
        83.44,
        11.43,
        13,
        35.5,
    ),
    # 36: -1 to +2 %
    "depthwise 5x5/2": (
        86.58,
        0,
        1.989,
        0,
        48.95,
        15.87,
        12.82,
        30.56,
        14.03,
        6.669,
        111,
        0.3966,
        152.2,
        105.1,
        7.494,
        9.446,
        32.88,
    ),
    # 48: ±1 %
    "depthwise 7x7": (
        0,
        207.2,
        1.332,
        83.18,
        22.31,
        19.15,
        13.42,
        0,
        20.11,
        6.47,
        144.8,
        18.21,
        272.6,
        174.2,
        11.6,
        13.37,
        36.21,
    ),
    # 36: ±1 %
    "depthwise 7x7/2": (
        60.83,
        171.5,
        1.432,
        69.21,
        36.54,
        17.17,
        11.77,
        0,
        16.6,
        6.742,
        154.1,
        3.732,
        260.6,
        183.9,
        9.184,
        11.72,
        34.45,
    ),
    # 42: -6 to +5 %
    "fully_connected": (90.34, 0, 0, 6.556, 5.862, 0, 1.002, 0, 0, 0, 22.99, 23.04, 45.92),
    # 28: -4 to +3 %
    "add": (45.07, 13.97, 15, 24.99),
    # 18: ±1 %
    "average_pool": (73.13, 56.03, 43.57, 31.84, 6.902, 6.018, 26.43, 18.05, 6.23, 6.124),
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
