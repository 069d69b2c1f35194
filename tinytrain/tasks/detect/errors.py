"""What is wrong with the boxes that a detector shows: each wrong detection has one kind, each true box is found or not.

The kinds are those of TIDE (Bolya et al., 2020), with its limits of overlap.
"""

from dataclasses import dataclass

import numpy as np

from tinytrain.data.boxes import NORMAL
from tinytrain.tasks.detect.matching import Matches, by_coco_rule
from tinytrain.tasks.detect.overlaps import LABEL, SCORE, Measure, Overlaps, find

FOUND_IOU, NEAR_IOU = 0.5, 0.1
HIT, IGNORED, DUPLICATE, CONFUSION, BADLY_PLACED, BACKGROUND = range(6)
WRONG = {"duplicates": DUPLICATE, "confusions": CONFUSION, "badly_placed": BADLY_PLACED, "background": BACKGROUND}


@dataclass(frozen=True)
class Outcome:
    """What became of the D shown detections and the G true boxes of all images.

    overlaps: of all classes, down to a near miss; kind: (D,) of each detection HIT, IGNORED or the first that applies
    of: DUPLICATE, on a box of its class that a better one has found; CONFUSION, on a box of another class;
    BADLY_PLACED, on a box of its class with an overlap below `found`; BACKGROUND. missed: (G,) bool, boxes to be found
    that no detection of their class has found; a badly placed detection and the box that it missed count both. found:
    the least overlap with which a detection finds a box.
    """

    overlaps: Overlaps
    matches: Matches
    kind: np.ndarray
    missed: np.ndarray
    found: float = FOUND_IOU

    def counts(self) -> dict[str, int]:
        """Returns how many detections there are of each kind of WRONG, and how many boxes are "missed"."""
        wrong = {name: int((self.kind == number).sum()) for name, number in WRONG.items()}
        return wrong | {"missed": int(self.missed.sum())}

    def counts_by_image(self, images: int) -> dict[str, np.ndarray]:
        """Returns the same for each image, (images,) int64."""
        where = {name: self.overlaps.detected.image[self.kind == number] for name, number in WRONG.items()}
        where["missed"] = self.overlaps.truth.image[self.missed]
        return {name: np.bincount(each, minlength=images) for name, each in where.items()}


def outcome(
    detections: np.ndarray,
    annotations: np.ndarray,
    threshold: float,
    measure: Measure | None = None,
    found: float = FOUND_IOU,
    near: float = NEAR_IOU,
) -> Outcome:
    """Returns what becomes of the detections (N, D, 6) with this score or more, by COCO's rule.

    Args:
        detections: in the pixels of the annotations.
        annotations: (N, M, 7).
        threshold: the lowest score of a detection.
        measure: of overlap; None: IoU.
        found: the least overlap with which a detection finds a box.
        near: the least overlap that is not background.
    """
    shown = detections.copy()
    shown[shown[..., SCORE] < threshold, LABEL] = -1
    overlaps = find(shown, annotations, near, any_class=True, measure=measure)
    matches = by_coco_rule(overlaps.within_classes(), np.array([found]))
    kind = np.full(len(overlaps.detected.label), BACKGROUND)
    own = overlaps.detected.label[overlaps.detection] == overlaps.truth.label[overlaps.true]
    on, to_find = overlaps.overlap >= found, overlaps.truth.flag[overlaps.true] == NORMAL
    kind[overlaps.detection[own & to_find]] = BADLY_PLACED
    kind[overlaps.detection[on & ~own & to_find]] = CONFUSION
    kind[overlaps.detection[on & own]] = DUPLICATE
    kind[matches.hits[0]], kind[matches.ignored[0]] = HIT, IGNORED
    missed = matches.counted.copy()
    missed[matches.true[0][matches.hits[0]]] = False
    return Outcome(overlaps, matches, kind, missed, found)


def confusion_matrix(result: Outcome, classes: int) -> np.ndarray:
    """Returns (classes + 1, classes + 1) int64: a row is a true class, a column what its boxes were taken for.

    The last row and column are background: detections on nothing, and boxes that nothing was found for. A box that was
    missed is taken for the class of the best detection of another class on it that has no other box. So a row has all
    boxes of its class, and a column all detections of its own.
    """
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    overlaps, true = result.overlaps, np.where(result.matches.hits[0], result.matches.true[0], -1)
    open_pairs = (result.kind[overlaps.detection] > IGNORED) & result.missed[overlaps.true]
    pairs = np.flatnonzero(open_pairs & (overlaps.overlap >= result.found))
    confused: set[int] = set()
    for pair in pairs[np.lexsort((-overlaps.overlap[pairs], overlaps.detection[pairs]))]:
        detection, box = int(overlaps.detection[pair]), int(overlaps.true[pair])
        if true[detection] < 0 and box not in confused:
            true[detection] = box
            confused.add(box)
    taken_for = np.full(len(overlaps.truth.label), classes)
    taken_for[true[true >= 0]] = overlaps.detected.label[true >= 0]
    counted, wrong = result.matches.counted, (result.kind > IGNORED) & (true < 0)
    np.add.at(matrix, (overlaps.truth.label[counted], taken_for[counted]), 1)
    matrix[classes, :classes] = np.bincount(overlaps.detected.label[wrong], minlength=classes)
    return matrix
