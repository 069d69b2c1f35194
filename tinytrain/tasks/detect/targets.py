"""Which position learns which box, and which positions learn nothing: YOLOv3's assignment by GluonCV's code.

A box goes to the anchor of all scales whose width and height overlap its own most, in the cell that its centre is in
(detection.md D). All inside TensorFlow, with fixed shapes.
"""

from typing import NamedTuple

import tensorflow as tf

from tinytrain.data.augment.box_geometry import WEIGHT
from tinytrain.data.boxes import CLASS, CORNERS
from tinytrain.tasks.detect.grid import Grid


class Assigned(NamedTuple):
    """The targets of the boxes of a batch, (B, M, …) each.

    there: bool, whether the row is a box that a position learns; position: int32, its number, 0 where not there;
    classes: int32; offset: (…, 2) where the centre is in its cell, 0..1; size: (…, 2) the logarithm of width and height
    over those of the anchor; weight: of box and class, λ of a mixed image; scale: 2 - share of the image it covers.
    """

    there: tf.Tensor
    position: tf.Tensor
    classes: tf.Tensor
    offset: tf.Tensor
    size: tf.Tensor
    weight: tf.Tensor
    scale: tf.Tensor


def assign(targets: tf.Tensor, grid: Grid) -> Assigned:
    """Returns where each box of `targets` (B, M, 6) float32 is learnt.

    Of boxes with the same anchor in the same cell the last one is learnt.
    """
    there, corners = inside(targets, grid.side)
    sides = tf.maximum(corners[..., 2:] - corners[..., :2], 1.0)
    centre = (corners[..., :2] + corners[..., 2:]) / 2
    sizes = tf.constant([size for anchors in grid.anchors.values() for size in anchors.tolist()], tf.float32)
    strides = tf.constant([stride for stride, anchors in grid.anchors.items() for _ in anchors], tf.float32)
    numbers = tf.constant([number for anchors in grid.anchors.values() for number in range(len(anchors))])
    per_cell = tf.constant([len(anchors) for anchors in grid.anchors.values() for _ in anchors])
    firsts = tf.constant([grid.firsts[stride] for stride, anchors in grid.anchors.items() for _ in anchors])
    best = _best_anchor(sides, sizes)
    stride = tf.gather(strides, best)
    cells = tf.cast(grid.side / stride, tf.int32)
    place = tf.clip_by_value(tf.cast(centre / stride[..., None], tf.int32), 0, cells[..., None] - 1)
    position = tf.gather(firsts, best) + (place[..., 1] * cells + place[..., 0]) * tf.gather(per_cell, best)
    position += tf.gather(numbers, best)
    return Assigned(
        there & ~overwritten(position, there),
        tf.where(there, position, 0),
        tf.cast(tf.maximum(targets[..., CLASS], 0), tf.int32),
        centre / stride[..., None] - tf.cast(place, tf.float32),
        tf.math.log(sides / tf.gather(sizes, best)),
        targets[..., WEIGHT],
        2 - sides[..., 0] * sides[..., 1] / grid.side**2,
    )


def inside(targets: tf.Tensor, side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns which boxes of `targets` (B, M, 6) have their centre in the image, (B, M) bool, and corners cut to it.

    A val image that was cropped to the input lacks some of its objects.
    """
    corners = targets[..., CORNERS]
    centre = (corners[..., :2] + corners[..., 2:]) / 2
    seen = tf.reduce_all((centre >= 0) & (centre < side), axis=-1)
    return seen & (targets[..., CLASS] >= 0), tf.clip_by_value(corners, 0, side)


def ignored(boxes: tf.Tensor, targets: tf.Tensor, limit: float) -> tf.Tensor:
    """Returns (B, P) bool: the predicted `boxes` (B, P, 4) that overlap a box of `targets` by more than `limit` IoU."""
    corners = targets[:, None, :, CORNERS]
    low = tf.maximum(boxes[:, :, None, :2], corners[..., :2])
    high = tf.minimum(boxes[:, :, None, 2:], corners[..., 2:])
    shared = tf.reduce_prod(tf.maximum(high - low, 0), axis=-1)
    union = _area(boxes)[:, :, None] + _area(corners) - shared
    overlap = tf.math.divide_no_nan(shared, union)
    return tf.reduce_any((overlap > limit) & (targets[:, None, :, CLASS] >= 0), axis=-1)


def _best_anchor(sides: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Returns (B, M) int32: of the anchors (A, 2) the first with the largest IoU with `sides` (B, M, 2), centred."""
    shared = tf.reduce_prod(tf.minimum(sides[:, :, None], sizes), axis=-1)
    union = tf.reduce_prod(sides, axis=-1)[..., None] + tf.reduce_prod(sizes, axis=-1) - shared
    return tf.argmax(shared / union, axis=-1, output_type=tf.int32)


def overwritten(position: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
    """Returns (B, M) bool: whether a later box of the image, of those that are `there`, has the same position."""
    same = (position[:, :, None] == position[:, None, :]) & there[:, None, :]
    later = tf.linalg.band_part(tf.ones_like(same[0], tf.int32), 0, -1) - tf.eye(tf.shape(position)[1], dtype=tf.int32)
    return tf.reduce_any(same & tf.cast(later, tf.bool), axis=-1)


def _area(corners: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.maximum(corners[..., 2:] - corners[..., :2], 0), axis=-1)
