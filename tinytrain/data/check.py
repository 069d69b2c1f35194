"""What is wrong with the data, in one list: `findings`. It reads every image once and remembers what it saw.

Images are the same if their decoded RGB pixels are, whatever their files are called or how they are compressed without
loss. What forbids training (unreadable files, a class without an image in some split) is refused by the data source and
by `splits`; what is found here is told and trained on.
"""

import contextlib
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from tqdm import tqdm

from tinytrain.config.schema import Config
from tinytrain.data import batches, eight_bit, image_files
from tinytrain.data.source import Dataset, Finding, ImageInfo, ImageSet
from tinytrain.errors import UserError
from tinytrain.files import write_text

if TYPE_CHECKING:
    from tinytrain.data.splits import Subset  # which asks this module what images are copies of each other

CACHE_VERSION = 2
FEW = 10  # training images of a class below which it is called tiny
UNEVEN = 5  # times as many images in the largest class as in the smallest
SHOWN = 5


def findings(source: Dataset, subsets: "dict[str, Subset]", asked: Config | None = None) -> list[Finding]:
    """Returns all that is wrong with the images of each split, severe first.

    `asked` is the config as the user gave it: what one of its keys answers is not asked again.
    """
    asked = asked or Config()
    known = {name: infos(source.image_sets[name]) for name in {part.image_set for part in subsets.values()}}
    found = [
        *source.findings,
        *_unused(source, asked),
        *_duplicates(source, subsets, known),
        *_classes(source, subsets, asked),
        *_shapes(source, known, asked),
    ]
    return sorted(found, key=lambda finding: not finding.severe)


def without_asking(source: Dataset, asked: Config) -> list[Finding]:
    """Returns what is told even where data.check is false: what was left out, and what was chosen for the user."""
    known = {name: pool.infos for name, pool in source.image_sets.items() if pool.infos is not None}
    return [*source.findings, *_unused(source, asked), *_shapes(source, known, asked)]


def _unused(source: Dataset, asked: Config) -> list[Finding]:
    """Returns the numbers of images to hold out for a split that the data brings itself."""
    counts = {name: getattr(asked.data, f"{name}_images") for name in ("val", "test") if name in source.image_sets}
    return [
        Finding(
            "unused key",
            f"data.{name}_images = {count} is not used, as the data has a {name} split of its own",
            "data.split=random splits all images anew",
        )
        for name, count in counts.items()
        if count
    ]


def infos(pool: ImageSet) -> list[ImageInfo]:
    """Returns what each image of `pool` is, in order; decoded the first time, unless its source already knows."""
    if pool.infos is not None:
        return pool.infos
    name = hashlib.sha256(json.dumps([CACHE_VERSION, pool.key, len(pool.names)]).encode()).hexdigest()[:32]
    store = batches.cache_folder() / f"facts-{name}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):  # not there, or damaged
        known = [ImageInfo.of_row(row) for row in json.loads(store.read_text())]
        if len(known) == len(pool.names):
            return known
    decoded = pool.images(cast(Any, image_files.info))
    counted = tqdm(decoded, "checking", total=len(pool.names), unit="image", leave=False, delay=1, disable=None)
    found = cast(list[ImageInfo], list(counted))
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        write_text(store, json.dumps([info.row() for info in found]))
    except (OSError, UserError):
        pass  # a read-only or full disk: check again the next time
    return found


def statistics(source: Dataset, part: "Subset") -> tuple[list[float], list[float]]:
    """Returns the mean and the standard deviation of all pixels of a split, per channel (R, G, B or gray), in 0..1.

    Both are empty for a split without images.
    """
    known = infos(source.image_sets[part.image_set])
    chosen = [known[index] for index in part.indices]
    if not chosen:
        return [], []
    pixels = np.array([info.size[0] * info.size[1] for info in chosen], float)
    mean = np.average([info.mean for info in chosen], axis=0, weights=pixels)
    square = np.average([info.square for info in chosen], axis=0, weights=pixels)
    channels = 1 if source.channels == 1 else 3
    return mean[:channels].tolist(), np.sqrt(np.maximum(square - mean**2, 0))[:channels].tolist()


def as_lines(found: Sequence[Finding], shown: int = SHOWN) -> list[str]:
    """Returns the findings as text, with at most `shown` files of each."""
    lines = []
    for finding in found:
        lines.append(f"{'error' if finding.severe else 'warning'}: {finding.what}; {finding.hint}")
        lines += [f"  {file}" for file in finding.files[:shown]]
        if len(finding.files) > shown:
            lines.append(f"  … and {len(finding.files) - shown:,} more")
    return lines


def _duplicates(source: Dataset, subsets: "dict[str, Subset]", known: dict[str, list[ImageInfo]]) -> list[Finding]:
    """Returns images that are there more than once: under several classes, in several splits, within one split."""
    same: dict[str, list[tuple[str, str, int]]] = defaultdict(list)  # content -> (split, name, class)
    for split, part in subsets.items():
        pool = source.image_sets[part.image_set]
        for index in part.indices:
            same[known[part.image_set][index].digest].append((split, pool.names[index], int(pool.strata[index])))
    groups: dict[str, list[str]] = {"conflict": [], "leak": [], "duplicate": []}
    for members in same.values():
        if len(members) > 1:
            kinds = {
                "conflict": len({label for _, _, label in members}) > 1,
                "leak": len({split for split, _, _ in members}) > 1,
                "duplicate": True,
            }
            kind = next(kind for kind, holds in kinds.items() if holds)
            groups[kind].append(" = ".join(f"{name} ({split})" for split, name, _ in members))
    sentences = {
        "conflict": ("in more than one class", "keep each in the right class"),
        "leak": ("in more than one split, so that val or test figures are too good", "keep each in one split"),
        "duplicate": ("more than once in the same split", "keep one of each"),
    }
    return [
        Finding(kind, f"{_count(len(groups[kind]), 'image')} {what}", hint, tuple(sorted(groups[kind])))
        for kind, (what, hint) in sentences.items()
        if groups[kind]
    ]


def _classes(source: Dataset, subsets: "dict[str, Subset]", asked: Config) -> list[Finding]:
    """Returns classes that are missing in a split, tiny in train, or much smaller than others."""
    counts = class_counts(source, subsets)
    found = []
    missing = [f"{name} ({split})" for split, row in counts.items() for name, count in row.items() if count == 0]
    if missing:
        what = f"{_count(len(missing), 'class', 'classes')} without an image in a split"
        found.append(Finding("missing class", what, "add images of it", tuple(missing), severe=True))
    trained = counts.get("train", counts.get("all", {}))
    tiny = [f"{name}: {count}" for name, count in trained.items() if 0 < count < FEW]
    if tiny:
        what = f"{_count(len(tiny), 'class', 'classes')} with fewer than {FEW} training images"
        found.append(Finding("tiny class", what, "add images, or join or leave out such classes", tuple(tiny)))
    most, least = (pick(trained.items(), key=lambda item: item[1]) for pick in (max, min))
    if least[1] and most[1] >= UNEVEN * least[1] and asked.data.balance == "none":
        what = f"the classes are uneven: {most[1]:,} training images of {most[0]}, {least[1]:,} of {least[0]}"
        found.append(
            Finding(
                "uneven classes",
                what,
                "data.balance=class_weights or balanced_sampling makes up for it; read macro_f1 beside top1",
            )
        )
    return found


def class_counts(source: Dataset, subsets: "dict[str, Subset]") -> dict[str, dict[str, int]]:
    """Returns {split: {class: images}}."""
    bins = {
        split: np.bincount(source.image_sets[part.image_set].strata[part.indices], minlength=len(source.classes))
        for split, part in subsets.items()
    }
    return {split: dict(zip(source.classes, row.tolist(), strict=True)) for split, row in bins.items()}


def _shapes(source: Dataset, known: dict[str, list[ImageInfo]], asked: Config) -> list[Finding]:
    """Returns what is told about images of several sizes or modes, and about transparent ones."""
    pairs = [
        (name, info)
        for key, rows in known.items()
        for name, info in zip(source.image_sets[key].names, rows, strict=True)
    ]
    found = []
    if asked.data.resize == "auto":
        others = " or ".join(how for how in ("pad", "stretch", "crop") if how != source.resize)
        hint = f"data.resize={source.resize} brings them to one size, unless you say {others}"
        found += _mixed("sizes", [(name, "{}x{}".format(*info.size)) for name, info in pairs], hint)
    if asked.model.channels == "auto" and len({info.mode in eight_bit.GRAY for _, info in pairs}) > 1:
        hint = "model.channels=3 is taken, since some are color, unless you say 1 (gray)"
        found += _mixed("modes", [(name, info.mode) for name, info in pairs], hint)
    transparent = tuple(name for name, info in pairs if info.transparent)
    if transparent:
        what = f"{_count(len(transparent), 'image')} with transparent parts, which are put on white"
        found.append(Finding("transparent", what, "save them without transparency for another background", transparent))
    return found


def _mixed(kind: str, pairs: list[tuple[str, str]], hint: str) -> list[Finding]:
    """Returns the finding that (image, size or mode) differ, if they do.

    The files named are those that differ from most; none where no size or mode is that of most images.
    """
    words = Counter(word for _, word in pairs)
    if len(words) < 2:
        return []
    usual, times = words.most_common(1)[0]
    rare = sorted((words[word], f"{name}: {word}") for name, word in pairs if word != usual)
    rare = rare if 2 * times > len(pairs) else []
    listed = ", ".join(f"{name} ({count:,})" for name, count in words.most_common(3))
    what = f"the images have {len(words)} {kind}, most often {listed}"
    return [Finding(kind, what, hint, tuple(line for _, line in rare))]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
