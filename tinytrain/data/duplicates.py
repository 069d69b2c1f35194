"""Finds images that occur more than once: with different annotations, in several splits, or within one split."""

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinytrain.data import boxes
from tinytrain.data.source import Dataset, Finding, ImageInfo, counted

if TYPE_CHECKING:
    from tinytrain.data.splits import Subset

SAME_CORNER = 1.0  # pixels that the corners of the same box may differ by


class Copy(NamedTuple):
    """One of several images with the same pixels; annotation: what the dataset says of it."""

    split: str
    name: str
    annotation: np.ndarray


def findings(dataset: Dataset, subsets: "dict[str, Subset]", image_infos: dict[str, list[ImageInfo]]) -> list[Finding]:
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


def _copies(
    dataset: Dataset, subsets: "dict[str, Subset]", image_infos: dict[str, list[ImageInfo]]
) -> list[list[Copy]]:
    """Returns the images whose pixels occur more than once, those with the same pixels together."""
    occurrences: dict[str, list[Copy]] = defaultdict(list)
    for split, part in subsets.items():
        image_set = dataset.image_sets[part.image_set]
        annotations = image_set.annotations if image_set.annotations.ndim == 3 else image_set.strata
        for index in part.indices:
            digest = image_infos[part.image_set][index].digest
            occurrences[digest].append(Copy(split, image_set.names[index], annotations[index]))
    return [copies for copies in occurrences.values() if len(copies) > 1]


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
