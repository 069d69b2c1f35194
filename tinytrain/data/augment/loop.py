"""One operation for some images of a batch: a compiled loop that leaves the others alone.

XLA turns the body, an operation on one image, into few passes over an image that stays in the cache, and compiles it
once however many images are chosen. As whole-batch TensorFlow operations on gathered images the same takes two to ten
times as long, most of it in moving float32 copies of the batch through the memory.
"""

from collections.abc import Callable

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla  # tf.TensorArray would copy the batch for each image

Change = Callable[..., tf.Tensor]  # (image (H, W, C) uint8, argument (), …) -> what is kept for it


def on_chosen(
    change: Change, chosen: tf.Tensor, images: tf.Tensor, *arguments: tf.Tensor, kept: tf.Tensor | None = None
) -> tf.Tensor:
    """Returns `kept` (B, …), by default the images, with change(image, argument…) where chosen (B,) bool is true.

    images (B, H, W, C), arguments (B, …). To be called inside of a function that XLA compiles.
    """
    separate = kept is not None  # one array that is read and written in place, or two
    kept = kept if separate else images
    first = tf.argsort(tf.cast(~chosen, tf.int32), stable=True)  # the chosen ones first
    count = tf.reduce_sum(tf.cast(chosen, tf.int32))

    def one(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        return tf.reshape(xla.dynamic_slice(values, _start(values, index), [1, *values.shape[1:]]), values.shape[1:])

    def body(number: tf.Tensor, kept: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index = first[number]
        image = one(images, index) if separate else one(kept, index)
        found = tf.ensure_shape(change(image, *(one(argument, index) for argument in arguments)), kept.shape[1:])
        return number + 1, xla.dynamic_update_slice(kept, found[None], _start(kept, index))

    return tf.while_loop(lambda number, _: number < count, body, (tf.constant(0), kept))[1]


def _start(values: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    return tf.stack([index, *[tf.constant(0)] * (values.shape.rank - 1)])
