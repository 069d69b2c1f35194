"""From outputs to boxes in floating point: for training, for the float model and for its figures.

The int8 model has a decoder of its own, in integers (deploy/decode), which is what the firmware computes.
"""

import numpy as np
import tensorflow as tf

from tinytrain.config.fields import LEAST_SCORE, MOST_BOXES
from tinytrain.tasks.detect.grid import CLASSES, OBJECT, Grid

COLUMNS = 6  # of a detection: x0, y0, x1, y1, score, class


def detections(outputs: list[tf.Tensor], grid: Grid, gain: float, nms: float, most: int) -> tf.Tensor:
    """Returns the boxes (B, most, 6) of each image: x0, y0, x1, y1 in pixels, score, class; class -1 pads.

    One box for every class of a position, score σ(objectness)·σ(class). Of the MOST_BOXES best over all classes,
    those that overlap a better one of their class by more than `nms` IoU are left out.

    Args:
        outputs: (B, rows, columns, A·(5 + K)) of each stride, largest first.
        grid: their positions.
        gain: logits of objectness and classes are the outputs times this.
        nms: IoU.
        most: boxes of an image.
    """
    predictions = grid.predictions(outputs)
    boxes = tf.clip_by_value(grid.boxes(predictions), 0, float(grid.side))
    scores = tf.sigmoid(gain * predictions[..., OBJECT, None]) * tf.sigmoid(gain * predictions[..., CLASSES])
    flat = tf.reshape(scores, (tf.shape(scores)[0], -1))  # position by position, class by class
    count = min(MOST_BOXES, len(grid.positions) * grid.classes)
    best, index = tf.math.top_k(flat, count)
    candidates = tf.gather(boxes, index // grid.classes, batch_dims=1)
    by_class = best[..., None] * tf.one_hot(index % grid.classes, grid.classes)
    kept = tf.image.combined_non_max_suppression(
        candidates[:, :, None], by_class, most, most, nms, LEAST_SCORE, clip_boxes=False
    )
    number = tf.range(most)[None]
    there = number < kept.valid_detections[:, None]
    classes = tf.where(there, kept.nmsed_classes, -1.0)
    return tf.concat([kept.nmsed_boxes, kept.nmsed_scores[..., None], classes[..., None]], axis=-1)


def in_original(detections: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Returns detections (N, D, 6) in pixels of the images as they were before `transforms` (N, 4) resized them."""
    scale, offset = np.tile(transforms[:, None, :2], 2), np.tile(transforms[:, None, 2:], 2)
    result = detections.copy()
    result[..., :4] = (detections[..., :4] - offset) / scale
    return result
