"""MixUp, CutMix and FMix: each batch is mixed with itself in reverse order, images and one-hot labels alike.

One λ, the share of an image that stays, holds for the whole batch, as in the papers' code. Training batches are in
random order, so the reverse pairs images at random.

Keras' and KerasCV's layers differ (methods.md F.18): all draw a λ for each image, keras.layers.CutMix keeps its boxes
inside the border, and keras_cv.layers.CutMix takes the area of a box before it is clipped.
"""

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tinytrain.data.augment.generator import BatchLayer

FMIX_DECAY = 3.0  # of the amplitude with the frequency, an exponent


class Mixing(BatchLayer):
    """Mixes {"images": (B, H, W, C), "labels": (B, classes)} and returns both as float32.

    Args:
        alpha: of the Beta(alpha, alpha) distribution of λ.
        **kwargs: of the Keras layer.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.alpha = alpha

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the images where the mask (H, W, 1) is true, and those of the reversed batch elsewhere."""
        return select(images, transformations["mask"])

    def _ensure_inputs_are_compute_dtype(self, inputs: dict) -> dict:
        return inputs  # images stay bytes until they are mixed, in one pass over memory

    def augment_labels(self, labels: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns λ · labels + (1 − λ) · reversed labels, which still sum to 1."""
        share = transformations["share"]
        return labels * share + labels[::-1] * (1.0 - share)


class MixUp(Mixing):
    """MixUp (Zhang et al. 2018): λ·x_i + (1 − λ)·x_j, labels likewise, λ ~ Beta(alpha, alpha)."""

    def get_random_transformation_batch(self, batch_size: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"share": () float32}, λ."""
        return {"share": self._random_generator.beta((), self.alpha)}

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the blended images, (B, H, W, C) float32."""
        return blend(images, transformations["share"])


class CutMix(Mixing):
    """CutMix (Yun et al. 2019): a box comes from the other image; λ is the share outside of the clipped box."""

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"mask": (H, W, 1) bool, "share": () float32}."""
        random, (height, width) = self._random_generator, images.shape[1:3]
        side = tf.sqrt(1.0 - random.beta((), self.alpha))
        top, bottom = _interval(random.uniform((), 0, height, tf.int32), side, height)
        left, right = _interval(random.uniform((), 0, width, tf.int32), side, width)
        row, column = tf.range(height)[:, None, None], tf.range(width)[None, :, None]
        boxed = (row >= top) & (row < bottom) & (column >= left) & (column < right)
        area = tf.cast((bottom - top) * (right - left), tf.float32)
        return {"mask": ~boxed, "share": 1.0 - area / (height * width)}


class FMix(Mixing):
    """FMix (Harris et al. 2020): the mask holds the λ·H·W highest values of noise with a 1/f³ spectrum.

    The labels are mixed by the rounded number of pixels in the mask; the authors' code uses the λ before rounding.
    """

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"mask": (H, W, 1) bool, "share": () float32}."""
        random, (height, width) = self._random_generator, images.shape[1:3]
        kept = tf.cast(tf.round(random.beta((), self.alpha) * (height * width)), tf.int32)
        rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
        frequency = np.maximum(np.hypot(rows, columns), 1.0 / max(height, width))
        scale = tf.constant(frequency**-FMIX_DECAY, tf.float32)
        spectrum = tf.complex(random.normal(frequency.shape) * scale, random.normal(frequency.shape) * scale)
        noise = tf.reshape(tf.signal.irfft2d(spectrum, (height, width)), [-1])
        rank = tf.argsort(tf.argsort(noise, direction="DESCENDING"))
        return {
            "mask": tf.reshape(rank < kept, (height, width, 1)),
            "share": tf.cast(kept, tf.float32) / (height * width),
        }


class OneOf(Mixing):
    """Applies one of several mixings, drawn for each batch (methods.md D.1).

    Args:
        mixings: equally likely.
        probability: that a batch is mixed at all.
        **kwargs: of the Keras layer.
    """

    def __init__(self, mixings: list[Mixing], probability: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mixings, self.probability = mixings, probability

    def call(self, inputs: dict) -> dict:
        """Returns the batch, mixed or as it is, as float32."""
        random = self._random_generator
        choice = random.uniform((), 0, len(self.mixings), tf.int32)
        mixed = random.uniform(()) < self.probability
        start = random.draws

        def branch(mixing: Mixing) -> dict:
            random.draws = start  # a branch draws the same whether or not others were traced before it
            return mixing(dict(inputs))

        branches = [functools.partial(branch, mixing) for mixing in self.mixings]
        unmixed = lambda: {name: tf.cast(value, tf.float32) for name, value in inputs.items()}  # noqa: E731
        return tf.cond(mixed, lambda: tf.switch_case(choice, branches), unmixed)


@tf.function(jit_compile=True)
def blend(images: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns share · images + (1 − share) · reversed images, (B, H, W, C) float32."""
    images = tf.cast(images, tf.float32)
    return images * share + images[::-1] * (1.0 - share)


@tf.function(jit_compile=True)
def select(images: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns images where `mask` (H, W, 1) is true, reversed images elsewhere, (B, H, W, C) float32."""
    return tf.cast(tf.where(mask, images, images[::-1]), tf.float32)


def _interval(centre: tf.Tensor, side: tf.Tensor, length: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the clipped (start, end) of a box along an axis of `length` pixels; `side` is a fraction of it."""
    half = tf.cast(side * length, tf.int32) // 2
    return tf.maximum(centre - half, 0), tf.minimum(centre + half, length)
