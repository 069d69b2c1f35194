"""What every source of images gives: `Source`, made of a `Pool` for each split the data comes with.

A module of this room has `load(argument, data) -> Source`, where `argument` is what follows the colon of the SPEC and
`data` is the `Data` section of the config. Its file name is the word before the colon; the names in
dataset_table.ROWS all stand for `named`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Pool:
    """Images that belong together (a whole dataset, or one of its official splits), decoded only when asked for.

    labels: (N,) int64 class indices; names: N texts that identify an image; key: a text that changes when the images
    do; images: returns an iterator over the N images in order, each passed through the given function in threads.
    """

    labels: np.ndarray
    names: list[str]
    key: str
    images: Callable[[Callable[[Image.Image], np.ndarray]], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Source:
    """A dataset: its class names, its pools ("all", or "train" with "val" and "test" if official) and its hints.

    channels, side: of the images as they come (side 0: they differ); flip: whether a mirrored image keeps its class;
    resize and split: what data.resize and data.split = "auto" mean here; paper: how many test images a paper holds out
    of all, for data.split = "paper" (0: no paper does).
    """

    classes: list[str]
    pools: dict[str, Pool]
    channels: int
    side: int
    flip: bool = True
    resize: str = "stretch"
    split: str = "official"
    paper: int = 0
