"""Random crops that keep objects to at least a drawn share, as in SSD (Liu et al. 2016, section 2.2) and GluonCV.

For each minimum IoU, the first of 50 random crops whose IoU with every box is large enough is a candidate. One of the
candidates and the whole region is drawn, all equally likely, but none in which no box would be left.
"""

import tensorflow as tf
from keras.utils.bounding_boxes import compute_iou

from tinytrain.data.augment import box_geometry
from tinytrain.data.augment.generator import StatelessGenerator
from tinytrain.data.boxes import CLASS, CORNERS, NO_BOX

MIN_IOUS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
TRIES = 50
MIN_SCALE, MAX_ASPECT = 0.3, 2.0  # of the region's sides; of width / height, relative to the region's


def crop(random: StatelessGenerator, regions: tf.Tensor, targets: tf.Tensor, resolution: int) -> tf.Tensor:
    """Returns a crop of each region, or the region itself, (B, 4).

    Args:
        random: the generator to draw from.
        regions: (B, 4).
        targets: (B, M, 6) in pixels of the images, as the regions.
        resolution: side in pixels that the crops are resized to.
    """
    tries = draw(random, regions)
    priority = random.uniform((tf.shape(regions)[0], 1 + len(MIN_IOUS)))
    return _choose(regions, tries, targets, priority, resolution)


def draw(random: StatelessGenerator, regions: tf.Tensor) -> tf.Tensor:
    """Returns random crops of the regions (B, 4): (B, len(MIN_IOUS), TRIES, 4)."""
    shape = (tf.shape(regions)[0], len(MIN_IOUS), TRIES, 1)
    scale = random.uniform(shape, MIN_SCALE, 1.0)
    low, high = tf.maximum(scale**2, 1.0 / MAX_ASPECT), tf.minimum(scale**-2.0, MAX_ASPECT)
    root = tf.sqrt(low + random.uniform(shape) * (high - low))  # of the aspect ratio
    side = tf.concat([scale * root, scale / root], -1)
    corner = random.uniform((*shape[:-1], 2)) * (1.0 - side)
    offset, size = regions[:, None, None, :2], (regions[:, 2:] - regions[:, :2])[:, None, None]
    return tf.concat([offset + corner * size, offset + (corner + side) * size], -1)


def candidates(regions: tf.Tensor, tries: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the regions themselves and the first of the tries for each minimum IoU that reaches it.

    Args:
        regions: (B, 4).
        tries: (B, len(MIN_IOUS), TRIES, 4), crops of them.
        targets: (B, M, 6).

    Returns:
        crops (B, 1 + len(MIN_IOUS), 4), the region first; found (…, 1 + len(MIN_IOUS)) bool, false where no try is
        good enough. In an image without boxes only the region is.
    """
    batch = tf.shape(regions)[0]
    there = targets[..., CLASS] != NO_BOX
    iou = compute_iou(tf.reshape(tries, (batch, -1, 4)), targets[..., CORNERS], "xyxy")  # (B, tries, M)
    least = tf.reduce_min(tf.where(there[:, None], iou, 1.0), -1)
    enough = tf.reshape(least, (batch, len(MIN_IOUS), TRIES)) >= tf.constant(MIN_IOUS)[:, None]
    enough &= tf.reduce_any(there, -1)[:, None, None]
    first = tf.argmax(tf.cast(enough, tf.int32), -1, tf.int32)
    crops = tf.concat([regions[:, None], tf.gather(tries, first, batch_dims=2)], 1)
    return crops, tf.concat([tf.ones((batch, 1), tf.bool), tf.reduce_any(enough, -1)], 1)


@tf.function(jit_compile=True)  # the table of IoUs would not fit into the cache
def _choose(
    regions: tf.Tensor, tries: tf.Tensor, targets: tf.Tensor, priority: tf.Tensor, resolution: int
) -> tf.Tensor:
    """Returns (B, 4), the candidate of the highest `priority` (B, 1 + len(MIN_IOUS)) that leaves a box."""
    crops, found = candidates(regions, tries, targets)
    moved = box_geometry.move(targets[:, None], crops, resolution)
    left = tf.reduce_any(moved[..., CLASS] != NO_BOX, -1)
    whole = tf.range(1 + len(MIN_IOUS)) == 0
    choice = tf.argmax(tf.where(found & (left | whole), priority, -1.0), 1, tf.int32)
    return tf.gather(crops, choice, batch_dims=1)
