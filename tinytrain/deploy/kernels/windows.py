"""Shapes, strides and padding of an operator with a window."""

from dataclasses import dataclass

from tinytrain.deploy.kernels.refusal import require
from tinytrain.tflite.model import Operator

SAME = 0  # the schema's number of this padding


@dataclass(frozen=True)
class Window:
    """Height, width and channels of both; sides, strides, dilations of the window, and the padding before it."""

    source: tuple[int, ...]
    target: tuple[int, ...]
    sides: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int]
    dilations: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, operator: Operator, sides: tuple[int, ...]) -> "Window":
        """Returns the window of an operator; raises Refusal if shapes do not fit it or are too large."""
        source, target, options = operator.inputs[0], operator.outputs[0], operator.options
        if source is None:
            raise ValueError(f"{operator.name} without input")
        require(len(source.shape) == len(target.shape) == 4, "a shape has other than 4 dimensions")
        require(source.shape[0] == target.shape[0] == 1, "it takes more than one image")
        require(min(*source.shape, *target.shape) > 0, "a dimension is 0")
        require(max(*source.shape, *target.shape) < 2**15, "a dimension is 32768 or more")
        dilations = (options.get("dilationHFactor", 1), options.get("dilationWFactor", 1))
        require(0 < min(dilations) <= max(dilations) < 2**8, "its dilation is out of range")
        height, width = sides
        strides = (options.get("strideH", 0), options.get("strideW", 0))
        require(min(strides) > 0 and max(*strides, *sides) < 2**8, "its strides or window are out of range")
        same = options.get("padding", 0) == SAME
        reach = [(side - 1) * dilation + 1 for side, dilation in zip(sides, dilations, strict=True)]
        for before, after, side, stride in zip(source.shape[1:3], target.shape[1:3], reach, strides, strict=True):
            expected = -(-before // stride) if same else (before - side) // stride + 1
            require(after == expected, "its output has another shape than its window gives")
        return cls.between(source.shape[1:], target.shape[1:], (height, width), strides, same, dilations)

    @classmethod
    def between(
        cls,
        source: tuple[int, ...],
        target: tuple[int, ...],
        sides: tuple[int, int],
        strides: tuple[int, int],
        same: bool,
        dilations: tuple[int, int] = (1, 1),
    ) -> "Window":
        """Returns the window of these shapes (height, width, channels), with padding SAME or without."""
        reach = [(side - 1) * dilation + 1 for side, dilation in zip(sides, dilations, strict=True)]
        ends = zip(source, target, reach, strides, strict=False)
        padding = [max((new - 1) * stride + side - old, 0) // 2 if same else 0 for old, new, side, stride in ends]
        return cls(source, target, sides, strides, (padding[0], padding[1]), dilations)

    @property
    def is_plain(self) -> bool:
        """Whether each output sees one input at its own place, for a window of 1x1."""
        return self.strides == (1, 1) and self.padding == (0, 0)

    def taps(self, axis: int) -> list[range]:
        """Returns, of each output along an axis, which rows (axis 0) or columns of its window lie on the input."""
        begins = [place * self.strides[axis] - self.padding[axis] for place in range(self.target[axis])]
        return [range(max(-begin, 0), min(self.source[axis] - begin, self.sides[axis])) for begin in begins]

    def lead(self, band: int, more: int = 0) -> int:
        """Returns how many bytes before the input the output begins, to overwrite only what is not read any more.

        Args:
            band: output rows that are written while all input rows of their windows are still needed.
            more: bytes that may be written beyond them.
        """
        (_, width, channels), (rows, columns, filters) = self.source, self.target
        written = [(min(top + band, rows) * columns * filters + more, top) for top in range(0, rows, band)]
        needed = width * channels
        return max(end - max(top * self.strides[0] - self.padding[0], 0) * needed for end, top in written)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The values as the structs of kernels.h begin."""
        return (*self.source, *self.target, *self.sides, *self.strides, *self.padding)
