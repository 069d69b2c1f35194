"""Applies to each image of a batch the one operation that was drawn for it, and computes no other.

Arguments are in PIL's units: a blend factor, bits, a level, a slope, pixels or degrees.
"""

from collections.abc import Callable

import tensorflow as tf

from tinytrain.data.augment import color, geometry, tone
from tinytrain.data.augment.loop import apply_where

TableFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

ARGUMENT_TABLES = {  # tone operations whose table follows from the argument alone
    "Identity": tone.identity,
    "Invert": tone.invert,
    "Posterize": tone.posterize,
    "Solarize": tone.solarize,
    "SolarizeAdd": tone.solarize_add,
    "Brightness": tone.brightness,
}
# Tone operations whose table depends on the image, too.
IMAGE_TABLES = {"Contrast": tone.contrast, "AutoContrast": tone.autocontrast, "Equalize": tone.equalize}
FILL = {1: (117,), 3: (124, 116, 103)}  # by channels: int(256 · the mean color of ImageNet), as in the papers' code


def _rotate(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    height, width, channels = image.shape
    return geometry.affine_transform(image, geometry.rotation(degrees, height, width), FILL[channels])


IMAGE_FUNCTIONS = {
    "Color": color.color,
    "Sharpness": color.sharpness,
    "Hue": color.hue,
    "ShearX": lambda image, slope: geometry.shift_rows(image, slope, 0.0, FILL[image.shape[-1]]),
    "ShearY": lambda image, slope: geometry.shift_columns(image, slope, 0.0, FILL[image.shape[-1]]),
    "TranslateX": lambda image, pixels: geometry.shift_rows(image, 0.0, pixels, FILL[image.shape[-1]]),
    "TranslateY": lambda image, pixels: geometry.shift_columns(image, 0.0, pixels, FILL[image.shape[-1]]),
    "Rotate": _rotate,
}
NAMES = (*ARGUMENT_TABLES, *IMAGE_TABLES, *IMAGE_FUNCTIONS)


def number(name: str) -> int:
    """Returns the number of an operation: its index in NAMES."""
    return NAMES.index(name)


@tf.function(jit_compile=True)
def apply(images: tf.Tensor, operation: tf.Tensor, argument: tf.Tensor, names: tuple[str, ...] = NAMES) -> tf.Tensor:
    """Returns images (B, H, W, C) uint8, each after its operation.

    Args:
        images: (B, H, W, C) uint8.
        operation: (B,) int32, the number of each image's operation.
        argument: (B,) float32.
        names: the operations that may occur; no others are put into the graph.
    """
    images = tone.lookup(images, _tables(images, operation, argument, names))
    for name in names:
        if name in IMAGE_FUNCTIONS:
            images = apply_where(operation == number(name), IMAGE_FUNCTIONS[name], images, argument)
    return images


def _tables(images: tf.Tensor, operation: tf.Tensor, argument: tf.Tensor, names: tuple[str, ...]) -> tf.Tensor:
    """Returns the tables (B, C, 256) uint8 of the tone operations; the identity for other operations."""
    channels = images.shape[-1]
    tables = tone.identity(argument)
    for name in names:
        if name in ARGUMENT_TABLES:
            tables = tf.where((operation == number(name))[:, None, None], ARGUMENT_TABLES[name](argument), tables)
    tables = tf.repeat(tone.to_levels(tables), channels, 1)
    for name in names:
        if name in IMAGE_TABLES:

            def table(
                image: tf.Tensor, argument: tf.Tensor, make_table: TableFunction = IMAGE_TABLES[name]
            ) -> tf.Tensor:
                return tone.to_levels(make_table(image, argument) + tf.zeros((channels, 1)))

            tables = apply_where(operation == number(name), table, images, argument, otherwise=tables)
    return tables
