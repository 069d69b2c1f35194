"""The names of many images as one array of letters, 8 bytes a name beside them where a list takes 60."""

import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np

CHUNK = 1 << 16  # names that are put together at a time


def is_range(index: np.ndarray) -> bool:
    """Returns whether numbers (M,) are consecutive, so that a slice stands for them."""
    return len(index) > 0 and int(index[-1]) - int(index[0]) == len(index) - 1 and bool((np.diff(index) == 1).all())


class Names(Sequence[str]):
    """Texts, read like a list of them; equal to any other sequence of the same texts.

    Args:
        letters: (L,) uint8, all texts in UTF-8, one after the other.
        ends: (N + 1,) int64, where in `letters` each text ends; the first is 0.
    """

    def __init__(self, letters: np.ndarray, ends: np.ndarray) -> None:
        self.letters, self.ends = letters, ends

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Names":
        """Returns the names of `texts`, which may come one by one."""
        if isinstance(texts, Names):
            return texts
        letters, ends = bytearray(), array("q", [0])
        for text in texts:
            letters += text.encode("utf-8", "surrogatepass")
            ends.append(len(letters))
        return cls(np.frombuffer(bytes(letters), np.uint8), np.array(ends, np.int64))

    @classmethod
    def join(cls, parts: Sequence["Names"]) -> "Names":
        """Returns the names of several, one after the other."""
        starts = np.cumsum([0, *(len(part.letters) for part in parts)])
        ends = [part.ends[1:] + start for part, start in zip(parts, starts[:-1], strict=True)]
        letters = np.concatenate([np.empty(0, np.uint8), *(part.letters for part in parts)])
        return cls(letters, np.concatenate([np.zeros(1, np.int64), *ends]))

    def take(self, index: np.ndarray) -> "Names":
        """Returns the names of these numbers (M,), in this order; of consecutive ones the letters are not copied."""
        if is_range(index):
            first, last = int(index[0]), int(index[-1]) + 1
            start, end = int(self.ends[first]), int(self.ends[last])
            return Names(self.letters[start:end], self.ends[first : last + 1] - start)
        lengths = np.diff(self.ends)[index]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        letters = np.empty(ends[-1], np.uint8)
        for first in range(0, len(index), CHUNK):  # a few at a time: the places of the letters take 8 bytes each
            part = slice(first, first + CHUNK)
            begin, end = ends[first], ends[min(first + CHUNK, len(index))]
            shift = np.repeat(self.ends[:-1][index[part]] - ends[:-1][part], lengths[part])
            letters[begin:end] = self.letters[shift + np.arange(begin, end)]
        return Names(letters, ends)

    @property
    def is_whole(self) -> bool:
        """Whether the arrays are those of texts, as far as can be told: a damaged file holds others."""
        ends, letters = self.ends, self.letters
        typed = (letters.dtype, letters.ndim, ends.dtype, ends.ndim) == (np.uint8, 1, np.int64, 1)
        return (
            typed and len(ends) > 0 and ends[0] == 0 and ends[-1] == len(letters) and bool((np.diff(ends) >= 0).all())
        )

    def contain(self, text: str) -> bool:
        """Returns whether `text` stands anywhere in the names; one that spans two of them counts as well."""
        return text.encode() in self.letters.tobytes()

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Names": ...
    def __getitem__(self, index: Any) -> "str | Names":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        number = operator.index(index)
        number += len(self) * (number < 0)
        if not 0 <= number < len(self):
            raise IndexError(f"name {index} of {len(self)}")
        return self.letters[self.ends[number] : self.ends[number + 1]].tobytes().decode("utf-8", "surrogatepass")

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), CHUNK):
            ends = self.ends[first : first + CHUNK + 1].tolist()
            letters = self.letters[ends[0] : ends[-1]].tobytes()
            for begin, end in pairwise(ends):
                yield letters[begin - ends[0] : end - ends[0]].decode("utf-8", "surrogatepass")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Names):
            return np.array_equal(self.ends, other.ends) and np.array_equal(self.letters, other.letters)
        return isinstance(other, Sequence) and len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Names({list(self[:3])}{', …' * (len(self) > 3)}, {len(self)} in all)"
