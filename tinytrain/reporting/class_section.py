"""The section about mistakes: confusion matrices, classes, pairs of classes, the worst images."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import confusion_matrix

from tinytrain.errors import UserError
from tinytrain.reporting import matrix, mistakes, pictures, predictions
from tinytrain.reporting.predictions import LabelledImages
from tinytrain.reporting.runs import Subject
from tinytrain.reporting.svg import Chart

PAIRS, IMAGES, CLASSES_SHOWN = 15, 20, 15
Kinds = dict[str, np.ndarray]  # "float", "fine-tuned float", "int8" -> an array


@dataclass(frozen=True)
class ClassRow:
    """A class with figures in 0..1 of each kind of model: {"float": …, "int8": …}."""

    name: str
    images: int
    precision: dict[str, float]
    recall: dict[str, float]
    f1: dict[str, float]


@dataclass(frozen=True)
class PairRow:
    """How many images of class `true` are taken for `taken`, by each kind of model."""

    true: str
    taken: str
    counts: dict[str, int]
    images: int


@dataclass(frozen=True)
class Guess:
    """What a model takes an image for, and how sure it is, 0..1."""

    name: str
    probability: float
    right: bool


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

    kinds: list[str] = field(default_factory=list)
    matrices: list[Chart] = field(default_factory=list)
    classes: list[ClassRow] = field(default_factory=list)
    pairs: list[PairRow] = field(default_factory=list)
    worst: list[Thumbnail] = field(default_factory=list)
    lost: list[Thumbnail] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def section(subject: Subject, number: int) -> ClassSection | None:
    """Returns the section about the finished run `number` of the report, None for an unfinished one.

    The int8 model is that of the run's first export.
    """
    if not subject.metrics:
        return None
    notes: list[str] = []
    export = subject.exports[0] if subject.exports else None
    proven = predictions.golden(export) if export else None
    try:
        test = predictions.test_images(subject, proven)
    except UserError as error:
        return ClassSection(notes=[f"Confusion matrices, classes and images are left out: {error}."])
    found: Kinds = {predictions.FLOAT: predictions.of_float(subject, test)}
    if export and proven:
        try:
            found |= predictions.of_export(proven, test, export.folder)
        except UserError as error:
            notes.append(f"The int8 model is left out here: {error}.")
    return of_predictions(test, found, number, notes)


def of_predictions(test: LabelledImages, found: Kinds, number: int, notes: list[str]) -> ClassSection:
    """Returns the section from the probabilities (N, classes) of the float and, if there is one, the int8 model.

    What the int8 model has lost is held against the float model of the same weights.
    """
    shipped = found.get(predictions.INT8, found[predictions.FLOAT])
    names = test.classes
    taken = {kind: each.argmax(axis=1) for kind, each in found.items()}
    counted = {kind: confusion_matrix(test.labels, each, labels=range(len(names))) for kind, each in taken.items()}
    worst = mistakes.worst(shipped, test.labels, IMAGES)
    before = found.get(predictions.FINETUNED, found[predictions.FLOAT])
    lost = mistakes.lost(before, shipped, test.labels, IMAGES)
    return ClassSection(
        kinds=list(found),
        matrices=[matrix.chart(f"{number}-{kind}", kind, each, names) for kind, each in counted.items()],
        classes=class_rows(test.labels, taken, names),
        pairs=pair_rows(counted, names),
        worst=[_thumbnail(test, found, int(image)) for image in worst],
        lost=[_thumbnail(test, found, int(image)) for image in lost],
        notes=notes,
    )


def class_rows(labels: np.ndarray, taken: Kinds, names: list[str]) -> list[ClassRow]:
    """Returns a row for each class with images, lowest F1 of the last kind first; `taken`: predicted classes (N,)."""
    figures = {kind: mistakes.figures(labels, each, len(names)) for kind, each in taken.items()}
    shipped = list(figures.values())[-1]
    order = [int(label) for label in np.argsort(shipped.f1, kind="stable") if shipped.images[label]]
    return [
        ClassRow(
            name=names[label],
            images=int(shipped.images[label]),
            precision={kind: float(each.precision[label]) for kind, each in figures.items()},
            recall={kind: float(each.recall[label]) for kind, each in figures.items()},
            f1={kind: float(each.f1[label]) for kind, each in figures.items()},
        )
        for label in order
    ]


def pair_rows(counted: Kinds, names: list[str]) -> list[PairRow]:
    """Returns the pairs that the last kind of model confuses most."""
    found = mistakes.pairs(list(counted.values())[-1], PAIRS)
    return [
        PairRow(
            names[pair.true],
            names[pair.taken],
            {kind: int(each[pair.true, pair.taken]) for kind, each in counted.items()},
            pair.images,
        )
        for pair in found
    ]


def _thumbnail(test: LabelledImages, found: Kinds, image: int) -> Thumbnail:
    label = int(test.labels[image])
    taken = {kind: int(each[image].argmax()) for kind, each in found.items()}
    guesses = {
        kind: Guess(test.classes[guess], float(found[kind][image, guess]), guess == label)
        for kind, guess in taken.items()
    }
    return Thumbnail(pictures.data_uri(test.images[image]), test.names[image], test.classes[label], guesses)
