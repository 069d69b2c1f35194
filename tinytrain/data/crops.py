"""Training images that are kept larger than the network's input (data.decode_resolution): crops are cut out of them.

A random resized crop of 8 % of the area is an image of its own only if the image had the pixels for it: of one that
was brought to 144x144 before, it is 41x41 pixels that are enlarged. So the box is drawn in the larger image that keeps
its aspect, as torchvision's RandomResizedCrop does (methods.md A.5), and that part is brought to the input.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from tinytrain.data import resizing
from tinytrain.data.shards import RaggedShards, numbers_of

ASPECT = (3 / 4, 4 / 3)  # width / height of a box
MAX_ATTEMPTS = 10  # boxes that are drawn for an image before the fallback
THREADS = 2  # beside those of tf.data


class Box(NamedTuple):
    """A part of an image in pixels."""

    left: int
    top: int
    width: int
    height: int


class CroppedImages:
    """Images of the network's size out of larger ones: the centre of each, read like an array, or random parts.

    Args:
        larger: the N images.
        resolution: side of the result in pixels.
        min_scale: smallest share of the area that a random crop has (augment.resized_crop).
        resize: how the whole image is brought to the size otherwise (data.resize).
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, larger: RaggedShards, resolution: int, min_scale: float, resize: str) -> None:
        self.larger, self.min_scale, self.resize = larger, min_scale, resize
        self.shape: tuple[int, ...] = (len(larger), resolution, resolution, larger.channels)

    def __len__(self) -> int:
        return len(self.larger)

    def __getitem__(self, index: Any) -> np.ndarray:
        numbers, single = numbers_of(index, len(self))
        images = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        for place, image in enumerate(self.larger[numbers]):
            whole = resizing.resized(resizing.of_array(image), self.shape[1], self.resize)
            images[place] = np.asarray(whole).reshape(self.shape[1:])
        return images[0] if single else images

    def drawn(self, numbers: np.ndarray, seed: int, step: int) -> np.ndarray:
        """Returns a random resized crop of each of these images, (M, R, R, C) uint8.

        A box depends on the seed, the step and the number of the image alone: not on what else is in the batch.
        """
        images = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        size = (self.shape[2], self.shape[1])

        def cut(place: int, number: int, larger: np.ndarray) -> None:
            random = np.random.Generator(np.random.Philox(key=[(seed << 32) + step & (1 << 64) - 1, number]))
            left, top, width, height = random_box(random, (larger.shape[1], larger.shape[0]), self.min_scale)
            part = np.ascontiguousarray(larger[top : top + height, left : left + width])
            resized = resizing.of_array(part).resize(size, resizing.BILINEAR)
            images[place] = np.asarray(resized).reshape(self.shape[1:])

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(cut, range(len(numbers)), numbers.tolist(), self.larger[numbers]))
        return images


def random_box(random: np.random.Generator, size: tuple[int, int], min_scale: float) -> Box:
    """Returns the box of torchvision's RandomResizedCrop in an image of `size` (width, height).

    Its share of the area is uniform from `min_scale` to 1, its aspect log-uniform in ASPECT, its place uniform. If none
    of MAX_ATTEMPTS fits, it is the largest central one with an aspect in ASPECT.
    """
    width, height = size
    for _ in range(MAX_ATTEMPTS):
        area = width * height * random.uniform(min_scale, 1)
        aspect = math.exp(random.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        box_width, box_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(random.integers(0, height - box_height + 1))
            left = int(random.integers(0, width - box_width + 1))
            return Box(left, top, box_width, box_height)
    box_width, box_height = min(width, round(height * ASPECT[1])), min(height, round(width / ASPECT[0]))
    return Box((width - box_width) // 2, (height - box_height) // 2, box_width, box_height)
