"""Tone operations: one table of 256 levels for each image and channel, then one lookup for the whole batch.

Levels are PIL's (ImageOps, ImageEnhance), rounding included. A table is (B, C or 1, 256) float32 until it is looked up.
"""

import numpy as np
import tensorflow as tf

LEVELS = np.arange(256, dtype=np.float32)[None, None]  # (1, 1, 256)
LUMA = (19595.0, 38470.0, 7471.0)  # PIL's "L" of RGB in units of 1/65536; sums below 2^24 are exact in float32


def gray(images: tf.Tensor) -> tf.Tensor:
    """Returns the levels of PIL's convert("L"), (B, H, W, 1) float32, of images (B, H, W, C)."""
    images = tf.cast(images, tf.float32)
    if images.shape[-1] == 1:
        return images
    rows = tf.reshape(images, (-1, 3))  # (B·H·W, 3)
    luma = tf.floor((tf.matmul(rows, tf.constant(LUMA)[:, None]) + 32768.0) / 65536.0)
    return tf.reshape(luma, tf.concat([tf.shape(images)[:-1], [1]], 0))


def identity(images: tf.Tensor, argument: tf.Tensor) -> tf.Tensor:
    """Returns the table that changes nothing."""
    return LEVELS + tf.zeros_like(argument)[:, None, None]


def invert(images: tf.Tensor, argument: tf.Tensor) -> tf.Tensor:
    """ImageOps.invert."""
    return 255.0 - identity(images, argument)


def posterize(images: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """ImageOps.posterize: the highest `bits` (B,) of each level, 0 to 8."""
    step = tf.round(tf.pow(2.0, 8.0 - bits))[:, None, None]
    return tf.floor(LEVELS / step) * step


def solarize(images: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """ImageOps.solarize: levels from `threshold` (B,) on are inverted."""
    return tf.where(threshold[:, None, None] > LEVELS, LEVELS, 255.0 - LEVELS)


def solarize_add(images: tf.Tensor, added: tf.Tensor) -> tf.Tensor:
    """Levels below 128 are raised by `added` (B,) (timm, auto_augment.py)."""
    return tf.where(LEVELS < 128.0, LEVELS + added[:, None, None], LEVELS)


def brightness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Brightness: a blend with black."""
    return LEVELS * factor[:, None, None]


def contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """ImageEnhance.Contrast: a blend with the mean gray level of the image."""
    mean = tf.floor(tf.reduce_mean(gray(images)[..., 0], axis=(1, 2)) + 0.5)[:, None, None]
    return mean + (LEVELS - mean) * factor[:, None, None]


def autocontrast(images: tf.Tensor, argument: tf.Tensor) -> tf.Tensor:
    """ImageOps.autocontrast without a cutoff: each channel's darkest level becomes 0, its brightest 255."""
    low, high = _extremes(images)
    scale = 255.0 / (high - low)
    return tf.where(high > low, (LEVELS - low) * scale, LEVELS)


def equalize(images: tf.Tensor, argument: tf.Tensor) -> tf.Tensor:
    """ImageOps.equalize: each channel's levels get about as many pixels each."""
    counts = histogram(images)  # (B, C, 256)
    brightest = tf.cast(tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), -1, keepdims=True), tf.int32)
    last = tf.gather(counts, brightest, batch_dims=2)  # (B, C, 1)
    step = (tf.reduce_sum(counts, -1, keepdims=True) - last) // 255
    before = tf.cumsum(counts, axis=-1, exclusive=True)
    table = tf.cast((before + step // 2) // tf.maximum(step, 1), tf.float32)
    return tf.where(step > 0, table, LEVELS)


def histogram(images: tf.Tensor) -> tf.Tensor:
    """Returns how many pixels of each image and channel have each level, (B, C, 256) int32, of uint8 images."""
    batch, channels = tf.shape(images)[0], images.shape[-1]
    table = tf.reshape(tf.range(batch * channels), (batch, 1, 1, channels)) * 256
    counts = tf.math.bincount(tf.reshape(tf.cast(images, tf.int32) + table, [-1]), minlength=batch * channels * 256)
    return tf.reshape(counts, (batch, channels, 256))


@tf.function(jit_compile=True)  # ten times as fast as tf.gather outside of XLA
def lookup(images: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Returns uint8 images (B, H, W, C) with each level replaced by its entry in uint8 tables (B, C, 256)."""
    batch, channels = images.shape[0], images.shape[-1]
    table = tf.reshape(tf.range(batch * channels), (batch, 1, 1, channels)) * 256
    return tf.gather(tf.reshape(tables, [-1]), tf.cast(images, tf.int32) + table)


def to_levels(values: tf.Tensor) -> tf.Tensor:
    """Returns float levels as uint8, cut off below 0 and above 255 and truncated, as PIL does."""
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


def _extremes(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the darkest and the brightest level of each image and channel, (B, C, 1) float32 each."""
    batch, height = tf.shape(images)[0], images.shape[1]
    lines = tf.reshape(images, (batch, height, images.shape[2] * images.shape[3]))  # the long axis last: vectorized
    low, high = tf.reduce_min(lines, 1), tf.reduce_max(lines, 1)
    shape = (batch, images.shape[2], images.shape[3])
    found = tf.reduce_min(tf.reshape(low, shape), 1), tf.reduce_max(tf.reshape(high, shape), 1)
    return tf.cast(found[0], tf.float32)[..., None], tf.cast(found[1], tf.float32)[..., None]
