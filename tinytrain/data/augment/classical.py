"""Classical augmentation: padded crop, random resized crop, color jitter, rotation and random erasing.

The conventions are torchvision's, as in the papers' code. Horizontal flips are keras_cv.layers.RandomFlip.
"""

import math
from typing import Any

import tensorflow as tf

from tinytrain.data.augment import geometry, operations
from tinytrain.data.augment.generator import BatchLayer, StatelessGenerator
from tinytrain.data.augment.loop import apply_where

MAX_ATTEMPTS = 10  # boxes that are drawn for an image before the fallback, as in torchvision


class RandomPaddedCrop(BatchLayer):
    """Pads each image with zeros and crops it at a random offset: a shift by whole pixels, uniform in ±padding.

    keras_cv.layers.RandomCrop draws a real offset and samples the nearest neighbours on a slightly stretched grid: the
    outermost offsets are half as likely, and rows can be repeated or lost.
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
    """Crops a random box and resizes it to the full image, bilinear: torchvision's RandomResizedCrop (methods.md A.5).

    The box has `min_scale` to all of the area, and an aspect ratio of 3/4 to 4/3.

    keras_cv.layers.RandomCropAndResize clips boxes that do not fit instead of drawing new ones, and samples without
    half-pixel centres.
    """

    def __init__(self, min_scale: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.min_scale = min_scale

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"top", "left", "height", "width"}, (B,) int32 each."""
        box = random_boxes(self._random_generator, batch_size, images.shape[1:3], (self.min_scale, 1.0), (3 / 4, 4 / 3))
        fallback = _largest_box(*images.shape[1:3])
        return {name: tf.where(box["fits"], box[name], fallback[name]) for name in fallback}

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the resized boxes, (B, H, W, C) uint8."""
        box = {name: tf.cast(value, tf.float32) for name, value in transformations.items()}
        images = geometry.resize_columns(images, box["left"], box["width"])
        return geometry.resize_rows(images, box["top"], box["height"])


class RandomSmallCrop(RandomResizedCrop):
    """Crops some images to `min_scale` to 1 of both sides and resizes them, bilinear (methods.md C.4).

    The released code crops before it resizes images to a square, and moves the aspect ratio of the crop towards it.
    Here the images are square already, and so are the boxes.
    """

    def __init__(self, min_scale: float, probability: float, **kwargs: Any) -> None:
        super().__init__(min_scale, **kwargs)
        self.probability = probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"top", "left", "height", "width"}, (B,) int32 each."""
        random = self._random_generator
        scale = random.uniform((batch_size,), self.min_scale, 1.0)
        scale = tf.where(random.uniform((batch_size,)) < self.probability, scale, 1.0)
        sides = [tf.round(scale * float(full)) for full in images.shape[1:3]]
        offsets = [float(full) - side + 1 for full, side in zip(images.shape[1:3], sides, strict=True)]  # how many
        corner = [tf.floor(random.uniform((batch_size,)) * count) for count in offsets]
        box = dict(zip(("top", "left", "height", "width"), [*corner, *sides], strict=True))
        return {name: tf.cast(value, tf.int32) for name, value in box.items()}


class ColorJitter(BatchLayer):
    """Changes brightness, contrast, saturation and hue in a random order: torchvision's ColorJitter.

    The brightness of Keras' and KerasCV's layers is an offset, where the papers mean a factor (methods.md F.21), and
    KerasCV's RandomColorJitter has one fixed order.

    Args:
        ranges: v of brightness, contrast, saturation and hue; factors are uniform in 1 ± v, hue shifts in ±v turns.
        probability: that an image is changed at all.
        **kwargs: of the Keras layer.
    """

    def __init__(self, ranges: tuple[float, ...], probability: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        range_of = zip(("Brightness", "Contrast", "Color", "Hue"), ranges, strict=True)
        self.ranges = {name: value for name, value in range_of if value}
        self.probability = probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"operation": (K, B) int32, "argument": (K, B) float32}; K operations have a range above 0."""
        random, count = self._random_generator, len(self.ranges)
        centre = tf.constant([0.0 if name == "Hue" else 1.0 for name in self.ranges])
        spread = random.uniform((batch_size, count), -1.0, 1.0) * tf.constant(list(self.ranges.values()))
        factors = tf.where(centre > 0, tf.maximum(centre + spread, 0.0), spread)
        order = tf.argsort(random.uniform((batch_size, count)))  # (B, K)
        numbers = tf.gather([operations.number(name) for name in self.ranges], order)
        jittered = random.uniform((batch_size, 1)) < self.probability
        argument = tf.gather(factors, order, batch_dims=1)
        # Not tf.transpose: oneDNN would run it, and complains on standard error about integers.
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
    """Rotates an image by a whole number of degrees, nearest neighbour, filled with black (methods.md C.4).

    Args:
        degrees: the largest angle; angles are uniform in ±degrees.
        probability: that an image is rotated.
        **kwargs: of the Keras layer.
    """

    def __init__(self, degrees: float, probability: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.degrees, self.probability = int(degrees), probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"degrees": (B,) float32, "rotated": (B,) bool}."""
        random = self._random_generator
        degrees = random.uniform((batch_size,), -self.degrees, self.degrees + 1, tf.int32)
        rotated = random.uniform((batch_size,)) < self.probability
        return {"degrees": tf.cast(degrees, tf.float32), "rotated": rotated & (degrees != 0)}

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the rotated images, (B, H, W, C) uint8."""
        return rotate(images, transformations["rotated"], transformations["degrees"])


class RandomErasing(BatchLayer):
    """Fills a random box with noise: Random Erasing (Zhong et al. 2020, algorithm 1, RE-R).

    The box has 2 to 40 % of the area and an aspect ratio of 0.3 to 3.3. keras_cv.layers.RandomCutout erases every
    image, and its boxes may cross the border.
    """

    def __init__(self, probability: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.probability = probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"top", "left", "height", "width": (B,) int32, "erased": (B,) bool, "noise": (B, H, W, C) uint8}."""
        random = self._random_generator
        box = random_boxes(random, batch_size, images.shape[1:3], (0.02, 0.4), (0.3, 1 / 0.3))
        erased = random.uniform((batch_size,)) < self.probability
        noise = tf.cast(random.uniform((batch_size, *images.shape[1:]), 0, 256, tf.int32), tf.uint8)
        return {**box, "erased": box["fits"] & erased, "noise": noise}

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the images with their boxes erased, (B, H, W, C) uint8."""
        box = transformations
        row, column = tf.range(images.shape[1])[None], tf.range(images.shape[2])[None]
        in_rows = (row >= box["top"][:, None]) & (row < (box["top"] + box["height"])[:, None])
        in_columns = (column >= box["left"][:, None]) & (column < (box["left"] + box["width"])[:, None])
        inside = (in_rows & box["erased"][:, None])[:, :, None] & in_columns[:, None]
        return tf.where(inside[..., None], box["noise"], images)


@tf.function(jit_compile=True)
def rotate(images: tf.Tensor, rotated: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Returns images (B, H, W, C) uint8, those where `rotated` (B,) bool is true rotated by `degrees` (B,) float32."""
    _, height, width, channels = images.shape

    def rotate_image(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
        matrix = geometry.rotation(degrees, height, width)
        return geometry.affine_transform(image, matrix, (0,) * channels, bilinear=False)

    return apply_where(rotated, rotate_image, images, degrees)


def random_boxes(
    random: StatelessGenerator,
    batch: tf.Tensor,
    size: tuple[int, int],
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> dict[str, tf.Tensor]:
    """Returns a random box for each image, the first of MAX_ATTEMPTS that fits into it.

    Args:
        random: the generator to draw from.
        batch: B, the number of images, an int32 scalar.
        size: (height, width) of the images.
        area: the range of the box's fraction of the area, which is uniform.
        aspect: the range of its width / height, which is log-uniform.

    Returns:
        "top", "left", "height", "width": (B,) int32; "fits": (B,) bool, false if no box of that image fits.
    """
    pixels = random.uniform((batch, MAX_ATTEMPTS), *area) * float(size[0] * size[1])
    ratio = tf.exp(random.uniform((batch, MAX_ATTEMPTS), *(math.log(bound) for bound in aspect)))
    height = tf.cast(tf.round(tf.sqrt(pixels / ratio)), tf.int32)
    width = tf.cast(tf.round(tf.sqrt(pixels * ratio)), tf.int32)
    fits = (height > 0) & (height <= size[0]) & (width > 0) & (width <= size[1])
    first = tf.argmax(tf.cast(fits, tf.int32), 1, tf.int32)
    height, width, fits = (tf.gather(value, first, batch_dims=1) for value in (height, width, fits))
    offsets = [  # how many
        tf.cast(tf.maximum(size[0] - height, 0) + 1, tf.float32),
        tf.cast(tf.maximum(size[1] - width, 0) + 1, tf.float32),
    ]
    top, left = (tf.cast(random.uniform((batch,)) * count, tf.int32) for count in offsets)
    return {"top": top, "left": left, "height": height, "width": width, "fits": fits}


def _largest_box(height: int, width: int) -> dict[str, int]:
    """Returns torchvision's fallback: the largest central box with an aspect ratio of 3/4 to 4/3."""
    box_height, box_width = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return {
        "top": (height - box_height) // 2,
        "left": (width - box_width) // 2,
        "height": box_height,
        "width": box_width,
    }
