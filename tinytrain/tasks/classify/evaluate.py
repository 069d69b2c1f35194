"""A classifier measured on a split."""

from typing import Any

import keras
import numpy as np

from tinytrain.data.images import Images
from tinytrain.nn.predict import predict
from tinytrain.tasks.classify import metrics


def evaluate(model: keras.Model, images: Images, labels: np.ndarray) -> dict[str, Any]:
    """Returns what `metrics.summary` does of a float model on uint8 images."""
    return metrics.summary(predict(model, images), labels)
