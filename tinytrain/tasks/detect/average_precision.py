"""Average precision: one number for a precision-recall curve, in the three readings that are in use."""

from dataclasses import dataclass

import numpy as np

from tinytrain.tasks.detect.matching import Matches
from tinytrain.tasks.detect.overlaps import Overlaps

# The floats of pycocotools and of the Python codes of VOC, for a recall that is exactly one of them.
COCO_RECALLS = np.linspace(0.0, 1.0, 101)
VOC07_RECALLS = np.arange(0.0, 1.1, 0.1)


@dataclass(frozen=True)
class Curve:
    """Precision and recall (n,) of a class after each of its detections that count, by score (n,) falling."""

    score: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def envelope(self) -> np.ndarray:
        """(n,) the best precision at this recall or a higher one."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]

    def precision_at(self, recalls: np.ndarray) -> np.ndarray:
        """Returns the best precision (R,) at these recalls (R,) or higher ones; 0 at a recall that is never reached."""
        return np.append(self.envelope, 0.0)[np.searchsorted(self.recall, recalls, "left")]

    def coco(self) -> float:
        """Returns the mean of the envelope at 101 recalls, as COCO has it."""
        return float(self.precision_at(COCO_RECALLS).mean())

    def voc07(self) -> float:
        """Returns the mean of the envelope at 11 recalls, as PASCAL VOC 2007 has it."""
        return float(self.precision_at(VOC07_RECALLS).mean())

    def voc10(self) -> float:
        """Returns the area below the envelope, as PASCAL VOC since 2010 has it."""
        return float((np.diff(self.recall, prepend=0.0) * self.envelope).sum())


def curves(overlaps: Overlaps, matches: Matches) -> list[dict[int, Curve]]:
    """Returns for each threshold of overlap the curve of each class that has boxes to be found."""
    detected, truth = overlaps.detected, overlaps.truth
    boxes = np.bincount(truth.label[matches.counted])
    rows = {int(label): np.flatnonzero(detected.label == label) for label in np.flatnonzero(boxes)}

    def curve(hits: np.ndarray, ignored: np.ndarray, label: int) -> Curve:
        counted = rows[label][~ignored[rows[label]]]
        found = np.cumsum(hits[counted])
        return Curve(detected.score[counted], found / np.arange(1, len(counted) + 1), found / boxes[label])

    return [
        {label: curve(hits, ignored, label) for label in rows}
        for hits, ignored in zip(matches.hits, matches.ignored, strict=True)
    ]
