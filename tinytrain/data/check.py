"""Checks a dataset and lists what is wrong with it (`findings`): duplicates, leaks, tiny or uneven classes, and more.

Each image is decoded once, and the results are cached. Two images are the same if their decoded RGB pixels are,
whatever their file names or lossless formats.

What forbids training (unreadable files, a class without images in a split) is refused when the data is loaded and
split. The findings here are printed, and training goes on.
"""

import contextlib
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tinytrain import files, progress
from tinytrain.config.schema import Config
from tinytrain.data import box_check, boxes, duplicates, image_files, source
from tinytrain.data.decode import GRAY_MODES
from tinytrain.data.source import Dataset, Finding, ImageInfo, ImageSet, counted
from tinytrain.errors import UserError
from tinytrain.files import write_text

if TYPE_CHECKING:
    from tinytrain.data.splits import Subset  # splits imports this module

CACHE_VERSION = 3
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
    """Returns the finding that the val split is too small to choose an epoch or a threshold by.

    A share of N objects has a standard error of at most 0.5 / √N: with LEAST_VAL of them 5 points, so that 19 of 20
    times the true figure lies within 10 points of the measured one. Below that, epochs that differ by less are chosen
    by chance. What is counted are images of a classifier, and boxes of a detector.
    """
    if "val" not in subsets:
        return []
    annotations = dataset.image_sets[subsets["val"].image_set].annotations[subsets["val"].indices]
    with_boxes, images = dataset.task == "detect", counted(len(annotations), "image")
    number = int(boxes.learnt(annotations).sum()) if with_boxes else len(annotations)
    if number >= LEAST_VAL:
        return []
    held = f"{images} with {counted(number, 'box', 'boxes')}" if with_boxes else images
    chosen = "epoch and threshold are" if with_boxes else "the epoch to keep is"
    points = 100 / max(number, 1) ** 0.5  # two standard errors
    what = f"the val split has {held}: its figures, which {chosen} chosen by, are uncertain by {points:.0f} points"
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
        name: image_set.infos for name, image_set in dataset.image_sets.items() if image_set.infos is not None
    }
    return [*dataset.findings, *_unused_keys(dataset, config), *_size_and_mode_findings(dataset, image_infos, config)]


def _unused_keys(dataset: Dataset, config: Config) -> list[Finding]:
    """Returns a finding for each data.val_images or data.test_images of a split that the data brings itself."""
    counts = {name: getattr(config.data, f"{name}_images") for name in ("val", "test") if name in dataset.image_sets}
    return [
        Finding(
            "unused key",
            f"data.{name}_images = {count} is not used, as the data has a {name} split of its own",
            "data.split=random splits all images again",
        )
        for name, count in counts.items()
        if count
    ]


def infos(image_set: ImageSet) -> list[ImageInfo]:
    """Returns what is known about each image of `image_set`, in order.

    It comes from the dataset or from the cache, or else from decoding every image.
    """
    if image_set.infos is not None:
        return image_set.infos
    name = hashlib.sha256(json.dumps([CACHE_VERSION, image_set.key, len(image_set.names)]).encode()).hexdigest()[:32]
    cache_file = files.cache_folder() / f"facts-{name}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):  # missing or damaged
        cached = [ImageInfo.of_row(row) for row in json.loads(cache_file.read_text())]
        if len(cached) == len(image_set.names):
            return cached
    decoded = image_set.images(cast(Any, image_files.info))
    counted = progress.counted(decoded, "checking", len(image_set.names), "image")
    computed = cast(list[ImageInfo], list(counted))
    try:
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        write_text(cache_file, json.dumps([info.row() for info in computed]))
    except (OSError, UserError):
        pass  # the disk is read-only or full: they are computed again the next time
    return computed


def statistics(dataset: Dataset, part: "Subset") -> tuple[list[float], list[float]]:
    """Returns the mean and the standard deviation of all pixels of a split, for each channel, in 0..1.

    The channels are R, G, B or gray. Both lists are empty for a split without images.
    """
    all_infos = infos(dataset.image_sets[part.image_set])
    split_infos = [all_infos[index] for index in part.indices]
    if not split_infos:
        return [], []
    pixels = np.array([info.size[0] * info.size[1] for info in split_infos], float)
    mean = np.average([info.mean for info in split_infos], axis=0, weights=pixels)
    mean_square = np.average([info.square for info in split_infos], axis=0, weights=pixels)
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
        problems.append(Finding("tiny class", what, "add images, or join or leave out such classes", tuple(tiny)))
    largest, smallest = (pick(train_counts.items(), key=lambda item: item[1]) for pick in (max, min))
    if smallest[1] and largest[1] >= UNEVEN_RATIO * smallest[1] and config.data.balance == "none":
        what = (
            f"the classes are uneven: {largest[1]:,} training images of {largest[0]}, {smallest[1]:,} of {smallest[0]}"
        )
        problems.append(
            Finding(
                "uneven classes",
                what,
                "data.balance=class_weights or balanced_sampling makes up for it; macro_f1 counts every class alike",
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


def _size_and_mode_findings(dataset: Dataset, image_infos: dict[str, list[ImageInfo]], config: Config) -> list[Finding]:
    """Returns the findings about images of several sizes or modes, and about transparent ones."""
    pairs = [
        (name, info)
        for key, rows in image_infos.items()
        for name, info in zip(dataset.image_sets[key].names, rows, strict=True)
    ]
    problems = []
    if config.data.resize == "auto":
        others = " or ".join(resize for resize in ("pad", "stretch", "crop") if resize != dataset.resize)
        hint = f"data.resize={dataset.resize} brings them to one size, unless you say {others}"
        problems += _differing("sizes", [(name, "{}x{}".format(*info.size)) for name, info in pairs], hint)
    if config.model.channels == "auto" and len({info.mode in GRAY_MODES for _, info in pairs}) > 1:
        hint = "model.channels=3 is taken, since some are color, unless you say 1 (gray)"
        problems += _differing("modes", [(name, info.mode) for name, info in pairs], hint)
    transparent = tuple(name for name, info in pairs if info.transparent)
    if transparent:
        what = f"{counted(len(transparent), 'image')} with transparent parts, which are put on white"
        hint = "save them without transparency for another background"
        problems.append(Finding("transparent", what, hint, transparent))
    return problems


def _differing(kind: str, pairs: list[tuple[str, str]], hint: str) -> list[Finding]:
    """Returns the finding that images differ in size or mode, if they do.

    It names the images that differ from the majority, or none if no value has a majority.

    Args:
        kind: "sizes" or "modes".
        pairs: (image name, its size or mode).
        hint: the advice.
    """
    counts = Counter(value for _, value in pairs)
    if len(counts) < 2:
        return []
    most_common, most = counts.most_common(1)[0]
    minority = sorted((counts[value], f"{name}: {value}") for name, value in pairs if value != most_common)
    minority = minority if 2 * most > len(pairs) else []
    listed = ", ".join(f"{value} ({count:,})" for value, count in counts.most_common(3))
    what = f"the images have {len(counts)} {kind}, most often {listed}"
    return [Finding(kind, what, hint, tuple(line for _, line in minority))]
