"""Runs a float network on images, batch by batch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinytrain.data import batches
from tinytrain.data.images import Images


def predict(
    model: keras.Model, images: Images, batch: int = 256, keep: Callable[[Any], Any] = lambda outputs: outputs
) -> Any:
    """Returns the outputs for uint8 images (N, R, R, C): an array (N, …) float32, or a structure of them.

    Of a classifier they are the logits (N, classes).

    Args:
        model: the network.
        images: the images.
        batch: how many are run at once.
        keep: what is kept of the outputs of a batch, inside TensorFlow (`Task.keep`).
    """
    step = traced(model, images.shape[1:], keep)
    parts = [step(images[i : i + batch]) for i in range(0, len(images), batch)]
    return tf.nest.map_structure(lambda *each: np.concatenate(each), *parts)


def traced(model: keras.Model, shape: tuple[int, ...], keep: Callable[[Any], Any]) -> Callable[[np.ndarray], Any]:
    """Returns a function of uint8 images (B, H, W, C), B as it comes, that returns what `predict` does for them.

    Args:
        model: the network.
        shape: H, W and C.
        keep: as in `predict`.
    """
    function = tf.function(lambda x: keep(model(x, training=False)))
    step = function.get_concrete_function(tf.TensorSpec([None, *shape], tf.float32))  # one trace for all sizes

    def outputs(images: np.ndarray) -> Any:
        return tf.nest.map_structure(lambda one: one.numpy().astype(np.float32), step(batches.normalize(images)))

    return outputs
