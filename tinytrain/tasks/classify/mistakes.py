"""Where a classifier errs: figures of each class, pairs of classes, single images."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_fscore_support


@dataclass(frozen=True)
class Figures:
    """Figures of each class, all of shape (classes,): shares in 0..1, and how many images are of the class.

    A share of nothing is 0: precision of a class that is never predicted, recall of one without images.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    images: np.ndarray


@dataclass(frozen=True)
class Pair:
    """So many images of class `true` are taken for class `taken`, out of `images`."""

    true: int
    taken: int
    count: int
    images: int


def figures(labels: np.ndarray, predicted: np.ndarray, classes: int) -> Figures:
    """Returns the figures of each class from the true and the predicted class (N,) of all images."""
    return Figures(*precision_recall_fscore_support(labels, predicted, labels=range(classes), zero_division=0))


def pairs(matrix: np.ndarray, most: int) -> list[Pair]:
    """Returns up to `most` pairs of different classes that are taken for each other, most images first.

    `matrix` (classes, classes): a row is a true class, a column what its images were taken for.
    """
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    indices = [divmod(int(flat_index), len(matrix)) for flat_index in order]
    images = matrix.sum(axis=1)
    return [
        Pair(true, taken, int(wrong[true, taken]), int(images[true])) for true, taken in indices if wrong[true, taken]
    ]


def losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the cross-entropy (N,) in nats of each image."""
    true_probabilities = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    return -np.log(np.maximum(true_probabilities, np.finfo(float).tiny))


def worst(probabilities: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """Returns up to `most` images that are classified wrong, highest loss first, as indices."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    loss = losses(probabilities[wrong], labels[wrong])
    return wrong[np.argsort(-loss, kind="stable")[:most]]


def lost(before: np.ndarray, after: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """Returns up to `most` images that only `after` gets wrong, highest loss of it first, as indices.

    Both are probabilities (N, classes): `before` of the float model, `after` of the int8 one.
    """
    turned = np.flatnonzero((before.argmax(axis=1) == labels) & (after.argmax(axis=1) != labels))
    loss = losses(after[turned], labels[turned])
    return turned[np.argsort(-loss, kind="stable")[:most]]
