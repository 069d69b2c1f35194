"""Shear, translation and rotation of one image (H, W, C) uint8, with the conventions of PIL's Image.transform.

The output pixel (x, y) is what the source has at (a, b, c; d, e, f) · (x + ½, y + ½, 1). Outside of the source stands
the fill color; the source's outermost half pixels are its outermost pixels. And resizing of boxes, for whole batches.

The first three work on rows of W·C values, so that the longest axis is the innermost one.
"""

import numpy as np
import tensorflow as tf

from tinytrain.data.augment.tone import to_levels

Fill = tuple[int, ...]


def transform(image: tf.Tensor, matrix: tf.Tensor, fill: Fill, bilinear: bool = True) -> tf.Tensor:
    """Returns the image seen through an affine map (6,) float32: a, b, c, d, e, f."""
    height, width, _ = image.shape
    column, row, _ = _grid(image)
    a, b, c, d, e, f = (matrix[number] for number in range(6))
    column, row = column + np.float32(0.5), row + np.float32(0.5)
    x, y = a * column + (b * row + c), d * column + (e * row + f)  # (H, W·C)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not bilinear:
        return _filled(image, inside, _pick(image, _whole(y), _whole(x)), fill)
    x, y = x - 0.5, y - 0.5
    left, top = tf.floor(x), tf.floor(y)
    x_part, y_part = x - left, y - top
    above, below = (_blend(image, _whole(line), _whole(left), x_part) for line in (top, top + 1.0))
    return _filled(image, inside, to_levels(above + (below - above) * y_part), fill)


def rotation(degrees: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns the map (6,) of PIL's rotate, counter-clockwise around the centre by `degrees` ()."""
    angle = -degrees * (3.141592653589793 / 180.0)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = width / 2.0, height / 2.0
    return tf.stack([cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y])


def slide_rows(image: tf.Tensor, slope: tf.Tensor, shift: tf.Tensor, fill: Fill) -> tf.Tensor:
    """Returns the bilinear `transform` by (1, slope, shift, 0, 1, 0), several times as fast.

    The two neighbours of a pixel lie at the same distance all along a row, and in the same row.
    """
    column, row, _ = _grid(image)
    offset = slope * (row + np.float32(0.5)) + shift  # (H, 1)
    whole = tf.floor(offset)
    part, left = offset - whole, column + whole  # (H, 1), (H, W·C)
    x = left + part
    inside = (x >= -0.5) & (x < image.shape[1] - 0.5)
    return _filled(image, inside, to_levels(_blend(image, _whole(row), _whole(left), part)), fill)


def slide_columns(image: tf.Tensor, slope: tf.Tensor, shift: tf.Tensor, fill: Fill) -> tf.Tensor:
    """Returns the bilinear `transform` by (1, 0, 0, slope, 1, shift), likewise."""
    column, row, _ = _grid(image)
    offset = slope * (column + np.float32(0.5)) + shift  # (1, W·C)
    whole = tf.floor(offset)
    part, top = offset - whole, row + whole  # (1, W·C), (H, W·C)
    y = top + part
    inside = (y >= -0.5) & (y < image.shape[0] - 0.5)
    above, below = (_real(_pick(image, _whole(line), _whole(column))) for line in (top, top + 1.0))
    return _filled(image, inside, to_levels(above + (below - above) * part), fill)


def _grid(image: tf.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the column (1, W·C) and row (H, 1) of each value as float32, and its channel (1, W·C)."""
    height, width, channels = image.shape
    column = np.repeat(np.arange(width, dtype=np.float32), channels)[None]
    return column, np.arange(height, dtype=np.float32)[:, None], np.tile(np.arange(channels), width)[None]


def _pick(image: tf.Tensor, row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
    """Returns the values (H, W·C) uint8 at whole rows and columns, of the nearest pixel where there are none."""
    height, width, channels = image.shape
    row, column = tf.clip_by_value(row, 0, height - 1), tf.clip_by_value(column, 0, width - 1)
    channel = _grid(image)[2].astype(np.int32)
    return tf.gather(tf.reshape(image, [-1]), (row * width + column) * channels + channel)


def _blend(image: tf.Tensor, row: tf.Tensor, left: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    first, second = _real(_pick(image, row, left)), _real(_pick(image, row, left + 1))
    return first + (second - first) * part


def _filled(image: tf.Tensor, inside: tf.Tensor, values: tf.Tensor, fill: Fill) -> tf.Tensor:
    border = np.tile(np.array(fill, np.uint8), image.shape[1])[None]
    return tf.reshape(tf.where(inside, values, border), image.shape)


def _whole(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(values, -1e6, 1e6), tf.int32)


def _real(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.cast(values, tf.int32), tf.float32)


def resize_rows(images: tf.Tensor, top: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    """Returns uint8 images (B, H, W, C) whose rows are `height` (B,) rows from `top` (B,) on, bilinear, enlarged to H.

    As PIL's crop and resize: half-pixel centres, nothing from outside of the box, rounded after each axis.
    """
    batch, (size, width, channels) = tf.shape(images)[0], images.shape[1:]
    centre = (tf.range(size, dtype=tf.float32) + 0.5)[None] * (height / size)[:, None] - 0.5  # (B, H)
    centre = tf.clip_by_value(centre, 0.0, height[:, None] - 1.0)
    whole = tf.floor(centre)
    part = (centre - whole)[..., None]
    first = tf.cast(top[:, None] + whole, tf.int32)
    second = tf.cast(top[:, None] + tf.minimum(whole + 1.0, height[:, None] - 1.0), tf.int32)
    lines = tf.reshape(images, (batch, size, width * channels))
    above = tf.cast(tf.gather(lines, first, batch_dims=1), tf.float32)
    below = tf.cast(tf.gather(lines, second, batch_dims=1), tf.float32)
    return tf.reshape(to_levels(above + (below - above) * part + 0.5), tf.shape(images))


def resize_columns(images: tf.Tensor, left: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns `resize_rows` along the other axis."""
    return _turned(resize_rows(_turned(images), left, width))


@tf.function(jit_compile=True)  # as an operation of its own it is slower, and oneDNN complains that it gets bytes
def _turned(images: tf.Tensor) -> tf.Tensor:
    """Returns the images (B, W, H, C) with rows and columns exchanged."""
    return tf.transpose(images, (0, 2, 1, 3))
