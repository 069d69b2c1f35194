"""Boxes of heads with anchors (YOLOv3; Redmon and Farhadi 2018): a sigmoid places them, an exponential sizes them.

In a cell of an output, each anchor has tx, ty, tw, th, objectness and a value for each class, anchor by anchor. With
integers of `tables`, and corners in 1/16 px:

    score = (σ(objectness) · σ(class) + 2^14) >> 15               both with the gain that the loss has
    x     = ((column << 15) + σ(tx)) · stride >> 11               y likewise
    width = e^tw · anchor's width >> 16                           at most 32767
    x0, x1 = x - (width >> 1), x + ((width + 1) >> 1)             clipped to the input
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinytrain.config.fields import MOST_BOXES, is_hundredths
from tinytrain.deploy.decode import tables
from tinytrain.deploy.decode.boxes import BOX, UNITS, Decoder, Grid, best, rounded, within
from tinytrain.errors import UserError

LARGEST = 32767  # width of a box in 1/16 px
BEFORE_CLASSES = 5  # tx, ty, tw, th, objectness
_TX, _TY, _TW, _TH, _OBJECTNESS = range(BEFORE_CLASSES)


@dataclass(frozen=True, kw_only=True)
class Output(Grid):
    """One output of a head with anchors.

    anchors: width and height of each in 1/16 px (`boxes.in_units`), in the order of the channels.
    """

    anchors: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        within("number of anchors", len(self.anchors), 1, 16)
        for side in (side for anchor in self.anchors for side in anchor):
            within("anchor", side, 1, 2**16 - 1)


@dataclass(frozen=True)
class Tables:
    """The tables of one output: (256,) uint16 for objectness and classes, for tx and ty; (256,) uint32 for tw and th.

    least_objectness: the smallest objectness -128..127 with which a score can be large enough; 128 if none can.
    """

    scores: np.ndarray
    places: np.ndarray
    sizes: np.ndarray
    least_objectness: int


@dataclass(frozen=True, kw_only=True)
class AnchorDecoder(Decoder):
    """The decoder of a head with anchors; `outputs` are in the order of the model.

    gain: what objectness and classes are multiplied by before their sigmoid; nms: of two boxes of a class with more
    overlap (IoU) than this, in hundredths, the better one is kept.
    """

    gain: float
    nms: float
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        within("gain", self.gain, 1e-3, 1e3)
        within("nms", self.nms, 0, 1)
        within("number of outputs", len(self.outputs), 1, 8)
        if not is_hundredths(self.nms):
            raise UserError(
                f"nms of a decoder should be in hundredths, as the firmware compares it; received {self.nms!r}"
            )

    @property
    def overlap(self) -> int:
        """`nms` in hundredths, as the firmware compares it."""
        return rounded(100 * self.nms)

    @property
    def candidates(self) -> int:
        """How many boxes suppression begins with: as many as for the float model, so that both find the same."""
        return MOST_BOXES

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The outputs."""
        return self.outputs

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(rows, columns, channels) of each output."""
        channels = BEFORE_CLASSES + self.classes
        return tuple((output.rows, output.columns, len(output.anchors) * channels) for output in self.outputs)

    @property
    def scanned(self) -> list[int]:
        """The numbers of the outputs in the order in which they are scanned: the largest stride first."""
        return sorted(range(len(self.outputs)), key=lambda number: -self.outputs[number].stride)

    @cached_property
    def tables(self) -> tuple[Tables, ...]:
        """The tables of each output."""
        return tuple(map(self._tables, self.outputs))

    def _tables(self, output: Output) -> Tables:
        scores = tables.sigmoids(output.scale, output.zero_point, self.gain)
        return Tables(
            scores=scores,
            places=tables.sigmoids(output.scale, output.zero_point),
            sizes=tables.exponentials(output.scale, output.zero_point),
            least_objectness=int(np.searchsorted(scores, self.least_score)) - 128,
        )

    def decode(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Returns the boxes of an image, best first; see Decoder.

        Equal scores keep the order of the scan: output, row, column, anchor, class. Only the `candidates` best boxes
        are compared with each other.
        """
        maps = self.maps(outputs)
        candidates = np.concatenate([self._candidates(number, maps[number]) for number in self.scanned])
        strongest = candidates[best(candidates["score"], self.candidates)]
        return strongest[kept(strongest, self.overlap)[: self.room]]

    def _candidates(self, number: int, values: np.ndarray) -> np.ndarray:
        """Returns all boxes (n,) BOX with the least score in one output (rows, columns, channels), in scan order."""
        output, table = self.outputs[number], self.tables[number]
        cells = values.reshape(output.rows, output.columns, len(output.anchors), BEFORE_CLASSES + self.classes)
        row, column, anchor = np.nonzero(cells[..., _OBJECTNESS] >= table.least_objectness)
        found = cells[row, column, anchor].astype(np.int64) + 128  # (n, 5 + classes), as indices of tables
        scores = (table.scores[found[:, _OBJECTNESS, None]].astype(np.int64) * table.scores[found[:, 5:]] + 2**14) >> 15
        sides = np.array(output.anchors, np.int64)[anchor]
        x0, x1 = self._edges(column, found[:, _TX], found[:, _TW], sides[:, 0], output.stride, table)
        y0, y1 = self._edges(row, found[:, _TY], found[:, _TH], sides[:, 1], output.stride, table)
        there = (x0 < x1) & (y0 < y1)  # else it is outside of the input, or thinner than 1/16 px
        place, label = np.nonzero((scores >= self.least_score) & there[:, None])
        boxes = np.zeros(len(place), BOX)
        for name, edge in (("x0", x0), ("y0", y0), ("x1", x1), ("y1", y1)):
            boxes[name] = edge[place]
        boxes["score"], boxes["label"] = scores[place, label], label
        return boxes

    def _edges(
        self, cell: np.ndarray, t_center: np.ndarray, t_side: np.ndarray, anchor: np.ndarray, stride: int, table: Tables
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns both edges (n,) of boxes along one axis, in 1/16 px."""
        center = ((cell << 15) + table.places[t_center]) * stride >> 11
        side = np.minimum(table.sizes[t_side] * anchor >> 16, LARGEST)
        limit = UNITS * self.side
        return np.clip(center - (side >> 1), 0, limit), np.clip(center + ((side + 1) >> 1), 0, limit)


def kept(boxes: np.ndarray, overlap: int) -> np.ndarray:
    """Returns the indices of boxes (n,) BOX, best first, that no better one of their class suppresses.

    With intersection I and areas A and B, IoU > overlap / 100 is (100 + overlap) · I > overlap · (A + B).
    """
    x0, y0, x1, y1 = (boxes[name].astype(np.int64) for name in ("x0", "y0", "x1", "y1"))
    width = np.minimum.outer(x1, x1) - np.maximum.outer(x0, x0)
    height = np.minimum.outer(y1, y1) - np.maximum.outer(y0, y0)
    areas = (x1 - x0) * (y1 - y0)
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    suppresses = (100 + overlap) * intersection > overlap * np.add.outer(areas, areas)
    suppresses &= np.equal.outer(boxes["label"], boxes["label"])
    alive = np.ones(len(boxes), bool)
    for index in range(len(boxes)):
        if alive[index]:
            alive[index + 1 :] &= ~suppresses[index, index + 1 :]
    return np.flatnonzero(alive)
