"""Which detection finds which true box, by the rule of COCO or of PASCAL VOC.

Both go through the detections of a class by score falling, of equal scores in the order of the images and of the rows:
int8 scores tie so often that this order is part of the metric.
"""

from dataclasses import dataclass

import numpy as np

from tinytrain.data.boxes import CROWD, DIFFICULT, NORMAL
from tinytrain.tasks.detect.overlaps import Overlaps, areas


@dataclass(frozen=True)
class Matches:
    """What D detections find at each of T thresholds of overlap, in the order of `Overlaps.detected`.

    true: (T, D) the index of the true box that a detection is matched to, -1: none; ignored: (T, D) bool, it counts
    neither as right nor as wrong; counted: (G,) bool, the true boxes that are to be found.
    """

    true: np.ndarray
    ignored: np.ndarray
    counted: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """(T, D) bool: true positives."""
        return (self.true >= 0) & ~self.ignored


def by_coco_rule(overlaps: Overlaps, thresholds: np.ndarray, area: tuple[float, float] = (0, np.inf)) -> Matches:
    """Returns the matches by COCO's rule: each detection takes the free box of its class that it overlaps most.

    Boxes that are difficult, crowds or of another area are ignored: taken when no other is left, and then the detection
    is ignored too, as is one that takes none and is of another area. Any number of detections can take a crowd. Of
    equal overlaps the last box is taken, as pycocotools does.

    Args:
        overlaps: within classes, down to the lowest threshold.
        thresholds: (T,) the least overlaps of a match.
        area: smallest and largest area, in square pixels of the annotations.
    """
    truth, detected = overlaps.truth, overlaps.detected
    counted = (truth.flag == NORMAL) & _within(truth.area, area)
    rows, wanted, overlap = _by_preference(overlaps, ~counted[overlaps.true])
    no_box = len(truth.label)
    used = np.zeros((len(thresholds), no_box + 1), bool)
    used[:, no_box] = True
    stays_free = np.append(truth.flag == CROWD, False)
    true = np.full((len(thresholds), len(detected.label)), no_box)
    each = np.arange(len(thresholds))[:, None]
    for turn in _turns(detected.image[rows], detected.label[rows]):
        usable = ~used[:, wanted[turn]] & (overlap[turn] >= thresholds[:, None, None])
        choice = np.where(usable.any(axis=2), usable.argmax(axis=2), 0)
        taken = np.where(usable.any(axis=2), wanted[turn, choice], no_box)
        used[each, taken] = ~stays_free[taken]
        true[:, rows[turn]] = taken
    ignored = np.where(true < no_box, np.append(~counted, False)[true], ~_within(areas(detected.corners), area))
    return Matches(np.where(true < no_box, true, -1), ignored, counted)


def by_voc_rule(overlaps: Overlaps, thresholds: np.ndarray) -> Matches:
    """Returns the matches by PASCAL VOC's rule: each detection stands for the box of its class that it overlaps most.

    If that box is difficult, the detection is ignored; if a better detection has it already, it is wrong. Of equal
    overlaps the first box counts. VOC knows no crowds: a detection that stands for no other box is ignored in one.

    Args:
        overlaps: within classes, down to the lowest threshold.
        thresholds: (T,) the least overlaps of a match.
    """
    truth, pair_is_crowd = overlaps.truth, overlaps.truth.flag[overlaps.true] == CROWD
    pairs = np.flatnonzero(~pair_is_crowd)
    pairs = pairs[np.lexsort((overlaps.true[pairs], -overlaps.overlap[pairs], overlaps.detection[pairs]))]
    rows, first = np.unique(overlaps.detection[pairs], return_index=True)
    best, overlap = overlaps.true[pairs[first]], overlaps.overlap[pairs[first]]
    in_crowd = np.zeros(len(overlaps.detected.label))
    np.maximum.at(in_crowd, overlaps.detection[pair_is_crowd], overlaps.overlap[pair_is_crowd])
    true = np.full((len(thresholds), len(in_crowd)), -1)
    ignored = in_crowd >= thresholds[:, None]
    for number, threshold in enumerate(thresholds):
        reached = overlap >= threshold
        ignored[number, rows[reached]] = truth.flag[best[reached]] == DIFFICULT
        boxes, winners = np.unique(best[reached], return_index=True)  # of each box the detection of the highest score
        true[number, rows[reached][winners]] = boxes
    return Matches(true, ignored, truth.flag == NORMAL)


def _within(area: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return (limits[0] <= area) & (area <= limits[1])


def _by_preference(overlaps: Overlaps, last: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the detections (R,) with pairs, the boxes (R, C) that each would take, best first, and the overlaps.

    last: (P,) bool, the pairs to put behind all others. Rows are padded with the number of true boxes and overlap -1.
    """
    order = np.lexsort((-overlaps.true, -overlaps.overlap, last, overlaps.detection))
    rows, first, counts = np.unique(overlaps.detection, return_index=True, return_counts=True)
    cells = np.repeat(np.arange(len(rows)), counts), np.arange(len(order)) - np.repeat(first, counts)
    shape = len(rows), counts.max(initial=0)
    wanted, overlap = np.full(shape, len(overlaps.truth.label)), np.full(shape, -1.0)
    wanted[cells], overlap[cells] = overlaps.true[order], overlaps.overlap[order]
    return rows, wanted, overlap


def _turns(image: np.ndarray, label: np.ndarray) -> list[np.ndarray]:
    """Returns the first detections of all images and classes, the second ones and so on, as indices.

    Detections of one turn compete for no box, so they can be matched at once.
    """
    key = image * (label.max(initial=0) + 1) + label
    order = np.argsort(key, kind="stable")
    _, first, counts = np.unique(key[order], return_index=True, return_counts=True)
    turn = np.empty(len(key), np.int64)
    turn[order] = np.arange(len(key)) - np.repeat(first, counts)
    return np.split(np.argsort(turn, kind="stable"), np.cumsum(np.bincount(turn))[:-1]) if len(key) else []
