"""Checks the boxes of a dataset and lists what is wrong with them that needs more than one file, or the input's size.

What is wrong within one file, such as a box outside of its image, the readers of the datasets report.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from keras.utils import bounding_boxes

from tinytrain.config.schema import Config, Detect
from tinytrain.data import box_class_check, box_input_check, box_rows
from tinytrain.data.box_rows import BoxImages, BoxRows
from tinytrain.data.facts import Facts
from tinytrain.data.source import Dataset, Finding, counted

if TYPE_CHECKING:
    from tinytrain.data.splits import Subset

SAME_PLACE = 0.9  # boxes with more IoU are around the same object
MANY_BACKGROUND = 0.5  # share of the training images
MOST_OVERLAPS = 4_000_000  # that are computed at a time


def findings(
    dataset: Dataset, subsets: "dict[str, Subset]", config: Config, image_infos: dict[str, Facts]
) -> list[Finding]:
    """Returns what is wrong with the boxes of the splits.

    Args:
        dataset: the dataset.
        subsets: which of its images are in which split.
        config: the run without "auto"; what needs a key that is still "auto" is left out.
        image_infos: what is known of the images of each set.
    """
    images = BoxImages.of(dataset, subsets, image_infos)
    return [
        *box_class_check.findings(dataset, subsets, config.data.balance),
        *_two_classes(images, dataset.classes),
        *_background(images),
        *_too_many(images, config.detect.boxes),
        *box_input_check.findings(images, dataset.classes, config),
    ]


def _two_classes(images: BoxImages, classes: list[str]) -> list[Finding]:
    """Returns the finding that boxes of two classes are almost the same."""
    rows = box_rows.rows(images.annotations)
    where, lines = images.where(rows), []
    for first, second in _same_place(rows):
        if rows.label[first] != rows.label[second]:
            lines.append(" = ".join(f"{where[row]} ({classes[rows.label[row]]})" for row in (first, second)))
    what = f"{counted(len(lines), 'pair')} of boxes of two classes with an IoU above {SAME_PLACE}"
    return [Finding("two classes", what, "keep the box of the right class", tuple(lines))] if lines else []


def _same_place(rows: BoxRows) -> Iterator[tuple[int, int]]:
    """Yields the numbers of two boxes of an image whose IoU is above SAME_PLACE, the first one first."""
    _, starts, counts = np.unique(rows.image, return_index=True, return_counts=True)
    for count in np.unique(counts[counts > 1]).tolist():
        group = starts[counts == count][:, None] + np.arange(count)  # of the images with as many boxes
        for chunk in np.array_split(group, min(len(group), 1 + len(group) * count**2 // MOST_OVERLAPS)):
            corners = rows.corners[chunk].astype(np.float32)
            overlaps = np.asarray(bounding_boxes.compute_iou(corners, corners, "xyxy"))
            image, first, second = np.nonzero(np.triu(overlaps > SAME_PLACE, k=1))
            yield from zip(chunk[image, first].tolist(), chunk[image, second].tolist(), strict=True)


def _counts(images: BoxImages) -> np.ndarray:
    """Returns (N,) how many boxes each image has."""
    return np.bincount(box_rows.rows(images.annotations).image, minlength=len(images.names))


def _background(images: BoxImages) -> list[Finding]:
    """Returns the finding that most training images have no box; the reader of the data names them."""
    training = images.training.sum()
    empty = (images.training & (_counts(images) == 0)).sum()
    if empty <= MANY_BACKGROUND * training:
        return []
    what = f"{empty:,} of {counted(training, 'training image')} ({100 * empty / training:.1f} %) have no box"
    hint = "label the objects in them; if there are none, fewer such images are enough to learn the background"
    return [Finding("mostly background", what, hint)]


def _too_many(images: BoxImages, kept: int) -> list[Finding]:
    """Returns the finding that images have more objects than a detector returns boxes."""
    counts = _counts(images)
    lines = tuple(f"{images.names[index]}: {counts[index]} boxes" for index in np.flatnonzero(counts > kept))
    what = f"{counted(len(lines), 'image')} with more objects than the {kept} boxes of detect.boxes"
    most = Detect.__dataclass_fields__["boxes"].metadata["maximum"]
    hint = f"detect.boxes={counts.max()} keeps all"
    if counts.max() > most:
        hint = f"detect.boxes={most} is the most" if kept < most else "no larger detect.boxes is possible"
    return [Finding("many boxes", what, hint, lines)] if lines else []
