"""Uneven classes (data.balance): the rare ones weigh more in the loss, or are shown more often. For training only."""

from typing import Any

import keras
import numpy as np

from tinytrain.data.images import Images, IndexedView
from tinytrain.errors import UserError


def evenly(images: Images, labels: np.ndarray, seed: int) -> tuple[Images, np.ndarray]:
    """Returns (images, labels) with as many places for each class as its largest has; nothing is copied.

    Within a class some images, drawn from the seed, are repeated once more than the others.
    """
    random = np.random.default_rng(seed)
    present, counts = np.unique(labels, return_counts=True)
    index = []
    for label, count in zip(present, counts, strict=True):
        whole, rest = divmod(int(counts.max()), int(count))
        members = np.flatnonzero(labels == label)
        index += [np.repeat(members, whole), random.permutation(members)[:rest]]
    places = np.sort(np.concatenate(index))
    return IndexedView(images, places), labels[places]


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns (classes,) float32, N / (classes · images of the class): 1 on average over the N images."""
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        raise UserError(
            f"data.balance = 'class_weights', but {int((counts == 0).sum())} classes have no training image: "
            "every class needs at least one"
        )
    return (len(labels) / (classes * counts)).astype(np.float32)


class WeightedCrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits, times the weight of an image's class; of a mixed image, the mixture of the weights.

    weights: (classes,); label_smoothing: as in keras.losses.CategoricalCrossentropy, applied after the weight is found.
    """

    def __init__(self, weights: np.ndarray, label_smoothing: float) -> None:
        super().__init__(name="weighted_cross_entropy")
        self.weights, self.label_smoothing = weights, label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each image, (B,), of labels and logits (B, classes)."""
        losses = keras.losses.categorical_crossentropy(
            y_true, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )
        own = keras.ops.matmul(y_true, keras.ops.convert_to_tensor(self.weights[:, None], dtype=y_true.dtype))
        return losses * keras.ops.cast(own[:, 0], losses.dtype)


class BalancedTop1(keras.metrics.Metric):
    """The mean over classes of the share of their images that are classified right: each class counts the same.

    Of labels and logits (B, classes); a mixed image counts for the class that has the most of it. Classes without an
    image are left out.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(name="balanced_top1")
        self.classes = classes
        self.images = self.add_variable((classes,), "zeros", name="images")
        self.hits = self.add_variable((classes,), "zeros", name="hits")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Counts the images of a batch."""
        own = keras.ops.one_hot(keras.ops.argmax(y_true, -1), self.classes)
        found = keras.ops.one_hot(keras.ops.argmax(y_pred, -1), self.classes)
        self.images.assign_add(keras.ops.sum(own, 0))
        self.hits.assign_add(keras.ops.sum(own * found, 0))

    def result(self) -> Any:
        """Returns the mean, 0..1."""
        present = keras.ops.cast(self.images > 0, "float32")
        return keras.ops.sum(self.hits / keras.ops.maximum(self.images, 1)) / keras.ops.maximum(
            keras.ops.sum(present), 1
        )
