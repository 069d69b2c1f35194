"""What every source of images gives: a `Dataset`, made of an `ImageSet` for each split that the data comes with.

A module of the plug-in folder datasets has `load(argument, data) -> Dataset`: `argument` is what follows the colon of
the SPEC, `data` the `Data` section of the config. Its file name is the word before the colon; the names in
catalog.ROWS all stand for `named`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tinytrain.data import boxes
from tinytrain.data.facts import Facts, ImageInfo
from tinytrain.data.names import Names

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
    split_name = split_word(name)
    return SPLIT_NAMES[split_name] if split_name else None


def split_word(name: str) -> str | None:
    """Returns the word of SPLIT_NAMES that `name` is, whatever its case, separators, year and ending; None if none."""
    letters = "".join(char for char in name.casefold() if char not in " _-.")
    letters = re.sub(r"(19|20)\d\d$", "", letters)  # train2017
    candidates = [letters, *(letters.removesuffix(end) for end in SPLIT_ENDINGS)]
    return next((word for word in candidates if word in SPLIT_NAMES), None)


def strata(annotations: np.ndarray) -> np.ndarray:
    """Returns (N,) int64, the class that each image counts for when images are split and counted.

    Of boxes (N, M, FIELDS) it is the rarest class in the image, `boxes.NO_BOX` for an image without any; else the first
    number of an annotation.
    """
    if annotations.ndim == 3:
        return boxes.rarest(annotations)
    return (annotations[:, 0] if annotations.ndim == 2 else annotations).astype(np.int64)


def class_counts(annotations: np.ndarray, classes: int) -> np.ndarray:
    """Returns (classes,) int64, how many images there are of each class; of boxes, how many hold one of it or more."""
    if annotations.ndim < 3:
        return np.bincount(strata(annotations), minlength=classes)
    return np.bincount(boxes.classes_present(annotations)[1], minlength=classes)


@dataclass(frozen=True)
class Finding:
    """A problem of the data: its kind, a sentence, a hint what to do, the files; a severe one forbids training."""

    kind: str
    what: str
    hint: str
    files: tuple[str, ...] = ()
    severe: bool = False


def counted(number: int, singular: str, plural: str = "") -> str:
    """Returns a number with its noun, for the sentences of findings; the plural is by default that with an s."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


@dataclass(frozen=True)
class ImageSet:
    """Images that belong together: a whole dataset, or one of its official splits. They are decoded on demand.

    annotations: (N, ...) int64 or float, what the task learns of each image: for classification (N,) class indices, for
    detection boxes (N, M, FIELDS) as `data.boxes` says, for other tasks rows that begin with a class index; names: N
    texts that identify an image; key: a text that changes when the images do; reader: what `images`
    calls; infos: what is known of each image,
    None if it must be decoded for that; written_at: for each box of each image, the file and line that say so, for
    findings. Names and infos are kept as arrays, whatever sequences are given.
    """

    annotations: np.ndarray
    names: Sequence[str]
    key: str
    reader: Callable[[Callable[[Image.Image], Any], np.ndarray], Iterator[Any]]
    infos: Sequence[ImageInfo] | None = None
    written_at: list[list[str]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", Names.of(self.names))
        object.__setattr__(self, "infos", None if self.infos is None else Facts.of(self.infos))

    def images(
        self, prepare: Callable[[Image.Image], Any] = lambda image: image, numbers: np.ndarray | None = None
    ) -> Iterator[Any]:
        """Returns an iterator over images, each passed through `prepare` in threads.

        Args:
            prepare: what is made of each.
            numbers: (M,) of the images, ascending; None: all.
        """
        return self.reader(prepare, np.arange(len(self.names)) if numbers is None else numbers)

    @property
    def strata(self) -> np.ndarray:
        """(N,) int64, the class that each image counts for (`strata`)."""
        return strata(self.annotations)


@dataclass(frozen=True)
class Dataset:
    """The class names of a dataset, its images and its hints.

    image_sets: "all", or "train" with "val" and "test" where such splits are official; channels, side: of the images as
    they come (3: some are color; side 0: they differ); flip: whether a mirrored image keeps its class; resize and
    split: what data.resize and data.split = "auto" mean here; paper: how many test images a paper holds out of all, for
    data.split = "paper" (0: no paper does); findings: files that cannot be read (severe), and what was left out; task:
    what the annotations are for, a name in tinytrain/tasks.
    """

    classes: list[str]
    image_sets: dict[str, ImageSet]
    channels: int
    side: int
    flip: bool = True
    resize: str = "stretch"
    split: str = "official"
    paper: int = 0
    findings: tuple[Finding, ...] = ()
    task: str = "classify"
