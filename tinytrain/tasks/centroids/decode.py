"""From a map of cells to objects in floating point, as deploy/decode/cells.py does it in integers."""

import tensorflow as tf

from tinytrain.config.fields import LEAST_SCORE

EARLIER = [(-1, -1), (-1, 0), (-1, 1), (0, -1)]  # neighbors (down, right) that come before a cell in the scan
LATER = [(0, 1), (1, -1), (1, 0), (1, 1)]


def detections(logits: tf.Tensor, side: int, most: int) -> tf.Tensor:
    """Returns the objects (B, most, 6) of each image: x0, y0, x1, y1 of their cells in pixels, score, class; -1 pads.

    An object is a cell whose probability of a class is at least LEAST_SCORE and larger than that of each of its eight
    neighbors; of equal ones the first in the order of the scan.

    Args:
        logits: (B, rows, columns, 1 + classes), background first.
        side: of the network's image in pixels.
        most: objects of an image.
    """
    rows, columns, classes = logits.shape[1], logits.shape[2], logits.shape[3] - 1
    scores = tf.nn.softmax(tf.cast(logits, tf.float32))[..., 1:]
    scores = tf.where(_peaks(scores) & (scores >= LEAST_SCORE), scores, 0.0)
    count = rows * columns * classes
    best, index = tf.math.top_k(tf.reshape(scores, (-1, count)), min(most, count))
    cell, label = index // classes, index % classes
    x, y = tf.cast(cell % columns, tf.float32), tf.cast(cell // columns, tf.float32)
    width, height = side / columns, side / rows
    corners = [x * width, y * height, (x + 1) * width, (y + 1) * height]
    found = tf.stack([*corners, best, tf.where(best > 0, tf.cast(label, tf.float32), -1.0)], axis=-1)
    return tf.pad(found, [(0, 0), (0, most - min(most, count)), (0, 0)], constant_values=-1.0)


def _peaks(scores: tf.Tensor) -> tf.Tensor:
    """Returns where scores (B, rows, columns, classes) exceed those of all neighbors; of equal ones the first does."""
    rows, columns = scores.shape[1], scores.shape[2]
    padded = tf.pad(scores, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-1.0)

    def neighbor(down: int, right: int) -> tf.Tensor:
        return padded[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]

    above = [scores > neighbor(*place) for place in EARLIER] + [scores >= neighbor(*place) for place in LATER]
    return tf.reduce_all(tf.stack(above), axis=0)
