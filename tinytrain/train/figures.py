"""The figures that a task measures a network by, for all who write, compare and show them.

history.csv, metrics.json and report.json hold a figure under its key. Nothing here imports TensorFlow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from tinytrain.config import plugins
from tinytrain.config.schema import Config


@dataclass(frozen=True)
class Figure:
    """A figure in 0..1, more is better: its key in the files, its name in a sentence, its title in a chart.

    of_images: whether it is a share of the images, whose number then tells how exact it is.
    """

    key: str
    label: str
    title: str = ""
    of_images: bool = True


@dataclass(frozen=True)
class Figures:
    """The figures of a task.

    main: the one that the epoch to keep is chosen by and that float and int8 models are compared by; balanced: the one
    in which every class counts the same, which the learning rate is chosen by; second: what stands beside `main` in the
    table of a comparison; tested: all that metrics.json holds of a split, in order, beside "loss" and "images".
    measure: `main` from one output (N, …) of a network, real or int8, and the annotations (N, …) of the images;
    golden_case: from the same, or None for unknown annotations, the number of the image that the firmware proves itself
    on: one with a right output if there is one. It and `measure` are None where a task needs more for them.
    outputs: how many the network of a config has.
    counted: what a figure of one class is about, as the rows of a diagnosis count it.
    measure_balanced: `balanced` as `measure` gives `main`, None where they are the same.
    """

    main: Figure
    balanced: Figure
    second: Figure
    tested: tuple[Figure, ...]
    measure: Callable[[Any, np.ndarray], float] | None = None
    golden_case: Callable[[Any, np.ndarray | None], int] | None = None
    outputs: Callable[[Config], int] = lambda config: 1
    counted: str = "images"
    measure_balanced: Callable[[Any, np.ndarray], float] | None = None


def module_of(task: str) -> ModuleType:
    """Returns the module of a task; "auto", which no data has replaced, is classification. Raises UserError if none."""
    return plugins.load("tasks", "classify" if task == "auto" else task)


def of(task: str) -> Figures:
    """Returns the figures of the task of this name; raises UserError if there is no such task."""
    return module_of(task).FIGURES
