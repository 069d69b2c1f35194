"""What every source of images gives: `Source`, made of a `Pool` for each split the data comes with.

A module of this room has `load(argument, data) -> Source`, where `argument` is what follows the colon of the SPEC and
`data` is the `Data` section of the config. Its file name is the word before the colon; the names in
dataset_table.ROWS all stand for `named`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Fact:
    """What one image is: (width, height) in pixels, PIL mode, a hash of its decoded RGB pixels.

    mean and square are the means of its pixels and of their squares, for R, G and B, in 0..1.
    """

    size: tuple[int, int] = (0, 0)
    mode: str = ""
    digest: str = ""
    mean: tuple[float, ...] = ()
    square: tuple[float, ...] = ()

    def row(self) -> list:
        """Returns the fact as a list for JSON."""
        return [self.size, self.mode, self.digest, self.mean, self.square]

    @classmethod
    def of_row(cls, row: Any) -> "Fact":
        """Returns the fact that `row` gave; raises ValueError for anything that `row` did not."""
        match row:
            case [[int(width), int(height)], str(mode), str(digest), [*mean], [*square]]:
                numbers = [*mean, *square]
                if all(isinstance(number, int | float) and math.isfinite(number) for number in numbers) and (
                    len(mean) == len(square) == (3 if digest else 0)
                ):
                    return cls((width, height), mode, digest, tuple(mean), tuple(square))
        raise ValueError("no row of a fact")


@dataclass(frozen=True)
class Finding:
    """Something wrong with the data: its kind, a sentence, what to do, the files; severe ones forbid training."""

    kind: str
    what: str
    todo: str
    files: tuple[str, ...] = ()
    severe: bool = False


@dataclass(frozen=True)
class Pool:
    """Images that belong together (a whole dataset, or one of its official splits), decoded only when asked for.

    labels: (N,) int64 class indices; names: N texts that identify an image; key: a text that changes when the images
    do; images: returns an iterator over the N images in order, each passed through the given function in threads;
    facts: what each image is, if that is known without decoding it.
    """

    labels: np.ndarray
    names: list[str]
    key: str
    images: Callable[[Callable[[Image.Image], np.ndarray]], Iterator[np.ndarray]]
    facts: list[Fact] | None = None


@dataclass(frozen=True)
class Source:
    """A dataset: its class names, its pools ("all", or "train" with "val" and "test" if official) and its hints.

    channels, side: of the images as they come (side 0: they differ); flip: whether a mirrored image keeps its class;
    resize and split: what data.resize and data.split = "auto" mean here; paper: how many test images a paper holds out
    of all, for data.split = "paper" (0: no paper does); findings: what is wrong with files that were left out.
    """

    classes: list[str]
    pools: dict[str, Pool]
    channels: int
    side: int
    flip: bool = True
    resize: str = "stretch"
    split: str = "official"
    paper: int = 0
    findings: tuple[Finding, ...] = ()
