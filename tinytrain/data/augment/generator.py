"""Random numbers as a pure function of (seed, step), so that a resumed run draws what an uninterrupted one would."""

import tensorflow as tf
from keras_cv.src.layers.preprocessing.vectorized_base_image_augmentation_layer import (
    VectorizedBaseImageAugmentationLayer,
)

BatchLayer = VectorizedBaseImageAugmentationLayer  # KerasCV's base class of layers on whole batches


class StatelessGenerator:
    """Replaces the tf.random.Generator of a KerasCV layer: the n-th draw is a function of (seed, step, n)."""

    def __init__(self) -> None:
        self.seed: tf.Tensor = tf.zeros(2, tf.int64)
        self.draws = 0

    def restart(self, seed: tf.Tensor) -> None:
        """Starts over from `seed` (2,) int64: the seed of the run and the step number."""
        self.seed, self.draws = seed, 0

    def uniform(
        self, shape: tuple, minval: float = 0.0, maxval: float = 1.0, dtype: tf.DType = tf.float32
    ) -> tf.Tensor:
        """Returns uniform numbers in [minval, maxval)."""
        return tf.random.stateless_uniform(shape, self._next_seed(), minval, maxval, dtype)

    def normal(self, shape: tuple) -> tf.Tensor:
        """Returns standard normal numbers, float32."""
        return tf.random.stateless_normal(shape, self._next_seed())

    def sign(self, shape: tuple) -> tf.Tensor:
        """Returns -1 or 1, equally likely, float32."""
        return tf.cast(self.uniform(shape, 0, 2, tf.int32), tf.float32) * 2.0 - 1.0

    def log_gamma(self, shape: tuple, alpha: float) -> tf.Tensor:
        """Returns logarithms of Gamma(alpha, 1) numbers, finite for any alpha > 0.

        Gamma(a) is Gamma(a + 1) · U^(1/a). Drawn directly, most Gamma(0.1) numbers would underflow to 0.
        """
        boosted = tf.random.stateless_gamma(shape, self._next_seed(), alpha + 1.0)
        return tf.math.log(boosted) + tf.math.log(self.uniform(shape, 1e-30, 1.0)) / alpha

    def beta(self, shape: tuple, alpha: float) -> tf.Tensor:
        """Returns Beta(alpha, alpha) numbers."""
        return tf.sigmoid(self.log_gamma(shape, alpha) - self.log_gamma(shape, alpha))

    def dirichlet(self, shape: tuple, alpha: float) -> tf.Tensor:
        """Returns Dirichlet(alpha, …, alpha) numbers, which sum to 1 over the last axis."""
        return tf.nn.softmax(self.log_gamma(shape, alpha))

    def _next_seed(self) -> tf.Tensor:
        self.draws += 1
        return tf.random.experimental.stateless_fold_in(self.seed, self.draws)
