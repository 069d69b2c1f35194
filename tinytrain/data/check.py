"""Checks a dataset and lists what is wrong with it (`findings`): duplicates, leaks, tiny or uneven classes, and more.

Each image is decoded once, and the results are cached. Two images are the same if their decoded RGB pixels are,
whatever their file names or lossless formats.

What forbids training (unreadable files, a class without images in a split) is refused when the data is loaded and
split. The findings here are printed, and training goes on.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tinytrain import files, progress
from tinytrain.config.schema import Config
from tinytrain.data import box_check, boxes, duplicates, facts, reading, source
from tinytrain.data.decode import GRAY_MODES
from tinytrain.data.facts import Facts
from tinytrain.data.source import Dataset, Finding, ImageSet, counted

if TYPE_CHECKING:
    from tinytrain.data.splits import Subset  # splits imports this module

CACHE_VERSION = 4
TINY_CLASS = 10  # a class with fewer training images is tiny
UNEVEN_RATIO = 5  # classes are uneven if the largest has so many times the images of the smallest
LEAST_VAL = 100  # val images, or boxes, that a split needs to tell epochs apart (`_small_val`)
SHOWN_FILES = 5


def findings(
    dataset: Dataset, subsets: "dict[str, Subset]", config: Config | None = None, resolved: Config | None = None
) -> list[Finding]:
    """Returns everything that is wrong with the images of the splits, severe findings first.

    Args:
        dataset: the dataset.
        subsets: which of its images are in which split.
        config: the config as the user wrote it, before "auto" is resolved; a key that the user set silences the
            finding that would recommend it.
        resolved: the same without "auto"; boxes are looked at in pixels of its input.
    """
    config = config or Config()
    image_infos = {name: infos(dataset.image_sets[name]) for name in {part.image_set for part in subsets.values()}}
    unsorted = [
        *dataset.findings,
        *_unused_keys(dataset, config),
        *_similar_names(dataset.classes),
        *_small_val(dataset, subsets),
        *duplicates.findings(dataset, subsets, image_infos),
        *(
            box_check.findings(dataset, subsets, resolved or config, image_infos)
            if dataset.task == "detect"
            else _class_findings(dataset, subsets, config)
        ),
        *_size_and_mode_findings(dataset, image_infos, config),
    ]
    return sorted(unsorted, key=lambda finding: not finding.severe)


def common_size(dataset: Dataset, subsets: "dict[str, Subset]") -> tuple[int, int] | None:
    """Returns the (width, height) in pixels of all images of the splits, None if they differ."""
    sets = {part.image_set for part in subsets.values()}
    sizes = np.unique(np.concatenate([infos(dataset.image_sets[name]).rows["size"] for name in sets]), axis=0)
    return (int(sizes[0][0]), int(sizes[0][1])) if len(sizes) == 1 else None


def _similar_names(classes: Sequence[str]) -> list[Finding]:
    """Returns the finding of classes whose names differ in nothing but small and capital letters."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        by_name[name.casefold()].append(name)
    lines = tuple(" = ".join(same) for same in by_name.values() if len(same) > 1)
    count = sum(len(same) for same in by_name.values() if len(same) > 1)
    what = f"{count} classes whose names differ only in capital letters"
    return [Finding("similar names", what, "give them one name, unless they are different things", lines)] * bool(lines)


def _small_val(dataset: Dataset, subsets: "dict[str, Subset]") -> list[Finding]:
    """Returns the finding that the val split is too small to choose a training, an epoch or a threshold by.

    A share of N objects has a standard error of at most 0.5 / √N: with LEAST_VAL of them 5 points, so that 19 of 20
    times the true figure lies within 10 points of the measured one. Below that, what differs by less is chosen by
    chance. What is counted are images of a classifier, and boxes of a detector.
    """
    if "val" not in subsets:
        return []
    annotations = dataset.image_sets[subsets["val"].image_set].annotations[subsets["val"].indices]
    with_boxes, images = dataset.task == "detect", counted(len(annotations), "image")
    number = int(boxes.learnt(annotations).sum()) if with_boxes else len(annotations)
    if number >= LEAST_VAL:
        return []
    held = f"{images} with {counted(number, 'box', 'boxes')}" if with_boxes else images
    unable = "to choose an epoch and a threshold by" if with_boxes else "to tell one training from another by"
    points = 100 / max(number, 1) ** 0.5  # two standard errors
    what = f"the val split has {held}: its figures are uncertain by {points:.0f} points, too much {unable}"
    hint = "a larger data.val_fraction holds out more"
    if "val" in dataset.image_sets:
        hint = "add images to it, or draw a larger one with data.split=random and data.val_fraction"
    return [Finding("small val", what, hint)]


def unconditional_findings(dataset: Dataset, config: Config) -> list[Finding]:
    """Returns the findings that are reported even with data.check=false: what was left out or chosen for the user.

    Args:
        dataset: the dataset.
        config: the config as the user wrote it.
    """
    image_infos = {
        name: Facts.of(image_set.infos) for name, image_set in dataset.image_sets.items() if image_set.infos is not None
    }
    return [*dataset.findings, *_unused_keys(dataset, config), *_size_and_mode_findings(dataset, image_infos, config)]


def _unused_keys(dataset: Dataset, config: Config) -> list[Finding]:
    """Returns a finding for each data.val_images or data.test_images of a split that the data brings itself."""
    counts = {name: getattr(config.data, f"{name}_images") for name in ("val", "test") if name in dataset.image_sets}
    return [
        Finding(
            "unused key",
            f"data.{name}_images = {count} is not used, because the data has its own {name} split",
            "data.split=random splits all images again",
        )
        for name, count in counts.items()
        if count
    ]


def infos(image_set: ImageSet) -> Facts:
    """Returns what is known about each image of `image_set`, in order.

    It comes from the dataset or from the cache, or else from decoding every image.
    """
    if image_set.infos is not None:
        return Facts.of(image_set.infos)
    count = len(image_set.names)
    name = hashlib.sha256(json.dumps([CACHE_VERSION, image_set.key, count]).encode()).hexdigest()[:32]
    cache_file = files.cache_folder() / f"facts-{name}.npy"
    rows = facts.read(cache_file, facts.ROW)
    if rows is None or len(rows) != count or not facts.are_whole(rows):
        decoded = image_set.images(reading.info)
        rows = Facts.of(progress.counted(decoded, "checking", count, "image")).rows
        facts.write(cache_file, rows)
    return Facts(rows)


def statistics(dataset: Dataset, part: "Subset") -> tuple[list[float], list[float]]:
    """Returns the mean and the standard deviation of all pixels of a split, for each channel, in 0..1.

    The channels are R, G, B or gray. Both lists are empty for a split without images.
    """
    rows = infos(dataset.image_sets[part.image_set]).take(part.indices).rows
    if not len(rows):
        return [], []
    pixels = rows["size"].prod(axis=1, dtype=float)
    mean = np.average(rows["mean"].astype(float), axis=0, weights=pixels)
    mean_square = np.average(rows["square"].astype(float), axis=0, weights=pixels)
    channels = 1 if dataset.channels == 1 else 3
    return mean[:channels].tolist(), np.sqrt(np.maximum(mean_square - mean**2, 0))[:channels].tolist()


def as_lines(reported: Sequence[Finding], shown: int = SHOWN_FILES) -> list[str]:
    """Returns the findings as lines of text, with at most `shown` files of each."""
    lines = []
    for finding in reported:
        lines.append(f"{'error' if finding.severe else 'warning'}: {finding.what}; {finding.hint}")
        lines += [f"  {file}" for file in finding.files[:shown]]
        if len(finding.files) > shown:
            lines.append(f"  … and {len(finding.files) - shown:,} more")
    return lines


def _class_findings(dataset: Dataset, subsets: "dict[str, Subset]", config: Config) -> list[Finding]:
    """Returns the classes that are missing in a split, tiny in train, or much smaller than others."""
    counts = class_counts(dataset, subsets)
    problems = []
    missing = [f"{name} ({split})" for split, row in counts.items() for name, count in row.items() if count == 0]
    if missing:
        what = f"{counted(len(missing), 'class', 'classes')} without an image in a split"
        problems.append(Finding("missing class", what, "add such images", tuple(missing), severe=True))
    train_counts = counts.get("train", counts.get("all", {}))
    tiny = [f"{name}: {count}" for name, count in train_counts.items() if 0 < count < TINY_CLASS]
    if tiny:
        what = f"{counted(len(tiny), 'class', 'classes')} with fewer than {TINY_CLASS} training images"
        problems.append(
            Finding("tiny class", what, "add images, or merge these classes, or leave them out", tuple(tiny))
        )
    largest, smallest = (pick(train_counts.items(), key=lambda item: item[1]) for pick in (max, min))
    if smallest[1] and largest[1] >= UNEVEN_RATIO * smallest[1] and config.data.balance == "none":
        what = (
            f"the classes are uneven: {largest[1]:,} training images of {largest[0]}, {smallest[1]:,} of {smallest[0]}"
        )
        problems.append(
            Finding(
                "uneven classes",
                what,
                "data.balance=class_weights or balanced_sampling makes up for it; macro_f1 counts every class equally",
            )
        )
    return problems


def class_counts(dataset: Dataset, subsets: "dict[str, Subset]") -> dict[str, dict[str, int]]:
    """Returns {split: {class name: number of images}}; of boxes, how many images hold one of it or more."""
    result = {}
    for split, part in subsets.items():
        row = source.class_counts(dataset.image_sets[part.image_set].annotations[part.indices], len(dataset.classes))
        result[split] = dict(zip(dataset.classes, row.tolist(), strict=True))
    return result


def _size_and_mode_findings(dataset: Dataset, image_infos: dict[str, Facts], config: Config) -> list[Finding]:
    """Returns the findings about images of several sizes or modes, and about transparent ones."""
    problems = []
    if config.data.resize == "auto" and not config.data.decode_resolution:
        others = " or ".join(resize for resize in ("pad", "stretch", "crop") if resize != dataset.resize)
        hint = f"data.resize={dataset.resize} brings them to one size, unless you set {others}"
        problems += _differing("sizes", dataset, {name: one.packed("size") for name, one in image_infos.items()}, hint)
    modes = {mode for one in image_infos.values() for mode in one.modes}
    if config.model.channels == "auto" and len({mode in GRAY_MODES for mode in modes}) > 1:
        hint = "model.channels=3 is used because some are color, unless you set 1 (gray)"
        problems += _differing("modes", dataset, {name: one.packed("mode") for name, one in image_infos.items()}, hint)
    transparent = tuple(
        dataset.image_sets[name].names[index]
        for name, one in image_infos.items()
        for index in np.flatnonzero(one.rows["transparent"]).tolist()
    )
    if transparent:
        what = f"{counted(len(transparent), 'image')} with transparent parts, which are put on white"
        hint = "save them without transparency for another background"
        problems.append(Finding("transparent", what, hint, transparent))
    return problems


def _differing(kind: str, dataset: Dataset, packed: dict[str, np.ndarray], hint: str) -> list[Finding]:
    """Returns the finding that images differ in size or mode, if they do.

    It names the images that differ from the majority, or none if no value has a majority.

    Args:
        kind: "sizes" or "modes".
        dataset: the dataset.
        packed: the value of each image of each set (`Facts.packed`).
        hint: the advice.
    """
    everything = np.concatenate([np.empty(0, np.uint64), *packed.values()])
    values, first, counts = np.unique(everything, return_index=True, return_counts=True)
    if len(values) < 2:
        return []
    order = np.lexsort((first, -counts))  # of equal counts the first one
    texts = dict(zip(values.tolist(), Facts.unpacked(values, "size" if kind == "sizes" else "mode"), strict=True))
    count_of = dict(zip(values.tolist(), counts.tolist(), strict=True))
    most_common = values[order[0]]
    minority = [
        (count_of[int(own[index])], f"{dataset.image_sets[name].names[index]}: {texts[int(own[index])]}")
        for name, own in packed.items()
        if 2 * counts[order[0]] > len(everything)
        for index in np.flatnonzero(own != most_common).tolist()
    ]
    listed = ", ".join(f"{texts[value]} ({count_of[value]:,})" for value in values[order[:3]].tolist())
    what = f"the images have {len(values)} {kind}, most often {listed}"
    return [Finding(kind, what, hint, tuple(line for _, line in sorted(minority)))]
