"""Finds images that occur more than once: with different annotations, in several splits, or within one split."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinytrain.data import boxes
from tinytrain.data.copies import group_equal
from tinytrain.data.facts import Facts
from tinytrain.data.source import Dataset, Finding, counted

if TYPE_CHECKING:
    from tinytrain.data.splits import Subset

SAME_CORNER = 1.0  # pixels that the corners of the same box may differ by


class Copy(NamedTuple):
    """One of several images with the same pixels; annotation: what the dataset says of it."""

    split: str
    name: str
    annotation: np.ndarray


def findings(dataset: Dataset, subsets: "dict[str, Subset]", image_infos: dict[str, Facts]) -> list[Finding]:
    """Returns the images that occur more than once.

    Args:
        dataset: the dataset.
        subsets: which of its images are in which split.
        image_infos: what is known of the images of each set.
    """
    detection = dataset.task == "detect"
    groups: dict[str, list[str]] = {"conflict": [], "leak": [], "duplicate": []}
    for copies in _copies(dataset, subsets, image_infos):
        conflict = any(_differ(copies[0].annotation, other.annotation) for other in copies[1:])
        kinds = ["conflict"] * conflict + ["leak"] * (len({copy.split for copy in copies}) > 1)
        for kind in (kinds or ["duplicate"])[: 2 if detection else 1]:
            groups[kind].append(" = ".join(f"{copy.name} ({copy.split})" for copy in copies))
    sentences = {
        "conflict": ("with different boxes for the same pixels", "keep the right boxes")
        if detection
        else ("in more than one class", "keep each in the right class"),
        "leak": ("in more than one split, so that val or test figures are too good", "keep each in one split"),
        "duplicate": ("more than once in the same split", "keep one of each"),
    }
    return [
        Finding(
            kind,
            f"{counted(len(groups[kind]), 'image')} {what}",
            hint,
            tuple(sorted(groups[kind])),
            severe=detection and kind == "leak",
        )
        for kind, (what, hint) in sentences.items()
        if groups[kind]
    ]


def _copies(dataset: Dataset, subsets: "dict[str, Subset]", image_infos: dict[str, Facts]) -> list[list[Copy]]:
    """Returns the images whose pixels occur more than once, those with the same pixels together."""
    digests = [image_infos[part.image_set].digests[part.indices] for part in subsets.values()]
    groups = group_equal(np.concatenate([np.empty((0, 2), np.uint64), *digests]))
    (repeated,) = np.nonzero(np.bincount(groups, minlength=1)[groups] > 1)
    starts = np.cumsum([0, *map(len, digests)])
    splits, result = list(subsets), dict[int, list[Copy]]()
    for place in repeated.tolist():
        number = int(np.searchsorted(starts, place, side="right")) - 1
        part = subsets[splits[number]]
        image_set, index = dataset.image_sets[part.image_set], part.indices[place - starts[number]]
        annotation = (
            image_set.annotations[index] if image_set.annotations.ndim != 2 else image_set.annotations[index, 0]
        )
        result.setdefault(int(groups[place]), []).append(Copy(splits[number], image_set.names[index], annotation))
    return list(result.values())


def _differ(first: np.ndarray, second: np.ndarray) -> bool:
    """Returns whether two images with the same pixels are of different classes, or have different boxes."""
    if first.ndim == 0:
        return bool(first != second)
    ours, theirs = (_sorted(annotation) for annotation in (first, second))
    return ours.shape != theirs.shape or bool((np.abs(ours - theirs) > [0, *[SAME_CORNER] * 4]).any())


def _sorted(annotation: np.ndarray) -> np.ndarray:
    """Returns (n, 5) class and corners of the boxes (M, FIELDS) of an image, in an order of their own."""
    rows = annotation[annotation[:, boxes.CLASS] != boxes.NO_BOX][:, [boxes.CLASS, *range(boxes.X0, boxes.Y1 + 1)]]
    return rows[np.lexsort(np.round(rows).T[::-1])]
