"""What every source of images gives: `Source`, made of a `Pool` for each split the data comes with.

A module of this room has `load(argument, data) -> Source`, where `argument` is what follows the colon of the SPEC and
`data` is the `Data` section of the config. Its file name is the word before the colon; the names in
dataset_table.ROWS all stand for `named`.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

# Words for a split, as folders and tables use them; `split_of` adds upper case, separators and SPLIT_ENDINGS.
SPLIT_NAMES = {
    "train": "train", "training": "train", "trn": "train", "tr": "train",
    "val": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val", "development": "val",
    "test": "test", "testing": "test", "tst": "test", "te": "test", "eval": "test", "evaluation": "test",
}  # fmt: skip
# Those that also name languages or other things: beside folders that are no splits, they are classes.
SHORT_NAMES = {"trn", "tr", "dev", "development", "tst", "te", "eval", "evaluation"}
SPLIT_ENDINGS = ("dataset", "data", "set", "images", "imgs", "img", "split", "folder")


def split_of(name: str) -> str | None:
    """Returns "train", "val" or "test" for a name such as Training, Train_set or valid-images; None for others."""
    word = split_word(name)
    return SPLIT_NAMES[word] if word else None


def split_word(name: str) -> str | None:
    """Returns the word of SPLIT_NAMES that `name` is, whatever its case, separators, year and ending; None if none."""
    letters = "".join(char for char in name.casefold() if char not in " _-.")
    letters = re.sub(r"(19|20)\d\d$", "", letters)  # train2017
    candidates = [letters, *(letters.removesuffix(end) for end in SPLIT_ENDINGS)]
    return next((word for word in candidates if word in SPLIT_NAMES), None)


@dataclass(frozen=True)
class Fact:
    """What one image is: (width, height) in pixels once it is upright, PIL mode, a hash of its decoded RGB pixels.

    mean and square are the means of its pixels and of their squares, for R, G and B, in 0..1. transparent: some of it
    lets a background through, which is white for all of these.
    """

    size: tuple[int, int] = (0, 0)
    mode: str = ""
    digest: str = ""
    mean: tuple[float, ...] = ()
    square: tuple[float, ...] = ()
    transparent: bool = False

    def row(self) -> list:
        """Returns the fact as a list for JSON."""
        return [self.size, self.mode, self.digest, self.mean, self.square, self.transparent]

    @classmethod
    def of_row(cls, row: Any) -> "Fact":
        """Returns the fact that `row` gave; raises ValueError for anything that `row` did not."""
        match row:
            case [[int(width), int(height)], str(mode), str(digest), [*mean], [*square], bool(transparent)]:
                numbers = [*mean, *square]
                if all(isinstance(number, int | float) and math.isfinite(number) for number in numbers) and (
                    len(mean) == len(square) == (3 if digest else 0)
                ):
                    return cls((width, height), mode, digest, tuple(mean), tuple(square), transparent)
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

    channels, side: of the images as they come (3: some are color; side 0: they differ); flip: whether a mirrored image
    keeps its class; resize and split: what data.resize and data.split = "auto" mean here; paper: how many test images a
    paper holds out of all, for data.split = "paper" (0: no paper does); findings: files that cannot be read (severe),
    and what was left out.
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
