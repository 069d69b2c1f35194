"""Finds the images that a run recorded, by their names, among those that its data has now."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tinytrain.data.names import Names
from tinytrain.data.source import Dataset
from tinytrain.data.splits import Subset

SHOWN_NAMES = 3  # examples in a sentence
ODD = np.uint64(0x9E3779B97F4A7C15)  # spreads small numbers over 64 bits


def find(image_names: dict[str, Names], dataset: Dataset, left_out: int | None) -> tuple[dict[str, Subset], list[str]]:
    """Finds recorded images by their names; images of the same name are matched in order.

    Args:
        image_names: {split: the names of its images}.
        dataset: where to find them.
        left_out: how many images are in no split; None if it is not known.

    Returns:
        The splits, and the changes in words: images that were added, removed or moved.
    """
    base = "train" if "train" in dataset.image_sets else "all"
    sets = {split: split if split in dataset.image_sets else base for split in image_names}
    subsets, missing, unmatched = {}, list[tuple[str, str]](), dict[str, Names]()
    for set_name, image_set in dataset.image_sets.items():
        splits = [split for split in image_names if sets[split] == set_name]
        names = Names.of(image_set.names)
        places = _places(Names.join([image_names[split] for split in splits]), names)
        matched = np.zeros(len(names), bool)
        matched[places[places >= 0]] = True
        unmatched[set_name] = names.take(np.flatnonzero(~matched))
        ends = np.cumsum([len(image_names[split]) for split in splits])
        for split, own in zip(splits, np.split(places, ends[:-1]) if splits else [], strict=True):
            subsets[split] = Subset(set_name, own[own >= 0])
            missing += [(image_names[split][index], split) for index in np.flatnonzero(own < 0).tolist()]
    removed, moved, others = _leftovers(missing, unmatched)
    added = some("added", others) if left_out == 0 else []
    if left_out and len(others) != left_out:
        added = [f"{len(others):,} images besides the recorded ones, not {left_out:,}"]
    subsets = {split: subsets[split] for split in image_names}
    return subsets, [*added, *some("removed", removed), *some("in another split", moved)]


def _places(wanted: Names, names: Names) -> np.ndarray:
    """Returns (M,) int64, where each wanted name stands in `names`, each place once; -1: nowhere."""
    if wanted == names:
        return np.arange(len(names))
    if not len(wanted) or not len(names):
        return np.full(len(wanted), -1)
    keys, wanted_keys = _keys(names), _keys(wanted)
    order = np.argsort(keys)
    places = order[np.minimum(np.searchsorted(keys, wanted_keys, sorter=order), len(keys) - 1)]
    return np.where(keys[places] == wanted_keys, places, -1)


def _keys(names: Names) -> np.ndarray:
    """Returns (N,) uint64, a hash of each name and of how many of the same name stand before it."""
    hashes = np.fromiter(map(hash, names), np.int64, len(names)).view(np.uint64)  # equal in this process alone
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], hashes[order][1:] != hashes[order][:-1]]))
    repeats = np.empty(len(names), np.uint64)
    lengths = np.diff(np.append(starts, len(names)))
    repeats[order] = np.arange(len(names)) - np.repeat(starts, lengths)
    return hashes + repeats * ODD


def _leftovers(missing: list[tuple[str, str]], unmatched: dict[str, Names]) -> tuple[list[str], list[str], list[str]]:
    """Returns the recorded images that are gone, those that stand in another split now, and those that are new.

    Args:
        missing: (name, split) of recorded images that are not where they were.
        unmatched: {image set: its names that nothing was recorded of}.
    """
    where: dict[str, list[str]] = defaultdict(list)
    wanted = {name for name, _ in missing}
    for set_name, names in unmatched.items():
        for name in names if wanted else ():
            if name in wanted:
                where[name].append(set_name)
    removed, moved, taken = [], [], defaultdict[tuple[str, str], int](int)
    for name, split in missing:
        if where[name]:
            taken[set_name := where[name].pop(), name] += 1
            moved.append(f"{name} ({split}, now {set_name})")
        else:
            removed.append(name)
    others = []
    for set_name, names in unmatched.items():
        for name in names:
            if taken.get((set_name, name)):
                taken[set_name, name] -= 1
            else:
                others.append(name)
    return removed, moved, others


def some(what: str, images: Sequence[str]) -> list[str]:
    """Returns the sentence about some images, none if there are none."""
    return [f"{len(images):,} image{'s' * (len(images) > 1)} {what}: {listed(images)}"] if images else []


def listed(names: Sequence[str]) -> str:
    """Returns the first of some names in a row, and how many there are."""
    return ", ".join(names[:SHOWN_NAMES]) + (f", … ({len(names):,} in all)" if len(names) > SHOWN_NAMES else "")
