"""Color, sharpness and hue of one image (H, W, C) uint8; the first two blend it with a degenerate copy as PIL does."""

import tensorflow as tf

from tinytrain.data.augment.tone import gray, to_float, to_levels


def color(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Changes the saturation as ImageEnhance.Color does: a `factor` () of 0 gives gray, 1 the image itself."""
    if image.shape[-1] == 1:
        return image
    degenerate = tf.cast(gray(image), tf.float32)
    return to_levels(degenerate + (to_float(image) - degenerate) * factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Changes the sharpness as ImageEnhance.Sharpness does: a blend with a smooth copy.

    The copy is a 3x3 mean in which the centre counts 5 times. The outermost pixels stay as they are.
    """
    height, width, channels = image.shape
    if height < 3 or width < 3:
        return image
    lines = tf.reshape(image, (height, width * channels))  # one long axis
    pixels = tf.cast(lines, tf.int32)
    rows = pixels[:-2] + pixels[1:-1] + pixels[2:]
    box = rows[:, : -2 * channels] + rows[:, channels:-channels] + rows[:, 2 * channels :]
    inner = pixels[1:-1, channels:-channels]
    smooth = tf.floor(tf.cast(box + 4 * inner, tf.float32) / 13.0 + 0.5)
    changed = to_levels(smooth + (tf.cast(inner, tf.float32) - smooth) * factor)
    middle = tf.concat([lines[1:-1, :channels], changed, lines[1:-1, -channels:]], 1)
    return tf.reshape(tf.concat([lines[:1], middle, lines[-1:]], 0), image.shape)


def hue(image: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Shifts the hue by `shift` () full turns, in float HSV."""
    if image.shape[-1] == 1:
        return image
    hsv = tf.image.rgb_to_hsv(to_float(image) / 255.0)
    shifted = tf.math.floormod(hsv[..., :1] + shift, 1.0)
    return to_levels(tf.image.hsv_to_rgb(tf.concat([shifted, hsv[..., 1:]], -1)) * 255.0 + 0.5)
