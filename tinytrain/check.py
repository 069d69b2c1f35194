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
from typing import Any, cast

import numpy as np
from tqdm import tqdm

from tinytrain import image_files, pipeline
from tinytrain.datasets import Fact, Finding, Pool, Source
from tinytrain.errors import UserError
from tinytrain.run import write_text
from tinytrain.splits import Subset

CACHE_VERSION = 1
FEW = 10  # training images of a class below which it is called tiny
UNEVEN = 5  # times as many images in the largest class as in the smallest
SHOWN = 5


def findings(source: Source, subsets: dict[str, Subset]) -> list[Finding]:
    """Returns all that is wrong with the images of each split, severe first."""
    known = {name: facts(source.pools[name]) for name in {part.pool for part in subsets.values()}}
    found = [
        *source.findings,
        *_duplicates(source, subsets, known),
        *_classes(source, subsets),
        *_shapes(source, known),
    ]
    return sorted(found, key=lambda finding: not finding.severe)


def facts(pool: Pool) -> list[Fact]:
    """Returns what each image of `pool` is, in order; decoded the first time, unless its source already knows."""
    if pool.facts is not None:
        return pool.facts
    name = hashlib.sha256(json.dumps([CACHE_VERSION, pool.key, len(pool.names)]).encode()).hexdigest()[:32]
    store = pipeline.cache_folder() / f"facts-{name}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):  # not there, or damaged
        known = [Fact.of_row(row) for row in json.loads(store.read_text())]
        if len(known) == len(pool.names):
            return known
    decoded = pool.images(cast(Any, image_files.fact))
    counted = tqdm(decoded, "checking", total=len(pool.names), unit="image", leave=False, delay=1, disable=None)
    found = cast(list[Fact], list(counted))
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        write_text(store, json.dumps([fact.row() for fact in found]))
    except (OSError, UserError):
        pass  # a read-only or full disk: check again the next time
    return found


def statistics(source: Source, part: Subset) -> tuple[list[float], list[float]]:
    """Returns the mean and the standard deviation of all pixels of a split, per channel (R, G, B or gray), in 0..1.

    Both are empty for a split without images.
    """
    known = facts(source.pools[part.pool])
    chosen = [known[index] for index in part.indices]
    if not chosen:
        return [], []
    pixels = np.array([fact.size[0] * fact.size[1] for fact in chosen], float)
    mean = np.average([fact.mean for fact in chosen], axis=0, weights=pixels)
    square = np.average([fact.square for fact in chosen], axis=0, weights=pixels)
    channels = 1 if source.channels == 1 else 3
    return mean[:channels].tolist(), np.sqrt(np.maximum(square - mean**2, 0))[:channels].tolist()


def as_lines(found: Sequence[Finding], shown: int = SHOWN) -> list[str]:
    """Returns the findings as text, with at most `shown` files of each."""
    lines = []
    for finding in found:
        lines.append(f"{'error' if finding.severe else 'warning'}: {finding.what}; {finding.todo}")
        lines += [f"  {file}" for file in finding.files[:shown]]
        if len(finding.files) > shown:
            lines.append(f"  … and {len(finding.files) - shown:,} more")
    return lines


def _duplicates(source: Source, subsets: dict[str, Subset], known: dict[str, list[Fact]]) -> list[Finding]:
    """Returns images that are there more than once: under several classes, in several splits, within one split."""
    same: dict[str, list[tuple[str, str, int]]] = defaultdict(list)  # content -> (split, name, class)
    for split, part in subsets.items():
        pool = source.pools[part.pool]
        for index in part.indices:
            same[known[part.pool][index].digest].append((split, pool.names[index], int(pool.labels[index])))
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
        Finding(kind, f"{_count(len(groups[kind]), 'image')} {what}", todo, tuple(sorted(groups[kind])))
        for kind, (what, todo) in sentences.items()
        if groups[kind]
    ]


def _classes(source: Source, subsets: dict[str, Subset]) -> list[Finding]:
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
    if least[1] and most[1] >= UNEVEN * least[1]:
        what = f"the classes are uneven: {most[1]:,} training images of {most[0]}, {least[1]:,} of {least[0]}"
        found.append(
            Finding(
                "uneven classes",
                what,
                "data.balance=class_weights or balanced_sampling makes up for it; read macro_f1 beside top1",
            )
        )
    return found


def class_counts(source: Source, subsets: dict[str, Subset]) -> dict[str, dict[str, int]]:
    """Returns {split: {class: images}}."""
    bins = {
        split: np.bincount(source.pools[part.pool].labels[part.indices], minlength=len(source.classes))
        for split, part in subsets.items()
    }
    return {split: dict(zip(source.classes, row.tolist(), strict=True)) for split, row in bins.items()}


def _shapes(source: Source, known: dict[str, list[Fact]]) -> list[Finding]:
    """Returns what is told about images of several sizes or modes.

    The files named are those that differ from most; none where no size or mode is that of most images.
    """
    found = []
    pairs = [
        (name, fact) for key, rows in known.items() for name, fact in zip(source.pools[key].names, rows, strict=True)
    ]
    for kind, todo, word in (
        (
            "sizes",
            "data.resize=crop, stretch or pad says how they are made one",
            lambda fact: "{}x{}".format(*fact.size),
        ),
        ("modes", "model.channels=1 or 3 says what the model sees", lambda fact: fact.mode),
    ):
        words = Counter(word(fact) for _, fact in pairs)
        if len(words) > 1:
            usual, times = words.most_common(1)[0]
            rare = sorted((words[word(fact)], f"{name}: {word(fact)}") for name, fact in pairs if word(fact) != usual)
            rare = rare if 2 * times > len(pairs) else []
            listed = ", ".join(f"{name} ({count:,})" for name, count in words.most_common(3))
            what = f"the images have {len(words)} {kind}, most often {listed}"
            found.append(Finding(kind, what, todo, tuple(line for _, line in rare)))
    return found


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
