"""Color and sharpness: blends of an image (H, W, C) uint8 with a duller copy, as PIL's ImageEnhance; and hue."""

import tensorflow as tf

from tinytrain.data.augment.tone import gray, to_levels


def color(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Color: a blend with gray; factor () 0 is gray, 1 the image."""
    if image.shape[-1] == 1:
        return image
    dull = tf.cast(gray(image), tf.float32)
    return to_levels(dull + (_float(image) - dull) * factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Sharpness: a blend with the 3x3 mean whose centre counts 5 times; the outermost pixels stay."""
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


def hue(image: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns the hue by `turn` () full circles, in float HSV."""
    if image.shape[-1] == 1:
        return image
    hsv = tf.image.rgb_to_hsv(_float(image) / 255.0)
    turned = tf.math.floormod(hsv[..., :1] + turn, 1.0)
    return to_levels(tf.image.hsv_to_rgb(tf.concat([turned, hsv[..., 1:]], -1)) * 255.0 + 0.5)


def _float(image: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.cast(image, tf.int32), tf.float32)
