"""How many boxes each class of a detection dataset has, and which classes have too few."""

from typing import TYPE_CHECKING

import numpy as np

from tinytrain.data import box_rows
from tinytrain.data.source import Dataset, Finding, counted

if TYPE_CHECKING:
    from tinytrain.data.splits import Subset

TINY_CLASS = 10  # a class with fewer training boxes is tiny
UNEVEN_RATIO = 5  # classes are uneven if the largest has so many times the boxes of the smallest

Counts = dict[str, dict[str, int]]


def box_counts(dataset: Dataset, subsets: "dict[str, Subset]") -> Counts:
    """Returns {split: {class name: number of boxes}}; those that mark a crowd are not counted."""
    result = {}
    for split, part in subsets.items():
        labels = box_rows.rows(dataset.image_sets[part.image_set].annotations[part.indices]).label
        row = np.bincount(labels, minlength=len(dataset.classes)).tolist()
        result[split] = dict(zip(dataset.classes, row, strict=True))
    return result


def findings(dataset: Dataset, subsets: "dict[str, Subset]", balance: str) -> list[Finding]:
    """Returns the classes that are missing in a split, tiny in train, or, without data.balance, uneven."""
    boxes = box_counts(dataset, subsets)
    training = "train" if "train" in boxes else next(iter(boxes))
    return [
        *_missing(boxes, training),
        *_tiny(boxes[training]),
        *(_uneven(boxes[training]) if balance == "none" else []),
    ]


def _missing(boxes: Counts, training: str) -> list[Finding]:
    """Returns the finding of classes without a box; severe where they cannot be learnt."""
    missing = [(name, split) for split, row in boxes.items() for name, count in row.items() if count == 0]
    if not missing:
        return []
    classes = len({name for name, _ in missing})
    return [
        Finding(
            "missing class",
            f"{counted(classes, 'class', 'classes')} without a box in a split",
            "add images with such boxes: a class without boxes in train cannot be learnt, and one without boxes in val "
            "or test has no AP there",
            tuple(f"{name} ({split})" for name, split in missing),
            severe=any(split == training for _, split in missing),
        )
    ]


def _tiny(boxes: dict[str, int]) -> list[Finding]:
    tiny = tuple(f"{name}: {count}" for name, count in boxes.items() if 0 < count < TINY_CLASS)
    what = f"{counted(len(tiny), 'class', 'classes')} with fewer than {TINY_CLASS} training boxes"
    return [Finding("tiny class", what, "add boxes, or merge these classes, or leave them out", tiny)] if tiny else []


def _uneven(boxes: dict[str, int]) -> list[Finding]:
    largest, smallest = (pick(boxes.items(), key=lambda item: item[1]) for pick in (max, min))
    if not smallest[1] or largest[1] < UNEVEN_RATIO * smallest[1]:
        return []
    what = f"the classes are uneven: {largest[1]:,} training boxes of {largest[0]}, {smallest[1]:,} of {smallest[0]}"
    hint = "data.balance=balanced_sampling shows the images of rare ones more often; AP50 counts every class equally"
    return [Finding("uneven classes", what, hint)]
