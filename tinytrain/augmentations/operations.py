"""All operations under one roof: each image of a batch gets the one that it drew, and no other is computed for it.

Arguments are in the units of PIL: a blend factor, bits, a level, a slope, pixels or degrees.
"""

from collections.abc import Callable

import tensorflow as tf

from tinytrain.augmentations import color, geometry, tone

PLAIN = {  # tables of the argument alone
    "Identity": tone.identity,
    "Invert": tone.invert,
    "Posterize": tone.posterize,
    "Solarize": tone.solarize,
    "SolarizeAdd": tone.solarize_add,
    "Brightness": tone.brightness,
}
MEASURED = {"Contrast": tone.contrast, "AutoContrast": tone.autocontrast, "Equalize": tone.equalize}
BLENDS = {"Color": color.color, "Sharpness": color.sharpness, "Hue": color.hue}
SHIFTS = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
NAMES = (*PLAIN, *MEASURED, *BLENDS, *SHIFTS)
FILL = {1: (117,), 3: (124, 116, 103)}  # int(256 · the mean color of ImageNet), as the papers' code fills

Changed = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def number(name: str) -> int:
    """Returns the number of an operation."""
    return NAMES.index(name)


def apply(images: tf.Tensor, operation: tf.Tensor, argument: tf.Tensor, names: tuple[str, ...] = NAMES) -> tf.Tensor:
    """Returns uint8 images (B, H, W, C) after operation (B,) int32, a number of NAMES, with argument (B,) float32.

    names: those that can have been drawn; the others leave no trace in the graph.
    """
    is_any = lambda *chosen: tf.reduce_any([operation == number(name) for name in chosen], 0)  # noqa: E731
    images = _tones(images, operation, argument, names)
    for name in names:
        if name in BLENDS:
            images = on_chosen(is_any(name), BLENDS[name], images, argument)
    for axis, slide in (("X", geometry.slide_rows), ("Y", geometry.slide_columns)):
        if f"Shear{axis}" in names or f"Translate{axis}" in names:
            sheared = operation == number(f"Shear{axis}")
            chosen = is_any(f"Shear{axis}", f"Translate{axis}")
            images = on_chosen(chosen, _sliding(slide, axis), images, argument, tf.cast(sheared, tf.float32))
    if "Rotate" in names:
        images = on_chosen(is_any("Rotate"), rotate, images, argument)
    return images


def rotate(images: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Returns PIL's bilinear rotate with the mean color around it."""
    _, height, width, channels = images.shape
    return geometry.transform(images, geometry.rotation(degrees, height, width), FILL[channels])


def _sliding(slide: Callable, axis: str) -> Callable:
    def slid(images: tf.Tensor, argument: tf.Tensor, sheared: tf.Tensor) -> tf.Tensor:
        lines = images.shape[1] if axis == "X" else images.shape[2]
        centre = tf.range(lines, dtype=tf.float32)[None] + 0.5
        offsets = tf.where(sheared[:, None] > 0, argument[:, None] * centre, argument[:, None])
        return slide(images, offsets, FILL[images.shape[3]])

    return slid


def _tones(images: tf.Tensor, operation: tf.Tensor, argument: tf.Tensor, names: tuple[str, ...]) -> tf.Tensor:
    channels = images.shape[3]
    tables = tone.identity(images, argument)
    for name in names:
        if name in PLAIN:
            tables = tf.where((operation == number(name))[:, None, None], PLAIN[name](images, argument), tables)
    tables = tone.to_levels(tf.tile(tables, (1, channels, 1)))
    for name in names:
        if name in MEASURED:
            measure = _measured(MEASURED[name], channels)
            chosen = tf.where(operation == number(name))[:, 0]
            tables = tf.cond(
                tf.size(chosen) > 0,
                lambda tables=tables, chosen=chosen, measure=measure: tf.tensor_scatter_nd_update(
                    tables, chosen[:, None], measure(tf.gather(images, chosen), tf.gather(argument, chosen))
                ),
                lambda tables=tables: tables,
            )
    return tone.lookup(images, tables)


def _measured(table: Changed, channels: int) -> Changed:
    def measured(images: tf.Tensor, argument: tf.Tensor) -> tf.Tensor:
        found = tone.to_levels(table(images, argument))
        return found if found.shape[1] == channels else tf.tile(found, (1, channels, 1))

    return measured


def on_chosen(chosen: tf.Tensor, change: Callable, images: tf.Tensor, *arguments: tf.Tensor) -> tf.Tensor:
    """Returns the images with those that are chosen (B,) bool changed; the change sees no others."""
    indices = tf.where(chosen)[:, 0]

    def changed() -> tf.Tensor:
        group = change(tf.gather(images, indices), *(tf.gather(argument, indices) for argument in arguments))
        return tf.tensor_scatter_nd_update(images, indices[:, None], group)

    return tf.cond(tf.size(indices) > 0, changed, lambda: images)
