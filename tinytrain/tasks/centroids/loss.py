"""A cross-entropy for each cell of a map: background, or the class of the box whose centre lies in it.

    mean over cells  w·CE(softmax),  w = 100 in a cell with an object (times λ in a mixed image), else 1

The weight is the default of Edge Impulse's FOMO: almost every cell is background.
"""

import tensorflow as tf

from tinytrain.data.augment.box_geometry import WEIGHT
from tinytrain.data.boxes import CLASS
from tinytrain.tasks.detect.targets import inside, overwritten

OBJECT_WEIGHT = 100.0


def of_cells(targets: tf.Tensor, logits: tf.Tensor, side: int, smoothing: float = 0.0) -> tf.Tensor:
    """Returns the loss, a scalar: the mean over cells and images.

    Args:
        targets: (B, M, 6) float32: class (-1: no box), x0, y0, x1, y1 in pixels of the network's image, weight.
        logits: (B, rows, columns, 1 + classes).
        side: of the network's image in pixels.
        smoothing: share of each label that is spread evenly over background and classes.
    """
    logits = tf.cast(logits, tf.float32)
    labels, weights = cells(targets, logits.shape[1], logits.shape[2], side)
    wanted = tf.one_hot(labels, logits.shape[3]) * (1 - smoothing) + smoothing / logits.shape[3]
    return tf.reduce_mean(weights * tf.nn.softmax_cross_entropy_with_logits(wanted, logits))


def cells(targets: tf.Tensor, rows: int, columns: int, side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the label of each cell (B, rows, columns) int32, 0 for background, and its weight in the loss.

    Of several boxes with their centre in a cell the last one counts.
    """
    there, corners = inside(targets, side)
    centre = (corners[..., :2] + corners[..., 2:]) / 2
    counts = tf.constant([columns, rows])
    place = tf.clip_by_value(tf.cast(centre * tf.cast(counts, tf.float32) / side, tf.int32), 0, counts - 1)
    position = place[..., 1] * columns + place[..., 0]
    learnt = there & ~overwritten(position, there)
    image = tf.broadcast_to(tf.range(tf.shape(position)[0])[:, None], tf.shape(position))
    index, shape = tf.stack([image, position], axis=-1), [tf.shape(position)[0], rows * columns]
    labels = tf.scatter_nd(index, tf.where(learnt, tf.cast(targets[..., CLASS], tf.int32) + 1, 0), shape)
    shares = tf.scatter_nd(index, tf.where(learnt, targets[..., WEIGHT], 0.0), shape)
    weights = tf.where(labels > 0, OBJECT_WEIGHT * shares, 1.0)
    return tf.reshape(labels, (-1, rows, columns)), tf.reshape(weights, (-1, rows, columns))
