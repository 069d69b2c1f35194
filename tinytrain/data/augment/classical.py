"""The classical regime: padded crop, random resized crop, color jitter, rotation, and random erasing.

Conventions are those of torchvision, which the papers' code uses. keras_cv.layers.RandomFlip is used as it is.
"""

import math
from typing import Any

import tensorflow as tf

from tinytrain.data.augment import geometry, operations
from tinytrain.data.augment.generator import BatchLayer, StatelessGenerator
from tinytrain.data.augment.loop import on_chosen

TRIES = 10  # boxes drawn for an image before it is given up, as in torchvision


class RandomPaddedCrop(BatchLayer):
    """Shifts each image by whole pixels, uniform in ±padding on both axes, filling with 0: pad, then random crop.

    keras_cv.layers.RandomCrop draws a real offset and samples by nearest neighbour along a slightly stretched grid: the
    outermost offsets come half as often, and rows can be repeated or lost.
    """

    def __init__(self, padding: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = padding

    def get_random_transformation_batch(self, batch_size: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        """Returns (batch, 2) int32 offsets in [0, 2·padding]."""
        return self._random_generator.uniform((batch_size, 2), 0, 2 * self.padding + 1, tf.int32)

    def augment_images(self, images: tf.Tensor, transformations: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        """Returns the shifted images, (B, H, W, C) of the same dtype."""
        height, width = images.shape[1], images.shape[2]
        border = [self.padding, self.padding]
        padded = tf.pad(images, [[0, 0], border, border, [0, 0]])
        rows = transformations[:, 0, None] + tf.range(height)  # (B, H)
        columns = transformations[:, 1, None] + tf.range(width)  # (B, W)
        padded = tf.gather(padded, rows, axis=1, batch_dims=1)
        return tf.gather(padded, columns[:, None, :] + tf.zeros_like(rows)[:, :, None], axis=2, batch_dims=2)


class RandomResizedCrop(BatchLayer):
    """Cuts out a box of `smallest` to all of the area and an aspect of 3/4 to 4/3, and resizes it (methods.md A.5).

    keras_cv.layers.RandomCropAndResize clips boxes that do not fit instead of drawing others, and samples without
    half-pixel centres; this one is torchvision's RandomResizedCrop, bilinear.
    """

    def __init__(self, smallest: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.smallest = smallest

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"top", "left", "height", "width"}, (B,) int32 each."""
        box = random_boxes(self._random_generator, batch_size, images.shape[1:3], (self.smallest, 1.0), (3 / 4, 4 / 3))
        whole = _largest_box(*images.shape[1:3])
        return {name: tf.where(box["found"], box[name], whole[name]) for name in whole}

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the resized boxes, (B, H, W, C) uint8."""
        box = {name: tf.cast(value, tf.float32) for name, value in transformations.items()}
        images = geometry.resize_columns(images, box["left"], box["width"])
        return geometry.resize_rows(images, box["top"], box["height"])


class RandomSmallCrop(RandomResizedCrop):
    """Cuts a box of `smallest` to 1 of both sides out of some images and resizes it, bilinear (methods.md C.4).

    The released code crops before it resizes to a square, and moves the aspect of the crop towards that; the images
    here are square already, and so are the boxes.
    """

    def __init__(self, smallest: float, probability: float, **kwargs: Any) -> None:
        super().__init__(smallest, **kwargs)
        self.probability = probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"top", "left", "height", "width"}, (B,) int32 each."""
        random = self._random_generator
        share = random.uniform((batch_size,), self.smallest, 1.0)
        share = tf.where(random.uniform((batch_size,)) < self.probability, share, 1.0)
        sides = [tf.round(share * float(whole)) for whole in images.shape[1:3]]
        room = [float(whole) - side + 1 for whole, side in zip(images.shape[1:3], sides, strict=True)]
        corner = [tf.floor(random.uniform((batch_size,)) * free) for free in room]
        box = dict(zip(("top", "left", "height", "width"), [*corner, *sides], strict=True))
        return {name: tf.cast(value, tf.int32) for name, value in box.items()}


class ColorJitter(BatchLayer):
    """torchvision's ColorJitter: factors from U(1 − v, 1 + v), hue from ±v circles, in an order drawn for each image.

    The brightness of keras' and KerasCV's layers is an offset, where the papers mean a factor (methods.md F.21), and
    KerasCV's RandomColorJitter has one fixed order.
    """

    def __init__(self, ranges: tuple[float, ...], probability: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        named = zip(("Brightness", "Contrast", "Color", "Hue"), ranges, strict=True)
        self.ranges = {name: value for name, value in named if value}
        self.probability = probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"operation": (K, B) int32, "argument": (K, B) float32} of the K kinds of change."""
        random, count = self._random_generator, len(self.ranges)
        centre = tf.constant([0.0 if name == "Hue" else 1.0 for name in self.ranges])
        spread = random.uniform((batch_size, count), -1.0, 1.0) * tf.constant(list(self.ranges.values()))
        factors = tf.where(centre > 0, tf.maximum(centre + spread, 0.0), spread)
        order = tf.argsort(random.uniform((batch_size, count)))  # (B, K)
        numbers = tf.gather([operations.number(name) for name in self.ranges], order)
        jittered = random.uniform((batch_size, 1)) < self.probability
        argument = tf.gather(factors, order, batch_dims=1)
        # Not transposed: oneDNN, which does that, complains on standard error that it gets whole numbers.
        operation = tf.stack(tf.unstack(tf.where(jittered, numbers, 0), axis=1))
        return {"operation": operation, "argument": tf.transpose(argument)}

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the jittered images, (B, H, W, C) uint8."""
        names = ("Identity", *self.ranges)
        for number in range(len(self.ranges)):
            operation, argument = transformations["operation"][number], transformations["argument"][number]
            images = operations.apply(images, operation, argument, names)
        return images


class RandomRotation(BatchLayer):
    """Turns an image by a whole number of degrees in ±degrees, nearest neighbour, black around it (methods.md C.4)."""

    def __init__(self, degrees: float, probability: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.degrees, self.probability = int(degrees), probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"degrees": (B,) float32, "turned": (B,) bool}."""
        random = self._random_generator
        degrees = random.uniform((batch_size,), -self.degrees, self.degrees + 1, tf.int32)
        turned = random.uniform((batch_size,)) < self.probability
        return {"degrees": tf.cast(degrees, tf.float32), "turned": turned & (degrees != 0)}

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the turned images, (B, H, W, C) uint8."""
        return turn(images, transformations["turned"], transformations["degrees"])


class RandomErasing(BatchLayer):
    """Random Erasing (Zhong et al. 2020, algorithm 1, RE-R): noise in a box of 2 to 40 % of the area.

    The aspect lies between 0.3 and 3.3. keras_cv.layers.RandomCutout erases every image, and across the border.
    """

    def __init__(self, probability: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.probability = probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"top", "left", "height", "width": (B,) int32, "found": (B,) bool, "noise": (B, H, W, C) uint8}."""
        random = self._random_generator
        box = random_boxes(random, batch_size, images.shape[1:3], (0.02, 0.4), (0.3, 1 / 0.3))
        erased = random.uniform((batch_size,)) < self.probability
        noise = tf.cast(random.uniform((batch_size, *images.shape[1:]), 0, 256, tf.int32), tf.uint8)
        return {**box, "found": box["found"] & erased, "noise": noise}

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the images with their boxes erased, (B, H, W, C) uint8."""
        box = transformations
        row, column = tf.range(images.shape[1])[None], tf.range(images.shape[2])[None]
        in_rows = (row >= box["top"][:, None]) & (row < (box["top"] + box["height"])[:, None])
        in_columns = (column >= box["left"][:, None]) & (column < (box["left"] + box["width"])[:, None])
        inside = (in_rows & box["found"][:, None])[:, :, None] & in_columns[:, None]
        return tf.where(inside[..., None], box["noise"], images)


@tf.function(jit_compile=True)
def turn(images: tf.Tensor, turned: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Returns the images (B, H, W, C) uint8 with those of `turned` (B,) bool rotated by degrees (B,)."""
    _, height, width, channels = images.shape

    def one(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
        return geometry.transform(image, geometry.rotation(degrees, height, width), (0,) * channels, bilinear=False)

    return on_chosen(one, turned, images, degrees)


def random_boxes(
    random: StatelessGenerator,
    batch: tf.Tensor,
    size: tuple[int, int],
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> dict[str, tf.Tensor]:
    """Returns a box for each image: "top", "left", "height", "width" (B,) int32 and "found" (B,) bool: it fits.

    The share of the area is uniform, the aspect (width to height) log-uniform; the first of TRIES that fits counts.
    """
    pixels = random.uniform((batch, TRIES), *area) * float(size[0] * size[1])
    ratio = tf.exp(random.uniform((batch, TRIES), *(math.log(bound) for bound in aspect)))
    height = tf.cast(tf.round(tf.sqrt(pixels / ratio)), tf.int32)
    width = tf.cast(tf.round(tf.sqrt(pixels * ratio)), tf.int32)
    fits = (height > 0) & (height <= size[0]) & (width > 0) & (width <= size[1])
    first = tf.argmax(tf.cast(fits, tf.int32), 1, tf.int32)
    height, width, found = (tf.gather(value, first, batch_dims=1) for value in (height, width, fits))
    room = [
        tf.cast(tf.maximum(size[0] - height, 0) + 1, tf.float32),
        tf.cast(tf.maximum(size[1] - width, 0) + 1, tf.float32),
    ]
    top, left = (tf.cast(random.uniform((batch,)) * free, tf.int32) for free in room)
    return {"top": top, "left": left, "height": height, "width": width, "found": found}


def _largest_box(height: int, width: int) -> dict[str, int]:
    """Returns the central box that torchvision falls back on: the largest with an aspect of 3/4 to 4/3."""
    box_height, box_width = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return {
        "top": (height - box_height) // 2,
        "left": (width - box_width) // 2,
        "height": box_height,
        "width": box_width,
    }
