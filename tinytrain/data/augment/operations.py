"""All operations under one roof: each image of a batch gets the one that it drew, and no other is computed for it.

Arguments are in the units of PIL: a blend factor, bits, a level, a slope, pixels or degrees.
"""

from collections.abc import Callable

import tensorflow as tf

from tinytrain.data.augment import color, geometry, tone
from tinytrain.data.augment.loop import on_chosen

Table = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

PLAIN = {  # tables of the argument alone
    "Identity": tone.identity,
    "Invert": tone.invert,
    "Posterize": tone.posterize,
    "Solarize": tone.solarize,
    "SolarizeAdd": tone.solarize_add,
    "Brightness": tone.brightness,
}
MEASURED = {"Contrast": tone.contrast, "AutoContrast": tone.autocontrast, "Equalize": tone.equalize}
FILL = {1: (117,), 3: (124, 116, 103)}  # int(256 · the mean color of ImageNet), as the papers' code fills


def _rotate(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    height, width, channels = image.shape
    return geometry.transform(image, geometry.rotation(degrees, height, width), FILL[channels])


CHANGES = {
    "Color": color.color,
    "Sharpness": color.sharpness,
    "Hue": color.hue,
    "ShearX": lambda image, slope: geometry.slide_rows(image, slope, 0.0, FILL[image.shape[-1]]),
    "ShearY": lambda image, slope: geometry.slide_columns(image, slope, 0.0, FILL[image.shape[-1]]),
    "TranslateX": lambda image, pixels: geometry.slide_rows(image, 0.0, pixels, FILL[image.shape[-1]]),
    "TranslateY": lambda image, pixels: geometry.slide_columns(image, 0.0, pixels, FILL[image.shape[-1]]),
    "Rotate": _rotate,
}
NAMES = (*PLAIN, *MEASURED, *CHANGES)


def number(name: str) -> int:
    """Returns the number of an operation."""
    return NAMES.index(name)


@tf.function(jit_compile=True)
def apply(images: tf.Tensor, operation: tf.Tensor, argument: tf.Tensor, names: tuple[str, ...] = NAMES) -> tf.Tensor:
    """Returns uint8 images (B, H, W, C) after operation (B,) int32, a number of NAMES, with argument (B,) float32.

    names: those that can have been drawn; the others leave no trace in the graph.
    """
    images = tone.lookup(images, _tables(images, operation, argument, names))
    for name in names:
        if name in CHANGES:
            images = on_chosen(CHANGES[name], operation == number(name), images, argument)
    return images


def _tables(images: tf.Tensor, operation: tf.Tensor, argument: tf.Tensor, names: tuple[str, ...]) -> tf.Tensor:
    """Returns the tables (B, C, 256) uint8 of the tone operations, those of other operations change nothing."""
    channels = images.shape[-1]
    tables = tone.identity(argument)
    for name in names:
        if name in PLAIN:
            tables = tf.where((operation == number(name))[:, None, None], PLAIN[name](argument), tables)
    tables = tf.repeat(tone.to_levels(tables), channels, 1)
    for name in names:
        if name in MEASURED:

            def table(image: tf.Tensor, argument: tf.Tensor, measure: Table = MEASURED[name]) -> tf.Tensor:
                return tone.to_levels(measure(image, argument) + tf.zeros((channels, 1)))

            tables = on_chosen(table, operation == number(name), images, argument, kept=tables)
    return tables
