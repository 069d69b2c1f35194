"""Applies a function to some images of a batch, in a compiled loop that leaves the others alone.

XLA fuses the function into a few passes over one image, which stays in the cache, and compiles it once for any number
of images. As TensorFlow operations on the gathered images it takes two to ten times as long, most of it for moving
float32 copies of the batch through memory.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla  # tf.TensorArray would copy the batch for each image

ImageFunction = Callable[..., tf.Tensor]  # (image (H, W, C) uint8, argument (), …) -> result (…)


def apply_where(
    mask: tf.Tensor,
    function: ImageFunction,
    images: tf.Tensor,
    *arguments: tf.Tensor,
    otherwise: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns function(image, argument…) where `mask` is true, and `otherwise` elsewhere.

    Call it inside of a function that XLA compiles.

    Args:
        mask: (B,) bool.
        function: computes the result of one image.
        images: (B, H, W, C) uint8.
        *arguments: (B, …) each; the function gets those of its image.
        otherwise: (B, …), by default the images.
    """
    in_place = otherwise is None  # one array that is read and written
    results = images if in_place else otherwise
    order = tf.argsort(tf.cast(~mask, tf.int32), stable=True)  # images where the mask is true come first
    count = tf.reduce_sum(tf.cast(mask, tf.int32))

    def row(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        return tf.reshape(xla.dynamic_slice(values, _start(values, index), [1, *values.shape[1:]]), values.shape[1:])

    def body(number: tf.Tensor, results: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index = order[number]
        image = row(results, index) if in_place else row(images, index)
        result = tf.ensure_shape(function(image, *(row(argument, index) for argument in arguments)), results.shape[1:])
        return number + 1, xla.dynamic_update_slice(results, result[None], _start(results, index))

    return tf.while_loop(lambda number, _: number < count, body, (tf.constant(0), results))[1]


def _start(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Returns where row `index` of `values` starts: (index, 0, …, 0)."""
    return tf.stack([index, *[tf.constant(0)] * (values.shape.rank - 1)])
