"""Which detections overlap which true boxes: the boxes of all images in flat arrays, and every pair that meets.

Everything that detection is measured by starts here. It is NumPy alone: figures are asked for without TensorFlow, and
float64 as in pycocotools, because a pair at exactly IoU 0.5 decides.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from tinytrain.data.boxes import AREA, CLASS, CORNERS, CROWD, FLAG, NO_BOX

SCORE, LABEL = 4, 5  # columns of a detection, behind x0, y0, x1, y1
PAIRS_AT_ONCE = 2_000_000  # bounds the memory that pairs take before the most of them are dropped
# Of n pairs: corners (n, 4) of the detections and of the true boxes, and whether each of the latter is a crowd.
Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Detected:
    """D detections by score falling; of equal scores the earlier image is first, in it the earlier row.

    image, label: (D,) int64; score: (D,) float64; corners: (D, 4) float64.
    """

    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    corners: np.ndarray


@dataclass(frozen=True)
class Truth:
    """G true boxes in the order of the images and of the rows.

    image, label, flag: (G,) int64; corners: (G, 4) float64; area: (G,) float64, as the annotations have it.
    """

    image: np.ndarray
    label: np.ndarray
    flag: np.ndarray
    corners: np.ndarray
    area: np.ndarray


@dataclass(frozen=True)
class Overlaps:
    """Detections, true boxes and the P pairs of them that overlap enough to matter.

    detection, true: (P,) indices into `detected` and `truth`, `detection` ascending; overlap: (P,) the IoU of each
    pair; with a crowd, the share of the detection that lies in it.
    """

    detected: Detected
    truth: Truth
    detection: np.ndarray
    true: np.ndarray
    overlap: np.ndarray

    def within_classes(self) -> "Overlaps":
        """Returns the pairs whose detection and true box are of one class."""
        same = self.detected.label[self.detection] == self.truth.label[self.true]
        return Overlaps(self.detected, self.truth, self.detection[same], self.true[same], self.overlap[same])


def find(
    detections: np.ndarray,
    annotations: np.ndarray,
    least: float = 0.5,
    any_class: bool = False,
    measure: Measure | None = None,
) -> Overlaps:
    """Returns all pairs of a detection and a true box of the same image that overlap by `least` or more.

    Args:
        detections: (N, D, 6) x0, y0, x1, y1, score, class; class -1 pads.
        annotations: (N, M, 7) as in `data/boxes.py`, in the same pixels.
        least: the smallest overlap to keep, above 0.
        any_class: also pairs of different classes.
        measure: gives the overlap of pairs; None: `iou`.
    """
    detected, truth = _detected(detections), _truth(annotations)
    classes = 1 + max(detected.label.max(initial=0), truth.label.max(initial=0))
    keys, true_keys = (each.image if any_class else each.image * classes + each.label for each in (detected, truth))
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for detection, true in _pairs(keys, true_keys):
        crowd = truth.flag[true] == CROWD
        overlap = (measure or iou)(detected.corners[detection], truth.corners[true], crowd)
        kept = overlap >= least
        parts.append((detection[kept], true[kept], overlap[kept]))
    return Overlaps(detected, truth, *(np.concatenate(each) for each in zip(*parts, strict=True)))


def iou(corners: np.ndarray, true_corners: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Returns (n,) intersection over union; with a crowd, intersection over the area of the detection (COCO)."""
    low = np.maximum(corners[:, :2], true_corners[:, :2])
    high = np.minimum(corners[:, 2:], true_corners[:, 2:])
    intersection = np.maximum(high - low, 0).prod(axis=1)
    own = areas(corners)
    union = np.where(crowd, own, own + areas(true_corners) - intersection)
    return intersection / np.where(union > 0, union, 1)


def areas(corners: np.ndarray) -> np.ndarray:
    """Returns the areas (n,) of boxes (n, 4)."""
    return (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])


def _detected(detections: np.ndarray) -> Detected:
    image, row = np.nonzero(detections[..., LABEL] != NO_BOX)
    order = np.argsort(-detections[image, row, SCORE], kind="stable")
    kept = detections[image[order], row[order]].astype(np.float64)
    return Detected(image[order], kept[:, LABEL].astype(np.int64), kept[:, SCORE], kept[:, :SCORE])


def _truth(annotations: np.ndarray) -> Truth:
    image, row = np.nonzero(annotations[..., CLASS] != NO_BOX)
    kept = annotations[image, row].astype(np.float64)
    label, flag = kept[:, CLASS].astype(np.int64), kept[:, FLAG].astype(np.int64)
    return Truth(image, label, flag, kept[:, CORNERS], kept[:, AREA])


def _pairs(keys: np.ndarray, true_keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the indices of detections and true boxes with the same key, about PAIRS_AT_ONCE of them at a time."""
    order = np.argsort(true_keys, kind="stable")
    first = np.searchsorted(true_keys[order], keys, "left")
    counts = np.searchsorted(true_keys[order], keys, "right") - first
    before = np.concatenate([[0], np.cumsum(counts)])
    start = 0
    while start < len(keys):
        stop = max(start + 1, int(np.searchsorted(before, before[start] + PAIRS_AT_ONCE, "right")) - 1)
        part = counts[start:stop]
        column = np.arange(part.sum()) - np.repeat(before[start:stop] - before[start], part)
        yield np.repeat(np.arange(start, stop), part), order[np.repeat(first[start:stop], part) + column]
        start = stop
