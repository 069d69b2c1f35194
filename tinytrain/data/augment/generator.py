"""Random numbers as a pure function of (seed, step), so that a resumed run draws what an uninterrupted one would."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from keras_cv.src.layers.preprocessing.vectorized_base_image_augmentation_layer import (
    VectorizedBaseImageAugmentationLayer,
)

BatchLayer = VectorizedBaseImageAugmentationLayer  # KerasCV's base class of layers on whole batches


@dataclass(frozen=True)
class Share:
    """The images of a batch that are augmented here, where several workers share a batch.

    own: (m,) the numbers in the batch of those that are asked for; rows: (n,) of those that are at hand, which are
    these and the images that are mixed with them; batch: how many images the batch has.
    """

    own: np.ndarray
    rows: np.ndarray
    batch: int

    @property
    def mixed(self) -> "Share":
        """The share once its images are mixed: nothing but what is asked for."""
        return Share(self.own, self.own, self.batch)

    def take(self, drawn: tf.Tensor) -> tf.Tensor:
        """Returns (k·n, …), the numbers of these images, of what was drawn for k times the batch, (k·batch, …)."""
        rounds = tf.reshape(drawn, tf.concat([[-1, self.batch], tf.shape(drawn)[1:]], 0))
        return tf.reshape(tf.gather(rounds, self.rows, axis=1), tf.concat([[-1], tf.shape(drawn)[1:]], 0))

    def whole(self, shape: Any) -> tf.Tensor:
        """Returns the shape (k·batch, …) that has to be drawn to `take` (k·n, …) of it."""
        shape = tf.convert_to_tensor(shape, tf.int32)
        return tf.concat([shape[:1] // len(self.rows) * self.batch, shape[1:]], 0)


class StatelessGenerator:
    """Replaces the tf.random.Generator of a KerasCV layer: the n-th draw is a function of (seed, step, n).

    With a `Share`, what is drawn for each image is drawn for all of the batch, and that of the share is taken: workers
    that share a batch see together what one alone would. Every draw but a scalar is one number or more for each image.
    """

    def __init__(self) -> None:
        self.seed: tf.Tensor = tf.zeros(2, tf.int64)
        self.draws = 0
        self.share: Share | None = None

    def restart(self, seed: tf.Tensor, share: Share | None = None) -> None:
        """Starts over from `seed` (2,) int64: the seed of the run and the step number."""
        self.seed, self.draws, self.share = seed, 0, share

    def uniform(
        self, shape: tuple, minval: float = 0.0, maxval: float = 1.0, dtype: tf.DType = tf.float32
    ) -> tf.Tensor:
        """Returns uniform numbers in [minval, maxval)."""
        return self._shared(
            lambda whole: tf.random.stateless_uniform(whole, self._next_seed(), minval, maxval, dtype), shape
        )

    def normal(self, shape: tuple) -> tf.Tensor:
        """Returns standard normal numbers, float32."""
        return self._shared(lambda whole: tf.random.stateless_normal(whole, self._next_seed()), shape)

    def sign(self, shape: tuple) -> tf.Tensor:
        """Returns -1 or 1, equally likely, float32."""
        return tf.cast(self.uniform(shape, 0, 2, tf.int32), tf.float32) * 2.0 - 1.0

    def beta(self, shape: tuple, alpha: float) -> tf.Tensor:
        """Returns Beta(alpha, alpha) numbers."""
        return self._shared(
            lambda whole: tf.sigmoid(self._log_gamma(whole, alpha) - self._log_gamma(whole, alpha)), shape
        )

    def dirichlet(self, shape: tuple, alpha: float) -> tf.Tensor:
        """Returns Dirichlet(alpha, …, alpha) numbers, which sum to 1 over the last axis."""
        return self._shared(lambda whole: tf.nn.softmax(self._log_gamma(whole, alpha)), shape)

    def _log_gamma(self, shape: Any, alpha: float) -> tf.Tensor:
        """Returns logarithms of Gamma(alpha, 1) numbers, finite for any alpha > 0.

        Gamma(a) is Gamma(a + 1) · U^(1/a). Drawn directly, most Gamma(0.1) numbers would underflow to 0.
        """
        boosted = tf.random.stateless_gamma(shape, self._next_seed(), alpha + 1.0)
        return (
            tf.math.log(boosted)
            + tf.math.log(tf.random.stateless_uniform(shape, self._next_seed(), 1e-30, 1.0)) / alpha
        )

    def _shared(self, draw: Callable[[Any], tf.Tensor], shape: Any) -> tf.Tensor:
        """Returns what `draw` gives for `shape`, of all of it what belongs to the images of the share.

        What is computed of the numbers before they are taken is equal to the last bit: a vector unit rounds the last
        entries of an array another way than the others.
        """
        if self.share is None or (isinstance(shape, tuple) and not shape):
            return draw(shape)
        static = tf.TensorShape([None, *shape[1:]]) if isinstance(shape, tuple) else None
        drawn = self.share.take(draw(self.share.whole(shape)))
        return drawn if static is None else tf.ensure_shape(drawn, static)

    def _next_seed(self) -> tf.Tensor:
        self.draws += 1
        return tf.random.experimental.stateless_fold_in(self.seed, self.draws)
