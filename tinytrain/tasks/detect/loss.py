"""YOLOv3's loss by GluonCV's code (detection.md D): sums over the positions of an image, the mean over the batch.

    Σ BCE(objectness), of positions that are not ignored
    + Σ assigned  w·[BCE(tx) + BCE(ty) + |tw - tw*| + |th - th*|],  w = 2 - share of the image that the box covers
    + Σ assigned  Σ classes BCE(class)

A mixed image weighs the terms of its boxes by λ, that of objectness too, whose target stays 1.
"""

from typing import NamedTuple

import tensorflow as tf

from tinytrain.tasks.detect import targets as boxes_of
from tinytrain.tasks.detect.grid import BOX, CLASSES, OBJECT, Grid


class Parts(NamedTuple):
    """The parts of the loss of a batch, scalars."""

    objectness: tf.Tensor
    box: tf.Tensor
    classes: tf.Tensor


def parts(
    targets: tf.Tensor, outputs: list[tf.Tensor], grid: Grid, gain: float, ignore_iou: float, smoothing: float = 0.0
) -> Parts:
    """Returns the parts of the loss.

    Args:
        targets: (B, M, 6) float32: class (-1: no box), x0, y0, x1, y1 in pixels of the network's image, weight.
        outputs: (B, rows, columns, A·(5 + K)) of each stride, largest first.
        grid: their positions.
        gain: logits of objectness and classes are the outputs times this.
        ignore_iou: above this overlap with any box of the image a position is not taught to be background.
        smoothing: what is taken from the class of a box; the others learn it in place of 0.
    """
    predictions = grid.predictions(outputs)
    assigned = boxes_of.assign(targets, grid)
    there = tf.cast(assigned.there, tf.float32)
    share = there * assigned.weight
    weight = _scattered(assigned, share, predictions)  # λ at assigned positions, 0 elsewhere
    taught = weight > 0
    decoded = tf.stop_gradient(grid.boxes(predictions))
    background = tf.cast(~taught & ~boxes_of.ignored(decoded, targets, ignore_iou), tf.float32)
    objectness = _cross_entropy(tf.cast(taught, tf.float32), gain * predictions[..., OBJECT])
    own = tf.gather(predictions, assigned.position, batch_dims=1)
    centre = tf.reduce_sum(_cross_entropy(assigned.offset, own[..., :2]), axis=-1)
    size = tf.reduce_sum(tf.abs(own[..., 2:4] - assigned.size), axis=-1)
    wanted = tf.one_hot(assigned.classes, grid.classes, 1 - smoothing, smoothing)
    classes = tf.reduce_sum(_cross_entropy(wanted, gain * own[..., CLASSES]), axis=-1)
    return Parts(
        *(
            tf.reduce_sum(part) / tf.cast(tf.shape(targets)[0], tf.float32)
            for part in (
                (weight + background) * objectness,
                share * assigned.scale * (centre + size),
                share * classes,
            )
        )
    )


def distillation(
    student: list[tf.Tensor], teacher: list[tf.Tensor], grid: Grid, gain: float, temperature: float
) -> tf.Tensor:
    """Returns how far a student's outputs are from a teacher's: sums over the positions, the mean over the images.

        Σ BCE(σ(objectness_t / T), objectness / T) + Σ Σ classes σ(objectness_t)·BCE(σ(class_t / T), class / T)
        + Σ σ(objectness_t)·[|tx - tx_t| + |ty - ty_t| + |tw - tw_t| + |th - th_t|] / T²

    with the logits of the teacher marked t. A position counts for classes and box as far as the teacher sees an object
    there: elsewhere neither means anything. No temperature softens a box; the distillation multiplies all by T².

    Args:
        student: (B, rows, columns, A·(5 + K)) of each stride, largest first.
        teacher: likewise.
        grid: their positions.
        gain: logits of objectness and classes are the outputs times this.
        temperature: T.
    """
    own, taught = grid.predictions(student), tf.stop_gradient(grid.predictions(teacher))
    object_there = tf.sigmoid(gain * taught[..., OBJECT])

    def softened(channels: int | slice) -> tf.Tensor:
        wanted = tf.sigmoid(gain / temperature * taught[..., channels])
        return _cross_entropy(wanted, gain / temperature * own[..., channels])

    boxes = tf.reduce_sum(tf.abs(own[..., BOX] - taught[..., BOX]), axis=-1) / temperature**2
    classes = tf.reduce_sum(softened(CLASSES), axis=-1)
    per_image = tf.reduce_sum(softened(OBJECT) + object_there * (classes + boxes), axis=-1)
    return tf.reduce_mean(per_image)


def _scattered(assigned: boxes_of.Assigned, values: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
    """Returns (B, P): the value (B, M) of the box that is learnt at each position, 0 where none is."""
    shape = tf.shape(predictions)[:2]
    image = tf.broadcast_to(tf.range(shape[0])[:, None], tf.shape(values))
    return tf.scatter_nd(tf.stack([image, assigned.position], axis=-1), values, shape)


def _cross_entropy(wanted: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)
