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

Table = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # (images, argument) -> (B, C or 1, 256)
Change = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]  # (images, argument, operation) -> images


def number(name: str) -> int:
    """Returns the number of an operation."""
    return NAMES.index(name)


def apply(images: tf.Tensor, operation: tf.Tensor, argument: tf.Tensor, names: tuple[str, ...] = NAMES) -> tf.Tensor:
    """Returns uint8 images (B, H, W, C) after operation (B,) int32, a number of NAMES, with argument (B,) float32.

    names: those that can have been drawn; the others leave no trace in the graph.
    """
    images = _tones(images, operation, argument, names)
    groups = [((name,), _blending(BLENDS[name])) for name in names if name in BLENDS]
    for axis, slide in (("X", geometry.slide_rows), ("Y", geometry.slide_columns)):
        if drawn := tuple(name for name in (f"Shear{axis}", f"Translate{axis}") if name in names):
            groups.append((drawn, _sliding(slide, axis)))
    if "Rotate" in names:
        groups.append((("Rotate",), rotate))
    chosen = [tf.reduce_any([operation == number(name) for name in group], 0) for group, _ in groups]
    return on_chosen(images, chosen, [change for _, change in groups], argument, operation)


def rotate(images: tf.Tensor, degrees: tf.Tensor, operation: tf.Tensor) -> tf.Tensor:
    """Returns PIL's bilinear rotate with the mean color around it."""
    _, height, width, channels = images.shape
    return geometry.transform(images, geometry.rotation(degrees, height, width), FILL[channels])


def _blending(blend: Callable) -> Change:
    return lambda images, argument, operation: blend(images, argument)


def _sliding(slide: Callable, axis: str) -> Change:
    def slid(images: tf.Tensor, argument: tf.Tensor, operation: tf.Tensor) -> tf.Tensor:
        sheared = (operation == number(f"Shear{axis}"))[:, None]
        lines = images.shape[1] if axis == "X" else images.shape[2]
        centre = tf.range(lines, dtype=tf.float32)[None] + 0.5
        offsets = tf.where(sheared, argument[:, None] * centre, argument[:, None])
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


def _measured(table: Table, channels: int) -> Table:
    def measured(images: tf.Tensor, argument: tf.Tensor) -> tf.Tensor:
        found = tone.to_levels(table(images, argument))
        return found if found.shape[1] == channels else tf.tile(found, (1, channels, 1))

    return measured


def on_chosen(images: tf.Tensor, chosen: list[tf.Tensor], changes: list[Callable], *arguments: tf.Tensor) -> tf.Tensor:
    """Returns the images with those changed by changes[k] that chosen[k] (B,) bool names; a change sees no others.

    No image is chosen twice. All groups are put together at once: a copy of the batch costs as much as an operation.
    """
    parts, source, end = [images], tf.range(tf.shape(images)[0]), tf.shape(images)[0]
    for mask, change in zip(chosen, changes, strict=True):
        indices = tf.where(mask)[:, 0]
        parts.append(_changed(images, indices, change, arguments))
        source = tf.where(mask, end + tf.cumsum(tf.cast(mask, tf.int32)) - 1, source)
        end += tf.size(indices)
    return tf.ensure_shape(tf.gather(tf.concat(parts, 0), source), images.shape)


def _changed(images: tf.Tensor, indices: tf.Tensor, change: Callable, arguments: tuple[tf.Tensor, ...]) -> tf.Tensor:
    group = tf.gather(images, indices)
    chosen = [tf.gather(argument, indices) for argument in arguments]
    return tf.cond(tf.size(indices) > 0, lambda: change(group, *chosen), lambda: group)
