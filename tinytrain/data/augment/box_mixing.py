"""MixUp of images with boxes: the pixels are blended, and the boxes of both keep their share as a weight.

As in GluonCV (Zhang et al. 2019, Bag of Freebies for Training Object Detection Neural Networks) each image has its own
λ and its own partner, which here is another image of the batch.
"""

import numpy as np
import tensorflow as tf

from tinytrain.data.augment.box_geometry import WEIGHT
from tinytrain.data.augment.generator import StatelessGenerator
from tinytrain.data.augment.tone import to_float, to_levels
from tinytrain.data.boxes import NO_BOX


def mix(
    random: StatelessGenerator, images: tf.Tensor, targets: tf.Tensor, alpha: float, mixed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns λ · image + (1 − λ) · partner, (B, S, S, C) uint8, and the boxes of both, (B, 2M, 6).

    Args:
        random: the generator to draw from.
        images: (B, S, S, C) uint8.
        targets: (B, M, 6) float32; the weights are multiplied by λ and 1 − λ.
        alpha: of the Beta(alpha, alpha) distribution of λ.
        mixed: () bool; where it is false, images stay as they are and the last M boxes are padding.

    With a share of a batch, whose images are all at hand, those that are asked for come first and only they are mixed.
    """
    batch = tf.shape(images)[0]
    mixed &= batch > 1
    share = tf.where(mixed, random.beta((batch,), alpha), 1.0)
    steps = random.uniform((batch,), 1, tf.maximum(batch, 2), tf.int32)
    if random.share is None:
        partner, count = (tf.range(batch) + steps) % batch, batch
    else:
        rows, count = random.share.rows.astype(np.int32), len(random.share.own)
        partner = tf.gather(np.argsort(rows).astype(np.int32), (rows + steps) % batch)  # where each of the batch is
    share, partner = share[:count], partner[:count]
    own, others = _weighted(targets[:count], share), _weighted(tf.gather(targets, partner), 1.0 - share)
    others = tf.where(mixed, others, tf.constant([NO_BOX, 0, 0, 0, 0, 0], tf.float32))
    images = tf.cond(mixed, lambda: blend(images, partner, share), lambda: images[:count])
    return images, tf.concat([own, others], 1)


@tf.function(jit_compile=True)  # one pass over memory
def blend(images: tf.Tensor, partner: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns share · image + (1 − share) · its partner, rounded.

    Args:
        images: (B, S, S, C) uint8.
        partner: (N,) int32, the number of the other image, of the first N images.
        share: (N,) float32.
    """
    share = share[:, None, None, None]
    first, second = to_float(images[: partner.shape[0]]), to_float(tf.gather(images, partner))
    return to_levels(second + (first - second) * share + 0.5)


def _weighted(targets: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns targets (B, M, 6) whose weights are multiplied by `share` (B,)."""
    return tf.concat([targets[..., :WEIGHT], targets[..., WEIGHT:] * share[:, None, None]], -1)
