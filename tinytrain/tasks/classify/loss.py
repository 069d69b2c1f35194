"""The cross-entropy that a classifier minimises."""

from typing import Any

import keras
import numpy as np


def build(label_smoothing: float, class_weights: np.ndarray | None = None) -> keras.losses.Loss:
    """Returns the loss of targets and logits (B, classes), the mean over the batch.

    Args:
        label_smoothing: share of each target that is spread evenly over all classes.
        class_weights: (classes,) float32, what an image counts by its class; None: 1.
    """
    if class_weights is None:
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    return WeightedCrossEntropy(class_weights, label_smoothing)


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
        weights = keras.ops.matmul(y_true, keras.ops.convert_to_tensor(self.weights[:, None], dtype=y_true.dtype))
        return losses * keras.ops.cast(weights[:, 0], losses.dtype)
