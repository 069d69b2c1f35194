"""The metrics of a classifier while it trains, of batches of targets and logits (B, classes); targets may be mixed."""

from typing import Any

import keras


def top1() -> keras.metrics.Metric:
    """Returns top-1, 0..1, as a metric called "top1"."""
    return keras.metrics.MeanMetricWrapper(share_of_predicted, "top1")


def share_of_predicted(y_true: Any, y_pred: Any) -> Any:
    """Returns (B,) the share of each image that is of the class predicted, from labels and logits (B, classes).

    Its mean is top-1; of images that MixUp or CutMix mixed, weighted by λ as public code does (methods.md D.2).
    """
    predicted = keras.ops.one_hot(keras.ops.argmax(y_pred, -1), y_true.shape[-1], dtype=y_true.dtype)
    return keras.ops.sum(y_true * predicted, -1)


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
        true_classes = keras.ops.one_hot(keras.ops.argmax(y_true, -1), self.classes)
        predicted = keras.ops.one_hot(keras.ops.argmax(y_pred, -1), self.classes)
        self.images.assign_add(keras.ops.sum(true_classes, 0))
        self.hits.assign_add(keras.ops.sum(true_classes * predicted, 0))

    def result(self) -> Any:
        """Returns the mean, 0..1."""
        present = keras.ops.cast(self.images > 0, self.images.dtype)
        return keras.ops.sum(self.hits / keras.ops.maximum(self.images, 1)) / keras.ops.maximum(
            keras.ops.sum(present), 1
        )
