"""Decoded images in several files, of which any can be read by its number without holding the others in memory.

They are read by calls, not through memory maps: a random image that is not in the page cache comes four times as fast,
as the kernel reads nothing around it (benchmarks/shards.py).
"""

import os
import weakref
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinytrain.errors import UserError


class Shard(NamedTuple):
    """Some images: a file and where its bytes begin; or, where the disk had no room, the images themselves."""

    path: Path
    offset: int
    images: np.ndarray | None = None


class Shards:
    """Images of one size, read on demand like an array of them.

    Args:
        shards: the parts, in order, each but the last with `per_shard` images.
        shape: (N, H, W, C), uint8.
        per_shard: images of a part.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, shards: Sequence[Shard], shape: tuple[int, ...], per_shard: int) -> None:
        self.files = _Files(shards)
        self.shape, self.per_shard = shape, per_shard

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        numbers, single = numbers_of(index, len(self))
        images = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        image_bytes = images[:1].nbytes or int(np.prod(self.shape[1:]))
        for start, end in self._runs(numbers):
            shard, place = divmod(int(numbers[start]), self.per_shard)
            self.files.read(shard, place * image_bytes, images[start:end])
        return images[0] if single else images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns all of them, in memory: numpy.asarray(shards)."""
        images = self[:]
        return images if dtype is None else images.astype(dtype, copy=False)

    def _runs(self, numbers: np.ndarray) -> Iterator[tuple[int, int]]:
        """Yields the (start, end) of images that lie one after the other in a file."""
        if not len(numbers):
            return
        broken = (np.diff(numbers) != 1) | (numbers[1:] % self.per_shard == 0)
        ends = [0, *(np.flatnonzero(broken) + 1).tolist(), len(numbers)]
        yield from pairwise(ends)


class RaggedShards:
    """Images of many sizes, read on demand: `ragged[numbers]` is a list of arrays (H, W, channels) uint8.

    Args:
        shards: the parts, in order, each but the last with `per_shard` images.
        sizes: (N, 2) uint16, height and width of each.
        channels: 1 or 3.
        per_shard: images of a part.
    """

    def __init__(self, shards: Sequence[Shard], sizes: np.ndarray, channels: int, per_shard: int) -> None:
        self.files, self.sizes, self.channels, self.per_shard = _Files(shards), sizes, channels, per_shard
        lengths = sizes.prod(axis=1, dtype=np.int64) * channels
        self.starts = np.cumsum(lengths) - lengths  # where each begins, counted from the first image of its shard
        for first in range(0, len(sizes), per_shard):
            self.starts[first : first + per_shard] -= int(self.starts[first])

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, numbers: np.ndarray) -> list[np.ndarray]:
        images = []
        for number in numbers.tolist():
            image = np.empty((*self.sizes[number].tolist(), self.channels), np.uint8)
            self.files.read(number // self.per_shard, int(self.starts[number]), image)
            images.append(image)
        return images


def numbers_of(index: Any, count: int) -> tuple[np.ndarray, bool]:
    """Returns (M,) int64, the numbers that an index of NumPy stands for, and whether it is a single one."""
    if isinstance(index, slice):
        return np.arange(*index.indices(count)), False
    numbers = np.asarray(index)
    numbers = np.flatnonzero(numbers) if numbers.dtype == bool else numbers.astype(np.int64)
    numbers = np.where(numbers < 0, numbers + count, numbers)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < count:
        raise IndexError(f"image {numbers.max()} of {count}")
    return np.atleast_1d(numbers), numbers.ndim == 0


class _Files:
    """The open files of shards."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards
        # Kept open: they can be read even when the cache is emptied meanwhile.
        self.handles = [-1 if shard.images is not None else os.open(shard.path, os.O_RDONLY) for shard in shards]
        weakref.finalize(self, _close, [handle for handle in self.handles if handle >= 0])

    def read(self, shard: int, start: int, result: np.ndarray) -> None:
        """Fills `result` with the bytes of a shard from `start` on."""
        path, offset, images = self.shards[shard]
        if images is not None:
            result.reshape(-1)[:] = images.reshape(-1)[start : start + result.nbytes]
            return
        view = memoryview(result).cast("B")  # type: ignore[arg-type]
        while len(view):
            count = os.preadv(self.handles[shard], [view], offset + start)
            if not count:
                raise UserError(f"'{path}' of the decoded images is cut short: remove it, and start again")
            view, start = view[count:], start + count


def _close(handles: list[int]) -> None:
    for handle in handles:
        os.close(handle)
