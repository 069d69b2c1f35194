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
    traced = tf.function(lambda x: keep(model(x, training=False)))
    step = traced.get_concrete_function(tf.TensorSpec([None, *images.shape[1:]], tf.float32))  # one trace for all sizes
    parts = [step(batches.normalize(images[i : i + batch])) for i in range(0, len(images), batch)]
    return tf.nest.map_structure(lambda *each: np.concatenate([one.numpy() for one in each]).astype(np.float32), *parts)
