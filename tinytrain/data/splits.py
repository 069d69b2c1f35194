"""The train, val and test split of a dataset: official where there is one, else stratified and seeded.

data.split says which official splits are joined before images are held out (`arrange`); data.val_fraction or
val_images, data.test_fraction or test_images say how many, data.train_images how many of the rest are trained on
(`split`), and data.seed which. The 40,000/10,000 of CIFAR-100 (methods.md D.2) is
data.val_images=10000; NetAug's Flowers-102 (A.8) is data.split=trainval; Table 1 of C.10 is data.split=paper.
"""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from PIL import Image

from tinytrain.config.schema import Config, Data
from tinytrain.data import batches as pipeline
from tinytrain.data import check, copies
from tinytrain.data.images import IndexedView
from tinytrain.data.source import Pool, Source
from tinytrain.errors import UserError


@dataclass(frozen=True)
class Subset:
    """Images of one split: `indices` into the pool named `pool`."""

    pool: str
    indices: np.ndarray


class Split:
    """The decoded images of a source, split; a split is decoded when it is first asked for.

    Args:
        source: the images.
        config: the run, without "auto".
        subsets: which images are in which split; by default they are drawn.
    """

    def __init__(self, source: Source, config: Config, subsets: dict[str, Subset] | None = None) -> None:
        self.source, self.model, self.resize = source, config.model, config.data.resize
        self.spec = config.data.spec
        self.subsets = split(source, config.data, seed(config)) if subsets is None else subsets

    def arrays(self, name: str) -> tuple[IndexedView, np.ndarray]:
        """Returns (images (N, R, R, C) uint8, labels (N,) int64) of "train", "val" or "test"; no image is read yet."""
        part = self.subsets[name]
        pool = self.source.pools[part.pool]
        images = pipeline.decode(pool, int(self.model.resolution), int(self.model.channels), self.resize)
        return IndexedView(images, part.indices), pool.labels[part.indices]

    def batches(self, name: str) -> tf.data.Dataset:
        """Returns a split as batches (x, one-hot y), in order and not augmented."""
        return pipeline.evaluation_batches(*self.arrays(name), len(self.source.classes))


def seed(config: Config) -> int:
    """Returns what the split of `config` is drawn from: data.seed, or seed where that is "auto"."""
    return config.seed if config.data.seed == "auto" else int(config.data.seed)


def split(source: Source, data: Data, seed: int) -> dict[str, Subset]:
    """Returns {"train", "val", "test"} of `source`; the same seed gives the same split.

    Copies of an image, in what is held out here, are on the same side; official splits are left as they are.

    Raises UserError naming every class that has too few images, or too few different ones, to stand in each split.
    """
    pools = source.pools
    base = "train" if "train" in pools else "all"
    test = source.paper if source.split == "paper" else 0
    holdouts = {"test": test or data.test_images or data.test_fraction, "val": data.val_images or data.val_fraction}
    holdouts = {name: share for name, share in holdouts.items() if name not in pools}
    _refuse_small_classes(source, base, needed=1 + len(holdouts))
    everything = np.arange(len(pools[base].labels))
    units = copies.units_of([fact.digest for fact in check.facts(pools[base])]) if holdouts else everything
    left, subsets = everything, {name: Subset(name, np.arange(len(pools[name].labels))) for name in pools}
    for number, (name, share) in enumerate(holdouts.items()):
        try:
            left, held = _stratified(left, pools[base].labels, units, share, seed, name, leave=len(holdouts) - number)
        except copies.OnlyCopies as error:
            raise UserError(
                f"too few different images of '{source.classes[error.label]}': the others are copies, and copies of an "
                f"image stay in one split; every class needs at least {1 + len(holdouts)} different ones"
            ) from None
        subsets[name] = Subset(base, np.sort(held))
    if 0 < data.train_images < len(left):
        _, left = _stratified(left, pools[base].labels, everything, data.train_images, seed, "train")
    return {"train": Subset(base, np.sort(left)), "val": subsets["val"], "test": subsets["test"]}


def arrange(source: Source, rule: str) -> Source:
    """Returns `source` with its official splits joined as data.split = `rule` wants it; its `split` is then that rule.

    Raises UserError for "paper" where no paper splits this dataset anew.
    """
    rule = source.split if rule == "auto" else rule
    pools = source.pools
    if rule == "paper" and not source.paper:
        raise UserError(
            "data.split = 'paper', but the papers use the official split of this data or none at all: "
            "say data.split=official, trainval or random"
        )
    if rule == "trainval" and "val" in pools:
        pools = {"train": _joined([pools["train"], pools["val"]])} | {k: p for k, p in pools.items() if k == "test"}
    elif rule in ("random", "paper"):
        pools = {"all": _joined(list(pools.values()))}
    return dataclasses.replace(source, pools=pools, split=rule)


def as_names(source: Source, subsets: dict[str, Subset]) -> dict[str, list[str]]:
    """Returns the image names of each split, as `split.json` in the run folder holds them."""
    return {name: [source.pools[part.pool].names[i] for i in part.indices] for name, part in subsets.items()}


def _joined(pools: list[Pool]) -> Pool:
    """Returns one pool with the images of several, in order."""
    if len(pools) == 1:
        return pools[0]

    def images(prepare: Callable[[Image.Image], np.ndarray]) -> Iterator[np.ndarray]:
        return itertools.chain.from_iterable(pool.images(prepare) for pool in pools)

    names = [name for pool in pools for name in pool.names]
    known = [pool.facts for pool in pools if pool.facts is not None]
    facts = list(itertools.chain(*known)) if len(known) == len(pools) else None
    labels = np.concatenate([pool.labels for pool in pools])
    return Pool(labels, names, " + ".join(pool.key for pool in pools), images, facts)


def _stratified(
    indices: np.ndarray, labels: np.ndarray, units: np.ndarray, share: float, seed: int, name: str, leave: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (kept, held out): `share` of every class (an int: so many images), one of each at least on both sides.

    Images of the same unit (`units`, one for each label) are on the same side. Of a class with copies `leave` units
    are kept.
    """
    random = np.random.default_rng([seed, len(indices)])
    present, sizes = np.unique(labels[indices], return_counts=True)
    counts = _exact(sizes, share, name) if isinstance(share, int) else _rounded(sizes, share)
    own = labels[indices]
    order = {int(label): random.permutation(np.flatnonzero(own == label)) for label in present}
    draw = copies.Draw(own, units[indices], dict(zip(order, counts.tolist(), strict=True)), leave)
    draw.classes(order)
    if isinstance(share, int):
        draw.settle(order)
    return indices[~draw.chosen], indices[draw.chosen]


def _rounded(sizes: np.ndarray, share: float) -> np.ndarray:
    return np.clip(np.round(share * sizes).astype(int), 1, sizes - 1)


def _exact(sizes: np.ndarray, total: int, name: str) -> np.ndarray:
    """Returns how many of each class make `total`, in proportion to `sizes`: the largest remainders are rounded up."""
    low, high = len(sizes), int((sizes - 1).sum())
    if not low <= total <= high:
        what = f"train on {total:,} images" if name == "train" else f"hold {total:,} images out for {name}"
        raise UserError(f"cannot {what}: expected {low:,} to {high:,}, one of each class left")
    ideal = total * sizes / sizes.sum()
    counts = np.clip(np.floor(ideal).astype(int), 1, sizes - 1)
    while counts.sum() != total:
        step = 1 if counts.sum() < total else -1
        free = counts < sizes - 1 if step == 1 else counts > 1
        counts[np.argmax(np.where(free, step * (ideal - counts), -np.inf))] += step
    return counts


def _refuse_small_classes(source: Source, base: str, needed: int) -> None:
    for name, pool in source.pools.items():
        counts = Counter(pool.labels.tolist())
        wanted = needed if name == base else 1
        small = [f"{word} ({counts[i]})" for i, word in enumerate(source.classes) if counts[i] < wanted]
        if small:
            raise UserError(
                f"too few images in {'the data' if name == 'all' else name} for {', '.join(small)}: every class needs "
                f"at least {wanted}, so that each split has one"
            )
