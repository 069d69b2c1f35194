"""The section of the report about mistakes: confusion matrices, classes, pairs of classes, the worst images."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import confusion_matrix

from tinytrain.tasks.classify import mistakes

PAIRS, IMAGES = 15, 20
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
class Section:
    """The figures of the section.

    matrices: (classes, classes) by kind of model, a row is a true class, a column the predicted one; worst, lost: the
    images, as indices, that the shipped model gets wrong with the highest loss, and those that quantization alone made
    wrong; guesses: of each of these images, what each kind of model takes it for.
    """

    matrices: Kinds
    classes: list[ClassRow]
    pairs: list[PairRow]
    worst: list[int]
    lost: list[int]
    guesses: dict[int, dict[str, Guess]]


def section(probabilities: Kinds, predicted: Kinds, labels: np.ndarray, names: list[str]) -> Section:
    """Returns the section from probabilities (N, classes) and predicted classes (N,) of each kind, the shipped last.

    What the int8 model has lost is compared with the float model of the same weights, the one before it.
    """
    *_, before, shipped = [next(iter(probabilities.values())), *probabilities.values()]
    counts = {kind: confusion_matrix(labels, each, labels=range(len(names))) for kind, each in predicted.items()}
    worst = mistakes.worst(shipped, labels, IMAGES).tolist()
    lost = mistakes.lost(before, shipped, labels, IMAGES).tolist()

    def guess(kind: str, image: int) -> Guess:
        number = int(predicted[kind][image])
        return Guess(names[number], float(probabilities[kind][image, number]), number == int(labels[image]))

    guesses = {image: {kind: guess(kind, image) for kind in predicted} for image in {*worst, *lost}}
    return Section(counts, class_rows(labels, predicted, names), pair_rows(counts, names), worst, lost, guesses)


def class_rows(labels: np.ndarray, predicted: Kinds, names: list[str]) -> list[ClassRow]:
    """Returns a row for each class with images, lowest F1 of the last kind first.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes by kind of model, the shipped one last.
        names: the names of the classes.
    """
    figures = {kind: mistakes.figures(labels, each, len(names)) for kind, each in predicted.items()}
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
    pairs = mistakes.pairs(list(counted.values())[-1], PAIRS)
    return [
        PairRow(
            names[pair.true],
            names[pair.taken],
            {kind: int(each[pair.true, pair.taken]) for kind, each in counted.items()},
            pair.images,
        )
        for pair in pairs
    ]
