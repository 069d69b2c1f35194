"""Color and sharpness: blends of an image with a duller copy of itself, as PIL's ImageEnhance; and hue."""

import tensorflow as tf

from tinytrain.augmentations.tone import gray, to_levels


def color(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Color: a blend of uint8 images (B, H, W, C) with gray; factor (B,) 0 is gray, 1 the image."""
    if images.shape[-1] == 1:
        return images
    dull = gray(images)
    return to_levels(dull + (tf.cast(images, tf.float32) - dull) * factor[:, None, None, None])


def sharpness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Sharpness: a blend with the 3x3 mean whose centre counts 5 times; the outermost pixels stay."""
    pixels = tf.cast(images, tf.float32)
    if pixels.shape[1] < 3 or pixels.shape[2] < 3:
        return images
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = pixels[:, 1:-1, 1:-1]
    smooth = tf.floor((box + 4.0 * inner) / 13.0 + 0.5)
    change = (inner - smooth) * (factor[:, None, None, None] - 1.0)
    return to_levels(pixels + tf.pad(change, [[0, 0], [1, 1], [1, 1], [0, 0]]))


def hue(images: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns the hue of uint8 images (B, H, W, C) by `turn` (B,) full circles, in float HSV."""
    if images.shape[-1] == 1:
        return images
    hsv = tf.image.rgb_to_hsv(tf.cast(images, tf.float32) / 255.0)
    turned = tf.math.floormod(hsv[..., :1] + turn[:, None, None, None], 1.0)
    return to_levels(tf.image.hsv_to_rgb(tf.concat([turned, hsv[..., 1:]], -1)) * 255.0 + 0.5)
