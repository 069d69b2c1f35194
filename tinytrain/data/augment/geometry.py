"""Shear, translation and rotation of one image (H, W, C) uint8, and resizing of boxes in whole batches.

The conventions are those of PIL's Image.transform: the output pixel (x, y) is the source at (a, b, c; d, e, f) ·
(x + ½, y + ½, 1). What lies outside of the source gets the fill color; the outermost half pixel repeats the outermost
pixels.

Shear, translation and rotation work on rows of W·C values, so that the innermost axis is the longest.
"""

import numpy as np
import tensorflow as tf

from tinytrain.data.augment.tone import to_float, to_levels

Fill = tuple[int, ...]  # a level for each channel


def affine_transform(image: tf.Tensor, matrix: tf.Tensor, fill: Fill, bilinear: bool = True) -> tf.Tensor:
    """Returns the image (H, W, C) uint8 under an affine map, as PIL's Image.transform.

    Args:
        image: (H, W, C) uint8.
        matrix: (6,) float32: a, b, c, d, e, f.
        fill: the color outside of the source.
        bilinear: interpolate, instead of taking the nearest pixel.
    """
    height, width, _ = image.shape
    column, row, _ = _grid(image)
    a, b, c, d, e, f = (matrix[number] for number in range(6))
    column, row = column + np.float32(0.5), row + np.float32(0.5)
    x, y = a * column + (b * row + c), d * column + (e * row + f)  # (H, W·C)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    if not bilinear:
        return _fill_outside(image, inside, _gather_nearest(image, _to_int(y), _to_int(x)), fill)
    x, y = x - 0.5, y - 0.5
    left, top = tf.floor(x), tf.floor(y)
    x_fraction, y_fraction = x - left, y - top
    above, below = (_interpolate(image, _to_int(line), _to_int(left), x_fraction) for line in (top, top + 1.0))
    return _fill_outside(image, inside, to_levels(above + (below - above) * y_fraction), fill)


def rotation(degrees: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns the matrix (6,) of PIL's rotate: counter-clockwise around the centre by `degrees` ()."""
    angle = -degrees * (3.141592653589793 / 180.0)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = width / 2.0, height / 2.0
    return tf.stack([cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y])


def shift_rows(image: tf.Tensor, slope: tf.Tensor, shift: tf.Tensor, fill: Fill) -> tf.Tensor:
    """Returns the bilinear `affine_transform` by (1, slope, shift, 0, 1, 0), several times faster.

    Each row shifts as a whole: all of its pixels lie between two neighbours of that row, at the same distances.

    Args:
        image: (H, W, C) uint8.
        slope: () float32, pixels of shift for each row.
        shift: () float32, pixels.
        fill: the color outside of the source.
    """
    column, row, _ = _grid(image)
    offset = slope * (row + np.float32(0.5)) + shift  # (H, 1)
    floor = tf.floor(offset)
    fraction, left = offset - floor, column + floor  # (H, 1), (H, W·C)
    x = left + fraction
    inside = (x >= -0.5) & (x < image.shape[1] - 0.5)
    return _fill_outside(image, inside, to_levels(_interpolate(image, _to_int(row), _to_int(left), fraction)), fill)


def shift_columns(image: tf.Tensor, slope: tf.Tensor, shift: tf.Tensor, fill: Fill) -> tf.Tensor:
    """Returns the bilinear `affine_transform` by (1, 0, 0, slope, 1, shift): `shift_rows` along the other axis."""
    column, row, _ = _grid(image)
    offset = slope * (column + np.float32(0.5)) + shift  # (1, W·C)
    floor = tf.floor(offset)
    fraction, top = offset - floor, row + floor  # (1, W·C), (H, W·C)
    y = top + fraction
    inside = (y >= -0.5) & (y < image.shape[0] - 0.5)
    above, below = (to_float(_gather_nearest(image, _to_int(line), _to_int(column))) for line in (top, top + 1.0))
    return _fill_outside(image, inside, to_levels(above + (below - above) * fraction), fill)


def _grid(image: tf.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns column (1, W·C) float32, row (H, 1) float32 and channel (1, W·C) of each value."""
    height, width, channels = image.shape
    column = np.repeat(np.arange(width, dtype=np.float32), channels)[None]
    return column, np.arange(height, dtype=np.float32)[:, None], np.tile(np.arange(channels), width)[None]


def _gather_nearest(image: tf.Tensor, row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
    """Returns the values (H, W·C) uint8 at integer rows and columns; outside of the image, of the nearest pixel."""
    height, width, channels = image.shape
    row, column = tf.clip_by_value(row, 0, height - 1), tf.clip_by_value(column, 0, width - 1)
    channel = _grid(image)[2].astype(np.int32)
    return tf.gather(tf.reshape(image, [-1]), (row * width + column) * channels + channel)


def _interpolate(image: tf.Tensor, row: tf.Tensor, left: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    first, second = to_float(_gather_nearest(image, row, left)), to_float(_gather_nearest(image, row, left + 1))
    return first + (second - first) * fraction


def _fill_outside(image: tf.Tensor, inside: tf.Tensor, values: tf.Tensor, fill: Fill) -> tf.Tensor:
    border = np.tile(np.array(fill, np.uint8), image.shape[1])[None]
    return tf.reshape(tf.where(inside, values, border), image.shape)


def _to_int(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(values, -1e6, 1e6), tf.int32)


def resize_rows(images: tf.Tensor, top: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    """Returns images whose `height` rows from `top` on are enlarged to all H rows, bilinear.

    As PIL's crop and resize: half-pixel centres, nothing from outside of the box, rounded after each axis.

    Args:
        images: (B, H, W, C) uint8.
        top: (B,) float32, the first row of each box.
        height: (B,) float32, its number of rows.
    """
    batch, (size, width, channels) = tf.shape(images)[0], images.shape[1:]
    centre = (tf.range(size, dtype=tf.float32) + 0.5)[None] * (height / size)[:, None] - 0.5  # (B, H)
    centre = tf.clip_by_value(centre, 0.0, height[:, None] - 1.0)
    floor = tf.floor(centre)
    fraction = (centre - floor)[..., None]
    first = tf.cast(top[:, None] + floor, tf.int32)
    second = tf.cast(top[:, None] + tf.minimum(floor + 1.0, height[:, None] - 1.0), tf.int32)
    lines = tf.reshape(images, (batch, size, width * channels))
    above = tf.cast(tf.gather(lines, first, batch_dims=1), tf.float32)
    below = tf.cast(tf.gather(lines, second, batch_dims=1), tf.float32)
    return tf.reshape(to_levels(above + (below - above) * fraction + 0.5), tf.shape(images))


def resize_columns(images: tf.Tensor, left: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Returns images whose `width` columns from `left` on are enlarged to all W columns: see `resize_rows`."""
    return _transposed(resize_rows(_transposed(images), left, width))


@tf.function(jit_compile=True)  # uncompiled it is slower, and oneDNN complains about bytes
def _transposed(images: tf.Tensor) -> tf.Tensor:
    """Returns images (B, H, W, C) as (B, W, H, C)."""
    return tf.transpose(images, (0, 2, 1, 3))
