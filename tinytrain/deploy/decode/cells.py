"""Objects of the head `centroid`: a map of cells with a softmax over background and classes (channel 0: background).

There are no sizes: the box of an object is its cell. With the integers of `tables.falling_exponentials` and q the
largest value of a cell

    probability = (e(q - class) · 2^15 + Σ / 2) // Σ              Σ: of e(q - value) over all channels

An object is a cell whose probability of a class is at least `score` and larger than that of each of its eight
neighbors; of equal ones the first in the order of the scan, row by row, is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinytrain.deploy.decode import tables
from tinytrain.deploy.decode.boxes import BOX, ONE, UNITS, Decoder, Grid, best


@dataclass(frozen=True, kw_only=True)
class CellDecoder(Decoder):
    """The decoder of the head `centroid`, which has one output."""

    output: Grid

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The only output."""
        return (self.output,)

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(rows, columns, channels) of the only output."""
        return ((self.output.rows, self.output.columns, 1 + self.classes),)

    @cached_property
    def table(self) -> np.ndarray:
        """(256,) uint16: e to the distance of a value to the largest one of its cell."""
        return tables.falling_exponentials(self.output.scale)

    def decode(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the cells with an object of an image, best first; see Decoder.

        Equal scores keep the order of the scan: row, column, class.
        """
        (values,) = self.maps(outputs)
        scores = self._probabilities(values)
        row, column, label = np.nonzero((scores >= self.least_score) & is_peak(scores))
        boxes = np.zeros(len(row), BOX)
        side, limit = UNITS * self.output.stride, UNITS * self.side
        for axis, cell in (("x", column), ("y", row)):
            boxes[f"{axis}0"] = np.minimum(cell * side, limit)
            boxes[f"{axis}1"] = np.minimum((cell + 1) * side, limit)
        boxes["score"], boxes["label"] = scores[row, column, label], label
        boxes = boxes[(boxes["x0"] < boxes["x1"]) & (boxes["y0"] < boxes["y1"])]
        return boxes[best(boxes["score"], self.room)]

    def _probabilities(self, values: np.ndarray) -> np.ndarray:
        """Returns the probability of each class times ONE, (rows, columns, classes) int64."""
        values = values.astype(np.int64)
        exponentials = self.table[values.max(axis=-1, keepdims=True) - values].astype(np.int64)
        total = exponentials.sum(axis=-1, keepdims=True)
        return ((exponentials * ONE + total // 2) // total)[..., 1:]


def is_peak(scores: np.ndarray) -> np.ndarray:
    """Returns where scores (rows, columns, classes) exceed those of all neighbors; of equal ones the first does."""
    rows, columns, _ = scores.shape
    padded = np.pad(scores, ((1, 1), (1, 1), (0, 0)), constant_values=-1)
    peak = np.ones(scores.shape, bool)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            neighbor = padded[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
            if (down, right) < (0, 0):  # comes before it in the scan
                peak &= scores > neighbor
            elif (down, right) > (0, 0):
                peak &= scores >= neighbor
    return peak
