"""The train, val and test split of a dataset: official where there is one, else stratified or shuffled, and seeded.

data.split says which official splits are joined before images are held out (`arrange`); data.val_fraction or
val_images, data.test_fraction or test_images say how many, data.train_images how many of the rest are trained on
(`draw`), and data.seed which. The 40,000/10,000 of CIFAR-100 (methods.md D.2) is data.val_images=10000 with
data.split=shuffled; NetAug's Flowers-102 (A.8) is data.split=trainval; Table 1 of C.10 is data.split=paper.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tinytrain.config.schema import Config, Data
from tinytrain.data import boxes, check, copies, decoding, frames, shuffled
from tinytrain.data.crops import CroppedImages
from tinytrain.data.decoding import Workers
from tinytrain.data.facts import Facts
from tinytrain.data.images import Images, Samples
from tinytrain.data.names import Names
from tinytrain.data.source import Dataset, ImageSet, class_counts
from tinytrain.data.stratified import hold_out
from tinytrain.errors import UserError


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
        workers: who decodes them.

    Raises:
        UserError: the data cannot be split so, or data.decode_resolution does not go with the rest of the config.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        subsets: dict[str, Subset] | None = None,
        workers: Workers = decoding.ALONE,
    ) -> None:
        self.dataset, self.model, self.data, self.workers = dataset, config.model, config.data, workers
        self.resize, self.min_scale = str(config.data.resize), config.augment.resized_crop
        _refuse_decode_resolution(dataset, config)
        self.spec = config.data.spec
        self.subsets = draw(dataset, config.data, seed(config)) if subsets is None else subsets

    def samples(self, name: str, side: int = 0) -> Samples:
        """Returns the images of a split, "train", "val" or "test", with their annotations; no image is read yet.

        side: of the decoded images in pixels; 0: model.resolution.
        """
        subset = self.subsets[name]
        image_set = self.dataset.image_sets[subset.image_set]
        side, channels = side or int(self.model.resolution), int(self.model.channels)
        annotations, indices, numbers = image_set.annotations, subset.indices, None
        if self.data.decode_resolution and self.min_scale < 1:
            if name == "train":
                larger = decoding.decode_larger(image_set, self.data.decode_resolution, channels, self.workers)
                cropped = CroppedImages(larger, side, self.min_scale, self.resize)
                return Samples.of(cropped, annotations).take(indices)
            if subset.image_set == self.subsets["train"].image_set:  # a small part of it, of which no other is needed
                numbers = np.unique(indices)
                annotations, indices = annotations[numbers], np.searchsorted(numbers, indices)
        images, transforms = decoding.decode(image_set, side, channels, self.resize, numbers, self.workers)
        return Samples(images, annotations, transforms).take(indices)

    def framed(self, name: str, form: str) -> np.ndarray:
        """Returns the images of a split as a library makes them of frames of this format, (N, R, R, C) uint8.

        Raises UserError if the network cannot take such frames (`frames.check`).
        """
        side, channels = int(self.model.resolution), int(self.model.channels)
        frames.check(form, channels)
        subset = self.subsets[name]
        numbers, places = np.unique(subset.indices, return_inverse=True)
        prepared = self.dataset.image_sets[subset.image_set].images(
            lambda image: frames.prepare(image, side, channels, self.resize, form), numbers
        )
        return np.array(list(prepared), np.uint8).reshape(len(numbers), side, side, channels)[places]

    def annotations(self, name: str) -> np.ndarray:
        """Returns the annotations (N, …) of a split."""
        subset = self.subsets[name]
        return self.dataset.image_sets[subset.image_set].annotations[subset.indices]

    def arrays(self, name: str) -> tuple[Images, np.ndarray]:
        """Returns the images (N, R, R, C) uint8 and the annotations (N, …) of a split; no image is read yet."""
        samples = self.samples(name)
        return samples.images, samples.annotations


def _refuse_decode_resolution(dataset: Dataset, config: Config) -> None:
    """Raises UserError if training images cannot be kept at data.decode_resolution."""
    side, resolution = config.data.decode_resolution, int(config.model.resolution)
    if side and dataset.task in boxes.TASKS:
        raise UserError(
            f"data.decode_resolution = {side}, but '{config.data.spec}' has boxes: set detect.canvas, the size that "
            "training crops are cut from, instead"
        )
    if 0 < side < resolution:
        raise UserError(
            f"data.decode_resolution = {side} is less than model.resolution = {resolution}: expected as much or more, "
            "or 0"
        )


def seed(config: Config) -> int:
    """Returns what the split of `config` is drawn from: data.seed, or seed where that is "auto"."""
    return config.seed if config.data.seed == "auto" else int(config.data.seed)


def draw(dataset: Dataset, data: Data, seed: int) -> dict[str, Subset]:
    """Returns {"train", "val", "test"} of `dataset`; the same seed gives the same split.

    Copies of an image, in what is held out here, are on the same side; official splits are left as they are. Every
    class is on each side, unless the rule is "shuffled".

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
    strict, plain = image_sets[base].annotations.ndim < 3, dataset.split == "shuffled"
    reserved = set() if strict or plain or not holdouts else _reserved(dataset, base, units, 1 + len(holdouts), seed)
    left, subsets = everything, {name: Subset(name, np.arange(len(one.names))) for name, one in image_sets.items()}
    for number, (name, share) in enumerate(holdouts.items()):
        if plain:
            left, held = shuffled.hold_out(left, units, share, seed, name)
            subsets[name] = Subset(base, np.sort(held))
            continue
        try:
            left, held = hold_out(left, strata, units, share, seed, name, len(holdouts) - number, strict, reserved)
        except copies.OnlyCopies as error:
            raise _only_copies(dataset.classes[error.label], 1 + len(holdouts)) from None
        subsets[name] = Subset(base, np.sort(held))
    if 0 < data.train_images < len(left) and plain:
        _, left = shuffled.hold_out(left, everything, data.train_images, seed, "train")
    elif 0 < data.train_images < len(left):
        _, left = hold_out(left, strata, everything, data.train_images, seed, "train", strict=strict)
    _refuse_lost_classes(dataset, image_sets[base].annotations[left], plain)
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
            "use data.split=official, trainval or random"
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


def _refuse_lost_classes(dataset: Dataset, annotations: np.ndarray, plain: bool) -> None:
    """Raises UserError if no image, or box, of a class is in the images to train on, where the draw allows that."""
    drawn_so = annotations.ndim == 3 or plain
    counts = class_counts(annotations, len(dataset.classes)) if drawn_so else np.ones(1)
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
