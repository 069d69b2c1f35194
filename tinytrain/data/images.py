"""Images as an array, or as a view of some of them that is read on demand; images with their annotations."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytrain.data.crops import CroppedImages
from tinytrain.data.shards import Shards


class IndexedView:
    """Some of the images of an array, in any order and any number of times, read on demand.

    images: (M, H, W, C), usually files that are larger than the memory; index: (N,) which of them each one is.
    """

    def __init__(self, images: "Images", index: np.ndarray) -> None:
        self.images, self.index = images, index
        self.shape: tuple[int, ...] = (len(index), *images.shape[1:])
        self.dtype: np.dtype = images.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.images[self.index[index]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns all of it, in memory: numpy.asarray(view)."""
        images = self[:]
        return images if dtype is None else images.astype(dtype, copy=False)


Images = np.ndarray | Shards | CroppedImages | IndexedView  # (N, H, W, C) uint8
IDENTITY = np.array([1.0, 1.0, 0.0, 0.0], np.float32)  # the transform of an image that keeps its size


def for_training(images: Images, index: np.ndarray, seed: int, step: int) -> np.ndarray:
    """Returns the images of these numbers (M,) as a step of training takes them, (M, H, W, C) uint8.

    Of images that are kept larger it is a random crop of each, drawn from the seed, the step and the image.
    """
    if isinstance(images, IndexedView):
        return for_training(images.images, images.index[index], seed, step)
    return images.drawn(index, seed, step) if isinstance(images, CroppedImages) else images[index]


@dataclass(frozen=True)
class Samples:
    """Images with what a task learns of them.

    images: (N, R, R, C) uint8; annotations: (N, …) as the dataset has them; transforms: (N, 4) float32, scale x and y
    and offset x and y with which each image was brought to its size (`resizing.Transform`), by default none was.
    """

    images: Images
    annotations: np.ndarray
    transforms: np.ndarray

    @classmethod
    def of(cls, images: Images, annotations: np.ndarray) -> "Samples":
        """Returns samples whose images are as large as the dataset has them."""
        return cls(images, annotations, np.broadcast_to(IDENTITY, (len(images), 4)))

    def take(self, index: np.ndarray) -> "Samples":
        """Returns the samples of these numbers (M,), in this order; no image is copied."""
        return Samples(IndexedView(self.images, index), self.annotations[index], self.transforms[index])
