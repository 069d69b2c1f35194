"""Augmentation of whole uint8 batches inside tf.data, drawn from the seed and the number of the step.

KerasCV layers draw from a stateful generator, whose numbers depend on what was drawn before; here each layer is handed
a generator that is a pure function of (seed, step), so that a resumed run draws what an uninterrupted one would.
"""

import keras_cv
import tensorflow as tf
from keras_cv.src.layers.preprocessing.vectorized_base_image_augmentation_layer import (
    VectorizedBaseImageAugmentationLayer,
)

from tinytrain.config import Augment


class StatelessGenerator:
    """Stands in for the tf.random.Generator of a KerasCV layer: its n-th draw is a function of (seed, step, n)."""

    def __init__(self) -> None:
        self.seed: tf.Tensor = tf.zeros(2, tf.int64)
        self.draws = 0

    def restart(self, seed: tf.Tensor) -> None:
        """Begins anew from `seed` (2,) int64: the seed of the run and the number of the step."""
        self.seed, self.draws = seed, 0

    def uniform(
        self, shape: tuple, minval: float = 0.0, maxval: float = 1.0, dtype: tf.DType = tf.float32
    ) -> tf.Tensor:
        """Returns uniform numbers in [minval, maxval)."""
        self.draws += 1
        seed = tf.random.experimental.stateless_fold_in(self.seed, self.draws)
        return tf.random.stateless_uniform(shape, seed, minval, maxval, dtype)


class RandomPaddedCrop(VectorizedBaseImageAugmentationLayer):
    """Shifts each image by whole pixels, uniform in ±padding on both axes, filling with 0: pad, then random crop.

    keras_cv.layers.RandomCrop draws a real offset and samples by nearest neighbour along a slightly stretched grid: the
    outermost offsets come half as often, and rows can be repeated or lost.
    """

    def __init__(self, padding: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.padding = padding

    def get_random_transformation_batch(self, batch_size: tf.Tensor, **kwargs: object) -> tf.Tensor:
        """Returns (batch, 2) int32 offsets in [0, 2·padding]."""
        return self._random_generator.uniform((batch_size, 2), 0, 2 * self.padding + 1, tf.int32)

    def augment_images(self, images: tf.Tensor, transformations: tf.Tensor, **kwargs: object) -> tf.Tensor:
        """Returns the shifted images, (B, H, W, C) of the same dtype."""
        height, width = images.shape[1], images.shape[2]
        border = [self.padding, self.padding]
        padded = tf.pad(images, [[0, 0], border, border, [0, 0]])
        rows = transformations[:, 0, None] + tf.range(height)  # (B, H)
        columns = transformations[:, 1, None] + tf.range(width)  # (B, W)
        padded = tf.gather(padded, rows, axis=1, batch_dims=1)
        return tf.gather(padded, columns[:, None, :] + tf.zeros_like(rows)[:, :, None], axis=2, batch_dims=2)


class Augmentation:
    """The layers that a config asks for, in order: padded crop, flip. Call it with a uint8 batch and a seed."""

    def __init__(self, config: Augment, resolution: int) -> None:
        self.generator = StatelessGenerator()
        padding = round(config.crop * resolution)
        self.layers: list = [RandomPaddedCrop(padding, dtype="uint8")] if padding else []
        if config.flip:
            self.layers.append(keras_cv.layers.RandomFlip("horizontal", dtype="uint8"))
        for layer in self.layers:
            layer._random_generator = self.generator

    def __call__(self, pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns the augmented batch: (B, H, W, C) uint8, from `seed` (2,) int64 = (seed of the run, step)."""
        self.generator.restart(seed)
        for layer in self.layers:
            pixels = layer(pixels)
        return pixels
