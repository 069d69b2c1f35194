"""Images as an array, or as a view of some of them that reads only what is asked for."""

from typing import Any

import numpy as np


class IndexedView:
    """Some of the images of an array, in any order and any number of times: only what is asked for is read.

    images: (M, H, W, C), usually a memory map that is larger than the memory; index: (N,) the image in each place.
    """

    def __init__(self, images: "Images", index: np.ndarray) -> None:
        self.images, self.index = images, index
        self.shape: tuple[int, ...] = (len(index), *images.shape[1:])
        self.dtype: np.dtype = images.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, places: Any) -> np.ndarray:
        return self.images[self.index[places]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it, in memory: numpy.asarray(view)."""
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype, copy=False)


Images = np.ndarray | IndexedView  # (N, H, W, C) uint8
