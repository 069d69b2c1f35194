"""Regions of images: what is cut out of them or reaches beyond them, and how pixels and boxes follow.

A region (…, 4) float32 is x0, y0, x1, y1 in pixels of the image. It is resized to the whole of the result, so that
expanding, cropping and resizing are one sampling. Targets (…, M, 6) float32 are class (-1: no box), x0, y0, x1, y1 and
weight.
"""

import tensorflow as tf

from tinytrain.data.augment.generator import StatelessGenerator
from tinytrain.data.augment.operations import FILL
from tinytrain.data.augment.tone import to_levels
from tinytrain.data.boxes import CLASS, CORNERS, NO_BOX

WEIGHT = 5  # column of a target, behind CLASS and CORNERS of an annotation
MIN_SIDE = 1.0  # pixels of the result; a smaller box cannot be seen
TOLERANCE = 1e-3  # pixels, of float32 coordinates


def whole(batch: tf.Tensor, side: int) -> tf.Tensor:
    """Returns the regions (B, 4) that are the images themselves, `side` pixels wide and high."""
    return tf.tile([[0.0, 0.0, float(side), float(side)]], (batch, 1))


def expand(random: StatelessGenerator, batch: tf.Tensor, side: int, probability: float, ratio: float) -> tf.Tensor:
    """Returns regions (B, 4) that put some of the images at a random place of a larger canvas.

    Args:
        random: the generator to draw from.
        batch: B, the number of images, an int32 scalar.
        side: of the images in pixels.
        probability: that an image is expanded.
        ratio: the side of a canvas is 1 to `ratio` times that of the image, uniform.
    """
    expanded = random.uniform((batch, 1)) < probability
    canvas = tf.where(expanded, random.uniform((batch, 1), 1.0, ratio), 1.0) * float(side)
    corner = -random.uniform((batch, 2)) * (canvas - float(side))
    return tf.concat([corner, corner + canvas], 1)


def move(targets: tf.Tensor, regions: tf.Tensor, resolution: int) -> tf.Tensor:
    """Returns targets (…, M, 6) in pixels of their regions (…, 4) after these are resized to `resolution`.

    Boxes are clipped. Those whose centre is outside, or a side of which is shorter than a pixel, become padding.
    """
    low, side = regions[..., None, :2], (regions[..., 2:] - regions[..., :2])[..., None, :]
    scale = resolution / side
    corners = (targets[..., CORNERS] - tf.concat([low, low], -1)) * tf.concat([scale, scale], -1)
    centre = (corners[..., :2] + corners[..., 2:]) / 2.0
    clipped = tf.clip_by_value(corners, 0.0, float(resolution))
    inside = tf.reduce_all((centre >= 0.0) & (centre < resolution), -1)
    visible = tf.reduce_all(clipped[..., 2:] - clipped[..., :2] >= MIN_SIDE - TOLERANCE, -1)
    labels = tf.where(inside & visible, targets[..., CLASS], float(NO_BOX))
    weights = tf.broadcast_to(targets[..., WEIGHT], tf.shape(labels))
    return tf.concat([labels[..., None], clipped, weights[..., None]], -1)


def flip(targets: tf.Tensor, flipped: tf.Tensor, resolution: int) -> tf.Tensor:
    """Returns targets (B, M, 6), those of images where `flipped` (B,) is true mirrored left to right."""
    label, x0, y0, x1, y1, weight = tf.unstack(targets, axis=-1)
    mirrored = tf.stack([label, resolution - x1, y0, resolution - x0, y1, weight], -1)
    return tf.where(flipped[:, None, None], mirrored, targets)


def resample(images: tf.Tensor, regions: tf.Tensor, resolution: int) -> tf.Tensor:
    """Returns the regions (B, 4) of images (B, H, W, C) uint8, resized to (B, resolution, resolution, C) float32.

    Antialiased bilinear, as Pillow resizes. Pixels outside of the image are not filled yet: see `finish`.
    """
    scale, translation = _scale_and_translation(regions, resolution)
    shape = (resolution, resolution, images.shape[-1])

    def one(arguments: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image, scale, translation = arguments
        resized = tf.raw_ops.ScaleAndTranslate(
            images=image[None],
            size=[resolution, resolution],
            scale=scale[::-1],
            translation=translation[::-1],
            kernel_type="triangle",
            antialias=True,
        )
        return tf.ensure_shape(resized[0], shape)

    return tf.map_fn(one, (images, scale, translation), fn_output_signature=tf.TensorSpec(shape, tf.float32))


def finish(resampled: tf.Tensor, regions: tf.Tensor, flipped: tf.Tensor, side: int) -> tf.Tensor:
    """Returns the images (B, R, R, C) uint8 that `resample` began.

    Args:
        resampled: (B, R, R, C) float32.
        regions: (B, 4), those that were resampled.
        flipped: (B,) bool, which images are mirrored left to right.
        side: of the images before, in pixels; what is outside of them gets the mean color of ImageNet.
    """
    resolution = resampled.shape[1]
    scale, translation = _scale_and_translation(regions, resolution)
    centre = (tf.range(resolution, dtype=tf.float32)[None, :, None] + 0.5 - translation[:, None]) / scale[:, None]
    inside = (centre > TOLERANCE) & (centre < side - TOLERANCE)  # (B, R, 2): columns and rows
    return _filled(resampled, inside, flipped)


@tf.function(jit_compile=True)
def _filled(images: tf.Tensor, inside: tf.Tensor, flipped: tf.Tensor) -> tf.Tensor:
    visible = inside[:, None, :, 0] & inside[:, :, None, 1]
    levels = to_levels(tf.where(visible[..., None], images + 0.5, tf.constant(FILL[images.shape[-1]], tf.float32)))
    return tf.where(flipped[:, None, None, None], levels[:, :, ::-1], levels)


def _scale_and_translation(regions: tf.Tensor, resolution: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (B, 2) each, x and y: a place p of an image is at scale · p + translation in its resized region."""
    scale = resolution / (regions[:, 2:] - regions[:, :2])
    return scale, -regions[:, :2] * scale
