"""A model that `tinytrain predict` asks, whatever it is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinytrain.data import boxes
from tinytrain.errors import UserError

CLASSIFY, DETECT = "classify", "detect"
FLOAT, INT8 = "float", "int8"
GIVE = "give RUN, a folder that `tinytrain fit` wrote, or EXPORT, one that `tinytrain export` wrote"


class Answers(NamedTuple):
    """What a model says of N images.

    values: (N, classes) probabilities, or (N, D, 6) detections in pixels of the network's image: x0, y0, x1, y1, score,
    class, where class -1 pads; full: (N,) bool, whether there may be more boxes than an image can have.
    """

    values: np.ndarray
    full: np.ndarray


@dataclass(frozen=True)
class Model:
    """A model and how its images are prepared.

    kind: FLOAT or INT8; task: CLASSIFY or DETECT, what its answers are; classes: their names; side, channels, resize:
    as `resizing.prepare` takes them; answer: from (N, side, side, channels) uint8 to Answers; most: boxes that an image
    can have; notes: what a user should know, a line each.
    """

    kind: str
    task: str
    classes: list[str]
    side: int
    channels: int
    resize: str
    answer: Callable[[np.ndarray], Answers]
    most: int = 0
    notes: tuple[str, ...] = ()


def counts(detections: np.ndarray) -> np.ndarray:
    """Returns (N,), how many boxes each of N images has."""
    return (detections[..., 5] != boxes.NO_BOX).sum(axis=1)


def known_task(name: Any, score: float | None, what: str) -> str:
    """Returns what the answers of a model of this task are, CLASSIFY or DETECT.

    Raises UserError for a task that nothing is drawn of, or that has no scores.
    """
    task = CLASSIFY if name == "auto" else name  # a run of before there were tasks
    if task in boxes.TASKS:
        return DETECT
    if task != CLASSIFY:
        raise UserError(f"{what} was trained for the task {task}: predict knows {CLASSIFY} and {DETECT}")
    if score is not None:
        raise UserError(f"--score {score:g} is the least score of a box, and {what} is a classifier: leave it out")
    return str(task)
