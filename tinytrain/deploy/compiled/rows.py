"""Operators row by row: which rows of its inputs a row of an output needs.

To fuse another operator: a function kernel_NAME_rows in firmware/kernels, and its name in BY_ROWS below.
"""

import struct
from dataclasses import dataclass

from tinytrain.deploy.kernels import broadcast, depthwise
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.tflite.model import Operator

WINDOWED = ("conv", "depthwise", "conv_any", "average_pool", "max_pool")
ONE_BY_ONE = ("conv_1x1", "add", "multiply", "lookup")  # row y of the output needs row y of each input
BY_ROWS = (*WINDOWED, *ONE_BY_ONE, "pad")


@dataclass(frozen=True)
class Reach:
    """Row y of the output needs the rows from y·stride - pad on, `side` of them, those outside of the input left out.

    whole: all of it instead, a vector or constant that is no map.
    """

    side: int = 1
    stride: int = 1
    pad: int = 0
    whole: bool = False

    def first(self, row: int) -> int:
        """Returns the first row of the input that the output's `row` and those after it need."""
        return max(row * self.stride - self.pad, 0)

    def end(self, rows: int, height: int) -> int:
        """Returns the row after the last one that the first `rows` of the output need, of an input of `height`."""
        return min(max((rows - 1) * self.stride - self.pad + self.side, 0), height)


def reaches(kernel: Kernel, operator: Operator, count: int) -> list[Reach] | None:
    """Returns how each of the `count` inputs of an operator is read, or None if it cannot go row by row."""
    name, shape = kernel.name, operator.outputs[0].shape
    if name not in BY_ROWS or len(shape) != 4 or shape[0] != 1 or shape[1] < 2:
        return None
    source = operator.inputs[0]
    if source is None or len(source.shape) != 4:
        return None
    if name in ONE_BY_ONE:
        return _one_by_one(kernel, operator, count)
    if name == "pad":
        (top,) = struct.unpack_from("<H", kernel.block, 16)
        return [Reach(pad=top)]
    if name == "depthwise" and depthwise.variant(kernel) == depthwise.SMALL:
        return None
    if name == "conv_any":
        side, _, stride, _, top, _, dilation = struct.unpack_from("<4B3H", kernel.block, 16)
        return [Reach((side - 1) * dilation + 1, stride, top)]
    side, _, stride, _, top = struct.unpack_from("<5B", kernel.block, 16)
    return [Reach(side, stride, top)]


def _one_by_one(kernel: Kernel, operator: Operator, count: int) -> list[Reach] | None:
    shapes = [tensor.shape for tensor in operator.inputs if tensor is not None]
    target = operator.outputs[0].shape
    if kernel.name != "multiply":
        return [Reach()] * count
    if shapes[0] == shapes[1] == target:
        return [Reach(), Reach()]
    counts = struct.unpack_from(broadcast.SHAPE, kernel.block, 4)[: broadcast.DIMENSIONS]
    if counts[-1] != target[3] or counts[-2] != target[1] * target[2] or target not in shapes:
        return None
    return [Reach() if shape == target else Reach(whole=True) for shape in shapes]
