"""The section about mistakes: confusion matrices, classes, pairs of classes, the worst images."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytrain.reporting import matrix, pictures
from tinytrain.reporting.predictions import LabelledImages
from tinytrain.reporting.svg import Chart
from tinytrain.tasks.classify.report import ClassRow, Guess, PairRow
from tinytrain.train.task import Task

CLASSES_SHOWN = 15


@dataclass(frozen=True)
class Thumbnail:
    """A test image as a data URI, with its true class and what each kind of model takes it for."""

    uri: str
    file: str
    true: str
    guesses: dict[str, Guess]


@dataclass(frozen=True)
class ClassSection:
    """All of the section; `notes` say in sentences what is left out and why."""

    macro: ClassVar[str] = "classes"  # of parts.html
    kinds: list[str] = field(default_factory=list)
    matrices: list[Chart] = field(default_factory=list)
    classes: list[ClassRow] = field(default_factory=list)
    pairs: list[PairRow] = field(default_factory=list)
    worst: list[Thumbnail] = field(default_factory=list)
    lost: list[Thumbnail] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def of_outputs(
    task: Task, test: LabelledImages, outputs: dict[str, np.ndarray], number: int, notes: list[str]
) -> ClassSection:
    """Returns the section from the outputs of the float and, if there is one, the int8 model.

    Args:
        task: the task of the run.
        test: the N test images.
        outputs: (N, classes) by kind of model, the shipped one last.
        number: of the run in the report, from 1.
        notes: what is left out and why, a sentence each.
    """
    figures = task.report(outputs, test.samples)

    def thumbnail(image: int) -> Thumbnail:
        label = test.classes[int(test.labels[image])]
        return Thumbnail(pictures.data_uri(test.images[image]), test.names[image], label, figures.guesses[image])

    return ClassSection(
        kinds=list(outputs),
        matrices=[
            matrix.chart(f"{number}-{kind}", kind, each, test.classes) for kind, each in figures.matrices.items()
        ],
        classes=figures.classes,
        pairs=figures.pairs,
        worst=[thumbnail(image) for image in figures.worst],
        lost=[thumbnail(image) for image in figures.lost],
        notes=notes,
    )
