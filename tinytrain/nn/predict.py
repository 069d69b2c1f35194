"""Runs a float network on images, batch by batch."""

import keras
import numpy as np
import tensorflow as tf

from tinytrain.data import batches
from tinytrain.data.images import Images


def predict(model: keras.Model, images: Images, batch: int = 256) -> np.ndarray:
    """Returns the logits (N, classes) float32 of uint8 images (N, R, R, C)."""
    traced = tf.function(lambda x: model(x, training=False))
    step = traced.get_concrete_function(tf.TensorSpec([None, *images.shape[1:]], tf.float32))  # one trace for all sizes
    parts = [step(batches.normalize(images[i : i + batch])).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts).astype(np.float32)
