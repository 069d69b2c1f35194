"""The train, val and test split of a dataset: official where there is one, else stratified and seeded.

data.split says which official splits are joined before images are held out (`arrange`); data.val_fraction or
val_images, data.test_fraction or test_images say how many, data.train_images how many of the rest are trained on
(`draw`), and data.seed which. The 40,000/10,000 of CIFAR-100 (methods.md D.2) is
data.val_images=10000; NetAug's Flowers-102 (A.8) is data.split=trainval; Table 1 of C.10 is data.split=paper.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tinytrain.config.schema import Config, Data
from tinytrain.data import boxes, check, copies, decoding
from tinytrain.data.facts import Facts
from tinytrain.data.images import Images, Samples
from tinytrain.data.names import Names
from tinytrain.data.source import Dataset, ImageSet, class_counts, counted
from tinytrain.errors import UserError

JOINED = -2  # the stratum of the classes that are the rarest in a single image


@dataclass(frozen=True)
class Subset:
    """Images of one split: `indices` into the set of images named `image_set`."""

    image_set: str
    indices: np.ndarray


class Splits:
    """The images of a dataset in its train, val and test splits; a split is decoded when it is first used.

    Args:
        dataset: the images.
        config: the run, without "auto".
        subsets: which images are in which split; by default they are drawn.
    """

    def __init__(self, dataset: Dataset, config: Config, subsets: dict[str, Subset] | None = None) -> None:
        self.dataset, self.model, self.resize = dataset, config.model, config.data.resize
        self.spec = config.data.spec
        self.subsets = draw(dataset, config.data, seed(config)) if subsets is None else subsets

    def samples(self, name: str, side: int = 0) -> Samples:
        """Returns the images of a split, "train", "val" or "test", with their annotations; no image is read yet.

        side: of the decoded images in pixels; 0: model.resolution.
        """
        subset = self.subsets[name]
        image_set = self.dataset.image_sets[subset.image_set]
        side, channels = side or int(self.model.resolution), int(self.model.channels)
        images, transforms = decoding.decode(image_set, side, channels, self.resize)
        return Samples(images, image_set.annotations, transforms).take(subset.indices)

    def annotations(self, name: str) -> np.ndarray:
        """Returns the annotations (N, …) of a split."""
        subset = self.subsets[name]
        return self.dataset.image_sets[subset.image_set].annotations[subset.indices]

    def arrays(self, name: str) -> tuple[Images, np.ndarray]:
        """Returns the images (N, R, R, C) uint8 and the annotations (N, …) of a split; no image is read yet."""
        samples = self.samples(name)
        return samples.images, samples.annotations


def seed(config: Config) -> int:
    """Returns what the split of `config` is drawn from: data.seed, or seed where that is "auto"."""
    return config.seed if config.data.seed == "auto" else int(config.data.seed)


def draw(dataset: Dataset, data: Data, seed: int) -> dict[str, Subset]:
    """Returns {"train", "val", "test"} of `dataset`; the same seed gives the same split.

    Copies of an image, in what is held out here, are on the same side; official splits are left as they are.

    Args:
        dataset: the images, with their official splits joined as `arrange` does.
        data: the [data] section of the config.
        seed: draws what is held out (`seed`).

    Raises:
        UserError: classes that have too few images, or too few different ones, to stand in each split; all are named.
    """
    image_sets = dataset.image_sets
    base = "train" if "train" in image_sets else "all"
    test = dataset.paper if dataset.split == "paper" else 0
    holdouts = {"test": test or data.test_images or data.test_fraction, "val": data.val_images or data.val_fraction}
    holdouts = {name: share for name, share in holdouts.items() if name not in image_sets}
    _refuse_small_classes(dataset, base, needed=1 + len(holdouts))
    strata = image_sets[base].strata
    everything = np.arange(len(strata))
    units = _units(image_sets[base]) if holdouts else everything
    strict = image_sets[base].annotations.ndim < 3
    reserved = set() if strict or not holdouts else _reserved(dataset, base, units, 1 + len(holdouts), seed)
    left, subsets = everything, {name: Subset(name, np.arange(len(one.names))) for name, one in image_sets.items()}
    for number, (name, share) in enumerate(holdouts.items()):
        try:
            left, held = _stratified(left, strata, units, share, seed, name, len(holdouts) - number, strict, reserved)
        except copies.OnlyCopies as error:
            raise _only_copies(dataset.classes[error.label], 1 + len(holdouts)) from None
        subsets[name] = Subset(base, np.sort(held))
    if 0 < data.train_images < len(left):
        _, left = _stratified(left, strata, everything, data.train_images, seed, "train", strict=strict)
    _refuse_lost_classes(dataset, image_sets[base].annotations[left])
    return {"train": Subset(base, np.sort(left)), "val": subsets["val"], "test": subsets["test"]}


def arrange(dataset: Dataset, rule: str) -> Dataset:
    """Returns `dataset` with its official splits joined as data.split = `rule` says; its `split` is then that rule.

    Raises:
        UserError: "paper", but no paper splits this dataset.
    """
    rule = dataset.split if rule == "auto" else rule
    image_sets = dataset.image_sets
    if rule == "paper" and not dataset.paper:
        raise UserError(
            "data.split = 'paper', but the papers use the official split of this data or none at all: "
            "say data.split=official, trainval or random"
        )
    if rule == "trainval" and "val" in image_sets:
        joined = _joined([image_sets["train"], image_sets["val"]])
        image_sets = {"train": joined} | {name: one for name, one in image_sets.items() if name == "test"}
    elif rule in ("random", "paper"):
        image_sets = {"all": _joined(list(image_sets.values()))}
    return dataclasses.replace(dataset, image_sets=image_sets, split=rule)


def as_names(dataset: Dataset, subsets: dict[str, Subset]) -> dict[str, list[str]]:
    """Returns the image names of each split, as `split.json` in the run folder holds them."""
    return {
        name: list(Names.of(dataset.image_sets[one.image_set].names).take(one.indices)) for name, one in subsets.items()
    }


def _joined(image_sets: list[ImageSet]) -> ImageSet:
    """Returns one set with the images of several, in order."""
    if len(image_sets) == 1:
        return image_sets[0]

    starts = np.cumsum([0, *(len(one.names) for one in image_sets)])

    def images(prepare: Callable[[Image.Image], Any], numbers: np.ndarray) -> Iterator[Any]:
        parts = np.split(numbers, np.searchsorted(numbers, starts[1:-1]))
        for one, start, own in zip(image_sets, starts, parts, strict=False):
            yield from one.images(prepare, own - start) if len(own) else ()

    known = [Facts.of(one.infos) for one in image_sets if one.infos is not None]
    infos = Facts.join(known) if len(known) == len(image_sets) else None
    parts = [one.annotations for one in image_sets]
    annotations = boxes.join(parts) if parts[0].ndim == 3 else np.concatenate(parts)
    places = [one.written_at for one in image_sets if one.written_at is not None]
    written_at = list(itertools.chain(*places)) if len(places) == len(image_sets) else None
    names = Names.join([Names.of(one.names) for one in image_sets])
    return ImageSet(annotations, names, " + ".join(one.key for one in image_sets), images, infos, written_at)


def _stratified(
    indices: np.ndarray,
    labels: np.ndarray,
    units: np.ndarray,
    share: float,
    seed: int,
    name: str,
    leave: int = 1,
    strict: bool = True,
    reserved: Set[int] = frozenset(),
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (kept, held out): `share` of every class (an int: so many images), one of each at least on both sides.

    Images of the same unit (`units`, one for each label) are on the same side. Of a class with copies `leave` units
    are kept, and all `reserved` ones. Unless it is `strict`, a class may be on one side only, and those of a single
    image are drawn as one.
    """
    random = np.random.default_rng([seed, len(indices)])
    strata = labels[indices] if strict else _with_single_ones_joined(labels[indices])
    present, sizes = np.unique(strata, return_counts=True)
    counts = _exact(sizes, share, name) if isinstance(share, int) else _rounded(sizes, share)
    order = {int(label): random.permutation(np.flatnonzero(strata == label)) for label in present}
    wanted = dict(zip(order, counts.tolist(), strict=True))
    holdout = copies.GroupedHoldout(strata, units[indices], wanted, leave, strict, reserved)
    holdout.hold_out_classes(order)
    if isinstance(share, int):
        holdout.correct_total(order)
    return indices[~holdout.mask], indices[holdout.mask]


def _with_single_ones_joined(strata: np.ndarray) -> np.ndarray:
    """Returns (N,) the strata with those of a single image made one."""
    present, where, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    return np.where(sizes[where] == 1, JOINED, present[where])


def _rounded(sizes: np.ndarray, share: float) -> np.ndarray:
    return np.clip(np.round(share * sizes).astype(int), 1, sizes - 1)


def _exact(sizes: np.ndarray, total: int, name: str) -> np.ndarray:
    """Returns how many of each class make `total`, in proportion to `sizes`: the largest remainders are rounded up."""
    low, high = int((sizes > 1).sum()), int((sizes - 1).sum())
    if not low <= total <= high:
        what = (
            f"train on {counted(total, 'image')}"
            if name == "train"
            else f"hold {counted(total, 'image')} out for {name}"
        )
        raise UserError(f"cannot {what}: expected {low:,} to {high:,}, one of each class left")
    ideal = total * sizes / sizes.sum()
    counts = np.clip(np.floor(ideal).astype(int), 1, sizes - 1)
    while counts.sum() != total:
        step = 1 if counts.sum() < total else -1
        free = counts < sizes - 1 if step == 1 else counts > 1
        counts[np.argmax(np.where(free, step * (ideal - counts), -np.inf))] += step
    return counts


def _units(image_set: ImageSet) -> np.ndarray:
    """Returns (N,) the group of each image: copies of it, which stay in one split."""
    return copies.group_copies(check.infos(image_set).digests, image_set.names)


def _reserved(dataset: Dataset, base: str, units: np.ndarray, needed: int, seed: int) -> set[int]:
    """Returns units that are trained on whatever is held out, so that each class of boxes has one; rare classes first.

    Raises:
        UserError: a class has boxes in fewer than `needed` different images.
    """
    images, classes = boxes.classes_present(dataset.image_sets[base].annotations)
    units_of = [np.unique(units[images[classes == number]]) for number in range(len(dataset.classes))]
    for name, own in zip(dataset.classes, units_of, strict=True):
        if len(own) < needed:
            raise _only_copies(name, needed)
    random, reserved = np.random.default_rng([seed, len(units)]), set[int]()
    for own in sorted(units_of, key=len):
        if not reserved & set(own.tolist()):
            reserved.add(int(random.choice(own)))
    return reserved


def _only_copies(name: str, needed: int) -> UserError:
    return UserError(
        f"too few different images of '{name}': the others are copies, and copies of an image stay in one split; every "
        f"class needs at least {needed} different ones"
    )


def _refuse_lost_classes(dataset: Dataset, annotations: np.ndarray) -> None:
    """Raises UserError if no box of a class is in the images to train on, drawn as data.train_images says."""
    counts = class_counts(annotations, len(dataset.classes)) if annotations.ndim == 3 else np.ones(1)
    if not counts.all():
        lost = ", ".join(name for name, count in zip(dataset.classes, counts, strict=True) if not count)
        raise UserError(
            f"no image of {lost} is drawn to train on: raise data.train_images, or draw with another data.seed"
        )


def _refuse_small_classes(dataset: Dataset, base: str, needed: int) -> None:
    for name, image_set in dataset.image_sets.items():
        if image_set.annotations.ndim == 3 and name != base:
            continue  # average precision leaves out a class without boxes
        counts = class_counts(image_set.annotations, len(dataset.classes))
        wanted = needed if name == base else 1
        small = [f"{one} ({counts[number]})" for number, one in enumerate(dataset.classes) if counts[number] < wanted]
        if small:
            raise UserError(
                f"too few images in {'the data' if name == 'all' else name} for {', '.join(small)}: every class needs "
                f"at least {wanted}, so that each split has one"
            )
