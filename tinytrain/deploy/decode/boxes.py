"""Boxes in integers as the firmware has them, and what the decoders of all heads have in common."""

import abc
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinytrain.config.fields import LEAST_SCORE, MOST_BOXES
from tinytrain.errors import UserError

UNITS = 16  # of a pixel: corners and anchors are in 1/16 px of the network's input
ONE = 2**15  # a probability of 1
MOST_SIDE = 2047  # pixels: a corner is an int16
MOST_CLASSES = 255
# `Box` of firmware/app/detect.h, and 12 bytes of an answer to BOXES. A box is half-open: x0 <= x < x1.
BOX = np.dtype(
    [("x0", "<i2"), ("y0", "<i2"), ("x1", "<i2"), ("y1", "<i2"), ("score", "<u2"), ("label", "u1"), ("zero", "u1")]
)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One output of a head: a map of cells.

    Args:
        stride: pixels of the input that a cell stands for.
        rows: of the map.
        columns: likewise.
        scale: real = scale · (int8 - zero_point).
        zero_point: -128..127.
    """

    stride: int
    rows: int
    columns: int
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        within("stride", self.stride, 1, 64)
        within("rows", self.rows, 1, 1024)
        within("columns", self.columns, 1, 1024)
        within("scale", self.scale, 1e-9, 1e9)
        within("zero_point", self.zero_point, -128, 127)


@dataclass(frozen=True, kw_only=True)
class Decoder(abc.ABC):
    """How the boxes of an image follow from the int8 outputs of a network.

    Args:
        side: of the network's input, in pixels.
        classes: how many.
        score: the least score of a box, 0..1.
        room: most boxes of an image.

    Raises:
        UserError: one of them is out of its range.
    """

    side: int
    classes: int
    score: float
    room: int = 100

    def __post_init__(self) -> None:
        within("side", self.side, 1, MOST_SIDE)
        within("classes", self.classes, 1, MOST_CLASSES)
        within("score", self.score, 0, 1)
        within("room", self.room, 1, MOST_BOXES)

    @property
    def least_score(self) -> int:
        """The smallest integer that is, divided by ONE, `score` or more: what the firmware compares with."""
        return math.ceil(round(self.score * ONE, 6))

    @property
    def candidates(self) -> int:
        """How many boxes the firmware holds while it decodes."""
        return self.room

    @property
    @abc.abstractmethod
    def grids(self) -> tuple[Grid, ...]:
        """Each output, in the order of the model."""

    @property
    @abc.abstractmethod
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(rows, columns, channels) of each output, in the order of the model."""

    @abc.abstractmethod
    def decode(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the boxes of an image, best first: (D,) BOX, at most `room`.

        Args:
            outputs: int8 of each output, in the order of the model and of any shape with `shapes`' number of values.
        """

    def detections(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the boxes of N images as `as_detections` gives them, padded with class -1: (N, room, 6) float32.

        Args:
            outputs: (N, …) int8 of each output, in the order of the model.
        """
        rows = np.zeros((len(outputs[0]), self.room, 6), np.float32)
        rows[..., 5] = -1
        for number, row in enumerate(rows):
            found = self.decode([output[number] for output in outputs])
            row[: len(found)] = as_detections(found)
        return rows

    def measured(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the detections that average precision is measured with, which orders those below `score` too.

        They are `detections` with LEAST_SCORE. Those of them with `score` or more are what the firmware finds.
        """
        return dataclasses.replace(self, score=LEAST_SCORE).detections(outputs)

    def maps(self, outputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Returns the outputs of an image as (rows, columns, channels) int8 each.

        Raises UserError if there are more or fewer, or of other sizes.
        """
        sizes = [(output.dtype.name, output.size) for output in outputs]
        if sizes != [("int8", int(np.prod(shape))) for shape in self.shapes]:
            raise UserError(f"the decoder expects int8 outputs {self.shapes}; received {sizes}")
        return [output.reshape(shape) for output, shape in zip(outputs, self.shapes, strict=True)]


def as_detections(boxes: np.ndarray) -> np.ndarray:
    """Returns boxes (D,) BOX as (D, 6) float32: x0, y0, x1, y1 in pixels of the input, score 0..1, class."""
    corners = [boxes[name] / UNITS for name in ("x0", "y0", "x1", "y1")]
    return np.stack([*corners, boxes["score"] / ONE, boxes["label"]], axis=1).astype(np.float32)


def rounded(value: float) -> int:
    """Returns the nearest integer, of two the larger one; `round` takes the even one."""
    return math.floor(value + 0.5)


def in_units(pixels: float) -> int:
    """Returns a length in pixels in 1/16 px, as anchors are given."""
    return rounded(pixels * UNITS)


def best(scores: np.ndarray, room: int) -> np.ndarray:
    """Returns the indices of the `room` best, best first; of equal ones the first one comes first."""
    return np.argsort(-scores.astype(np.int64), kind="stable")[:room]


def within(name: str, value: float, low: float, high: float) -> None:
    """Raises UserError unless low <= value <= high."""
    if not low <= value <= high:
        raise UserError(f"{name} of a decoder should be {low:,} to {high:,}; received {value!r}")
