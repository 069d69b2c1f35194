"""The operating point of a detector: the score from which boxes are shown, and how good they are there."""

from dataclasses import dataclass

import numpy as np

from tinytrain.config.fields import LEAST_SCORE, MOST_SCORE
from tinytrain.tasks.detect.matching import Matches
from tinytrain.tasks.detect.overlaps import Overlaps

WITHOUT_A_HIT = 0.5  # where no score is better than another


@dataclass(frozen=True)
class Counts:
    """hits: detections that are right; shown: all that count; boxes: all that are to be found."""

    hits: int
    shown: int
    boxes: int

    @property
    def precision(self) -> float | None:
        """The share of the shown detections that are right; None if none is shown."""
        return self.hits / self.shown if self.shown else None

    @property
    def recall(self) -> float | None:
        """The share of the boxes that are found; None if there are none."""
        return self.hits / self.boxes if self.boxes else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both, 2·hits / (shown + boxes); None if there is nothing to find and nothing shown."""
        return 2 * self.hits / (self.shown + self.boxes) if self.shown + self.boxes else None


def counts(overlaps: Overlaps, matches: Matches, threshold: float, label: int | None = None) -> Counts:
    """Returns the counts at the first threshold of overlap, of detections with this score or more.

    Args:
        overlaps: of all images.
        matches: of `overlaps`.
        threshold: the lowest score, 0..1.
        label: a class, None: all classes together.
    """
    detected, truth = overlaps.detected, overlaps.truth
    shown, boxes = (detected.score >= threshold) & ~matches.ignored[0], matches.counted
    if label is not None:
        shown, boxes = shown & (detected.label == label), boxes & (truth.label == label)
    return Counts(int((shown & matches.hits[0]).sum()), int(shown.sum()), int(boxes.sum()))


def f1_at(overlaps: Overlaps, matches: Matches, thresholds: np.ndarray, label: int | None = None) -> np.ndarray:
    """Returns F1 (T,) at the first threshold of overlap, for scores from each of T thresholds on; arguments as above.

    It is 0 where nothing is shown, or nothing is there to be found.
    """
    chosen = ~matches.ignored[0] if label is None else ~matches.ignored[0] & (overlaps.detected.label == label)
    boxes = matches.counted if label is None else matches.counted & (overlaps.truth.label == label)
    score, found = overlaps.detected.score[chosen], np.cumsum(np.append(0, matches.hits[0][chosen]))
    shown = np.searchsorted(-score, -thresholds, "right")
    return 2 * found[shown] / np.maximum(shown + boxes.sum(), 1)


def count_error(overlaps: Overlaps, matches: Matches, threshold: float, images: int) -> float | None:
    """Returns how far the number of detections of a class in an image is from that of its boxes to be found.

    It is the sum over classes, the mean over images, of which there are `images`; other arguments as `counts`.
    """
    detected, truth, counted = overlaps.detected, overlaps.truth, matches.counted
    shown = (detected.score >= threshold) & ~matches.ignored[0]
    classes = 1 + max(detected.label.max(initial=0), truth.label.max(initial=0))
    surplus = np.zeros((images, classes))
    np.add.at(surplus, (detected.image[shown], detected.label[shown]), 1)
    np.subtract.at(surplus, (truth.image[counted], truth.label[counted]), 1)
    return float(np.abs(surplus).sum(axis=1).mean()) if images else None


def best_threshold(overlaps: Overlaps, matches: Matches) -> float:
    """Returns the score with the largest F1 over all classes together, the highest of equal ones.

    It lies in the middle between the lowest score that is to be shown and the next one, so that int8 scores, which are
    rounded, fall on the same side of it.
    """
    score = np.unique(overlaps.detected.score[~matches.ignored[0]])[::-1]
    thresholds = np.clip((score + np.append(score[1:], 0.0)) / 2, LEAST_SCORE, MOST_SCORE)
    f1 = f1_at(overlaps, matches, thresholds)
    return float(thresholds[f1.argmax()]) if f1.any() else WITHOUT_A_HIT
