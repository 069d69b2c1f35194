"""The images in which a detector errs most, and what is to be drawn into them."""

from dataclasses import dataclass

import numpy as np

from tinytrain.data.boxes import CROWD, DIFFICULT
from tinytrain.tasks.detect import errors
from tinytrain.tasks.detect.errors import Outcome

FOUND, MISSED, IGNORED = "found", "missed", "ignored"  # what a true box is
RIGHT, WRONG = "right", "wrong"  # what a detection is; IGNORED as well
ONE = {  # how a sentence counts the errors of an image
    "missed": "missed",
    "background": "on background",
    "badly_placed": "badly placed",
    "confusions": "of another class",
    "duplicates": "found twice",
}


@dataclass(frozen=True)
class Drawn:
    """A box to draw: corners x0, y0, x1, y1 in pixels of the original image, the name of its class, its state.

    true: a true box, FOUND, MISSED or IGNORED; else a detection, RIGHT, WRONG or IGNORED, with its score 0..1.
    """

    corners: tuple[float, float, float, float]
    name: str
    state: str
    true: bool
    score: float | None = None


def totals(outcome: Outcome, images: int) -> np.ndarray:
    """Returns (images,) how many wrong detections and missed boxes each image has."""
    return np.sum(list(outcome.counts_by_image(images).values()), axis=0)


def worst(outcome: Outcome, images: int, most: int) -> list[int]:
    """Returns up to `most` images with errors, as indices; those with most errors first, of equal ones in order."""
    return _largest(totals(outcome, images), most)


def lost(before: Outcome, after: Outcome, images: int, most: int) -> list[int]:
    """Returns up to `most` images with more errors in `after` than in `before`, largest difference first."""
    return _largest(totals(after, images) - totals(before, images), most)


def sentence(outcome: Outcome, image: int) -> str:
    """Returns what is wrong in an image: "2 missed, 1 badly placed", or "all right"."""
    counts = {name: int(each[image]) for name, each in outcome.counts_by_image(image + 1).items()}
    return ", ".join(f"{counts[name]} {text}" for name, text in ONE.items() if counts[name]) or "all right"


def drawn(outcome: Outcome, image: int, names: list[str]) -> list[Drawn]:
    """Returns the true boxes of an image and then its shown detections, the best one last."""
    truth, detected = outcome.overlaps.truth, outcome.overlaps.detected
    true_boxes, detections = np.flatnonzero(truth.image == image), np.flatnonzero(detected.image == image)[::-1]
    states = np.where(outcome.missed, MISSED, np.where(np.isin(truth.flag, (DIFFICULT, CROWD)), IGNORED, FOUND))
    return [
        Drawn(_corners(truth.corners[box]), names[truth.label[box]], str(states[box]), true=True) for box in true_boxes
    ] + [
        Drawn(
            _corners(detected.corners[box]),
            names[detected.label[box]],
            {errors.HIT: RIGHT, errors.IGNORED: IGNORED}.get(int(outcome.kind[box]), WRONG),
            true=False,
            score=float(detected.score[box]),
        )
        for box in detections
    ]


def _corners(row: np.ndarray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = row.tolist()
    return x0, y0, x1, y1


def _largest(values: np.ndarray, most: int) -> list[int]:
    order = np.argsort(-values, kind="stable")[:most]
    return [int(image) for image in order if values[image] > 0]
