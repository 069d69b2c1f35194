"""Boxes as annotations of images: one array for a whole set, whose rows are padded to the largest number of boxes.

A box is half-open, in pixels of the upright image: x0 <= x < x1, y0 <= y < y1.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# The columns of an annotation (N, boxes, FIELDS) float32.
CLASS, X0, Y0, X1, Y1, FLAG, AREA = range(7)
FIELDS = 7
CORNERS = slice(X0, Y1 + 1)
NO_BOX = -1  # the class of a row that only pads
TASKS = ("detect", "centroids")  # that learn from boxes
NORMAL, DIFFICULT, CROWD = 0, 1, 2  # values of FLAG: VOC's `difficult` and COCO's `iscrowd`


@dataclass(frozen=True)
class Box:
    """One box as a file holds it.

    label: class index; corners: x0, y0, x1, y1; flag: NORMAL, DIFFICULT or CROWD; area: in square pixels, of the
    object's outline where the data give it (COCO), None: of the box; where: the file and the line, and written: the
    numbers as they stand there, both for a finding.
    """

    label: int
    corners: tuple[float, float, float, float]
    flag: int = NORMAL
    area: float | None = None
    where: str = ""
    written: str = ""

    @property
    def is_learnt(self) -> bool:
        """Whether training has it: a crowd is no object."""
        return self.flag != CROWD

    @property
    def row(self) -> list[float]:
        """The columns of an annotation."""
        x0, y0, x1, y1 = self.corners
        return [self.label, x0, y0, x1, y1, self.flag, (x1 - x0) * (y1 - y0) if self.area is None else self.area]


def with_names(names: Iterable[str], values: Iterable[float]) -> str:
    """Returns such as "xmin 5, ymin 3", the numbers of a box as its file has them."""
    return ", ".join(f"{name} {value:g}" for name, value in zip(names, values, strict=True))


def pack(images: list[list[Box]]) -> np.ndarray:
    """Returns annotations (N, M, FIELDS) float32 of N images; M is the largest number of boxes, at least 1."""
    most = max([1, *map(len, images)])
    annotations = np.zeros((len(images), most, FIELDS), np.float32)
    annotations[..., CLASS] = NO_BOX
    for number, rows in enumerate(images):
        if rows:
            annotations[number, : len(rows)] = [box.row for box in rows]
    return annotations


def join(parts: list[np.ndarray]) -> np.ndarray:
    """Returns annotations (N, M, FIELDS) one after the other, padded to the most boxes of all."""
    most = max(part.shape[1] for part in parts)
    padding = np.zeros((1, most, FIELDS), np.float32)
    padding[..., CLASS] = NO_BOX
    return np.concatenate(
        [np.concatenate([part, np.repeat(padding[:, part.shape[1] :], len(part), axis=0)], axis=1) for part in parts]
    )


def transformed(annotations: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Returns annotations (N, M, FIELDS) with corners and area in pixels of images that were resized.

    transforms: (N, 4), a `resizing.Transform` for each image. Corners are not clipped.
    """
    scale, offset = transforms[:, None, :2], transforms[:, None, 2:]
    result = annotations.copy()
    result[..., CORNERS] = annotations[..., CORNERS] * np.tile(scale, 2) + np.tile(offset, 2)
    result[..., AREA] *= scale[..., 0] * scale[..., 1]
    return result


def learnt(annotations: np.ndarray) -> np.ndarray:
    """Returns (N, M) bool, which rows of annotations (N, M, FIELDS) are boxes to learn from: no padding, no crowds."""
    return (annotations[..., CLASS] != NO_BOX) & (annotations[..., FLAG] != CROWD)


def rarest(annotations: np.ndarray) -> np.ndarray:
    """Returns (N,) int64, for each image the class among its boxes that has fewest boxes in all; NO_BOX without any."""
    there = learnt(annotations)
    classes = np.where(there, annotations[..., CLASS], NO_BOX).astype(np.int64)
    counts = np.bincount(classes[there], minlength=1)
    rarity = np.where(there, counts[np.maximum(classes, 0)], np.iinfo(np.int64).max)
    return np.take_along_axis(classes, rarity.argmin(axis=1)[:, None], axis=1)[:, 0]


def classes_present(annotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (image, class), each (P,) int64: a pair for every class of which an image (N, M, FIELDS) has a box."""
    classes = annotations[..., CLASS].astype(np.int64)
    images, rows = np.nonzero(learnt(annotations))
    pairs = np.unique(np.stack([images, classes[images, rows]], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]
