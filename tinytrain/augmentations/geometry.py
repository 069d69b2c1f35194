"""Shear, translation and rotation, with the conventions of PIL's Image.transform.

The output pixel (x, y) is what the source has at (a, b, c; d, e, f) · (x + ½, y + ½, 1). Outside of the source stands
the fill color; the source's outermost half pixels are its outermost pixels.
"""

import tensorflow as tf

from tinytrain.augmentations.tone import to_levels


def transform(images: tf.Tensor, matrix: tf.Tensor, fill: tuple[int, ...], bilinear: bool = True) -> tf.Tensor:
    """Returns uint8 images (B, H, W, C) seen through affine maps (B, 6) float32: a, b, c, d, e, f."""
    height, width = images.shape[1], images.shape[2]
    a, b, c, d, e, f = tf.unstack(matrix, axis=1)
    c, f = c + (a + b - 1.0) / 2.0, f + (d + e - 1.0) / 2.0  # from centres of pixels to their numbers
    zero = tf.zeros_like(a)
    seen = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], 1),
        output_shape=(height, width),
        fill_value=0.0,
        interpolation="BILINEAR" if bilinear else "NEAREST",
        fill_mode="NEAREST",
    )
    column, row = tf.range(width, dtype=tf.float32)[None, None], tf.range(height, dtype=tf.float32)[None, :, None]
    a, b, c, d, e, f = (value[:, None, None] for value in (a, b, c, d, e, f))
    x, y = a * column + (b * row + c), d * column + (e * row + f)  # (B, H, W)
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    return tf.where(inside[..., None], seen, tf.constant(fill, tf.uint8))


def rotation(degrees: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Returns the maps (B, 6) of PIL's rotate, counter-clockwise around the centre by `degrees` (B,)."""
    angle = -degrees * (3.141592653589793 / 180.0)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x, y = width / 2.0, height / 2.0
    return tf.stack(
        [cosine, sine, x - cosine * x - sine * y, -sine, cosine, y + sine * x - cosine * y],
        1,
    )


def slide_rows(images: tf.Tensor, offsets: tf.Tensor, fill: tuple[int, ...]) -> tf.Tensor:
    """Returns uint8 images (B, H, W, C) whose row y shows the source from offsets[:, y] on, offsets (B, H) in pixels.

    This is the bilinear `transform` where y does not change, only faster: the two neighbours of a pixel lie at
    the same distance all along a row, so each row is blended with its own neighbour once and then copied in one piece.
    """
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    offsets = tf.clip_by_value(offsets, -width - 1.0, width + 1.0)
    whole = tf.floor(offsets)
    part = (offsets - whole)[..., None]  # (B, H, 1)
    line = tf.concat([images[:, :, :1], images, images[:, :, -1:]], 2)  # (B, H, W + 2, C)
    line = tf.cast(tf.reshape(line, (batch, height, (width + 2) * channels)), tf.float32)
    left, right = line[..., :-channels], line[..., channels:]
    blended = to_levels(left + (right - left) * part)  # (B, H, (W + 1) · C), its pixel j is the source at j - 1 + part
    color = tf.constant(fill, tf.uint8)[None, None] + tf.zeros((batch, height, 1), tf.uint8)
    first = tf.where(part >= 0.5, blended[..., :channels], color)
    last = tf.where(part < 0.5, blended[..., -channels:], color)
    border = tf.tile(color, (1, 1, width + 2))
    row = tf.concat([border, first, blended[..., channels:-channels], last, border], 2)
    start = (tf.cast(whole, tf.int32) + width + 3) * channels
    return tf.reshape(_cut(row, start, width * channels), tf.shape(images))


def slide_columns(images: tf.Tensor, offsets: tf.Tensor, fill: tuple[int, ...]) -> tf.Tensor:
    """Returns `slide_rows` along the other axis, offsets (B, W) in pixels."""
    turned = slide_rows(tf.transpose(images, (0, 2, 1, 3)), offsets, fill)
    return tf.transpose(turned, (0, 2, 1, 3))


def _cut(rows: tf.Tensor, start: tf.Tensor, length: int) -> tf.Tensor:
    """Returns `length` values of each row (B, H, N) from start (B, H) on, (B·H, length): one copy in memory a row."""
    size = rows.shape[2]
    count = tf.shape(rows)[0] * rows.shape[1]
    begin = tf.reshape(start, [-1]) + tf.range(count) * size
    splits = tf.reshape(tf.stack([begin, begin + length], 1), [-1])
    splits = tf.concat([[0], splits, [count * size]], 0)  # the pieces between two cuts, and the cuts themselves
    cuts = tf.gather(
        tf.RaggedTensor.from_row_splits(tf.reshape(rows, [-1]), splits, validate=False), tf.range(count) * 2 + 1
    )
    return tf.reshape(cuts.flat_values, (count, length))


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
    turned = resize_rows(tf.transpose(images, (0, 2, 1, 3)), left, width)
    return tf.transpose(turned, (0, 2, 1, 3))
