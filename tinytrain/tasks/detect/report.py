"""The section of the report about boxes: figures of classes and sizes, curves, confusions, the worst images."""

from dataclasses import dataclass

import numpy as np

from tinytrain.tasks.detect import errors, mistakes, operating_point, overlaps
from tinytrain.tasks.detect.average_precision import curves
from tinytrain.tasks.detect.matching import by_coco_rule
from tinytrain.tasks.detect.metrics import COCO_IOUS, average_precisions
from tinytrain.tasks.detect.mistakes import Drawn
from tinytrain.tasks.detect.report_rows import (
    ClassRow,
    Figure,
    Kinds,
    Measured,
    Row,
    SizeRow,
    all_classes,
    class_rows,
    size_rows,
)

IMAGES = 12


@dataclass(frozen=True)
class Picture:
    """What each kind of model shows in an image: the boxes to draw, and what is wrong, in words."""

    boxes: dict[str, list[Drawn]]
    text: dict[str, str]


@dataclass(frozen=True)
class Section:
    """The figures of the section.

    threshold: the lowest score of a box that is shown; total: all classes together; errors: how many of each kind of
    error ("missed", "background", …), by kind of model; count_error: as in `operating_point`; matrices: (classes + 1,
    classes + 1) by kind of model, as `errors.confusion_matrix`; worst: the images, as indices, in which the shipped
    model errs most; lost: those in which it errs more than the float model of the same weights; pictures: of each of
    these images.
    """

    threshold: float
    total: Row
    sizes: list[SizeRow]
    errors: dict[str, dict[str, int]]
    count_error: Figure
    matrices: Kinds
    classes: list[ClassRow]
    worst: list[int]
    lost: list[int]
    pictures: dict[int, Picture]


def section(detections: Kinds, annotations: np.ndarray, names: list[str], threshold: float) -> Section:
    """Returns the section from the detections (N, D, 6) of each kind of model, the shipped one last.

    Args:
        detections: by kind of model, in pixels of the original images.
        annotations: (N, M, 7) of the images.
        names: the names of the classes.
        threshold: the lowest score of a box that is shown.
    """
    models = {kind: _measured(each, annotations, threshold) for kind, each in detections.items()}
    return of_models(models, len(annotations), names, threshold, "ap50", size_rows(detections, annotations))


def of_models(
    models: dict[str, Measured], images: int, names: list[str], threshold: float, main: str, sizes: list[SizeRow]
) -> Section:
    """Returns the section from what was measured of each kind of model, the shipped one last.

    Args:
        models: by kind.
        images: how many.
        names: the names of the classes.
        threshold: the lowest score of a box that is shown.
        main: the key of the figure that classes are ordered by.
        sizes: a row for each size, none where they are not found.
    """
    outcomes = [each.outcome for each in models.values()]
    shipped, before = outcomes[-1], outcomes[-2] if len(outcomes) > 1 else outcomes[-1]
    worst = mistakes.worst(shipped, images, IMAGES)
    lost = mistakes.lost(before, shipped, images, IMAGES)
    counts = {kind: each.outcome.counts() for kind, each in models.items()}
    return Section(
        threshold=threshold,
        total=all_classes(models, threshold),
        sizes=sizes,
        errors={name: {kind: each[name] for kind, each in counts.items()} for name in mistakes.ONE},
        count_error={
            kind: operating_point.count_error(each.overlaps, each.matches, threshold, images)
            for kind, each in models.items()
        },
        matrices={kind: errors.confusion_matrix(each.outcome, len(names)) for kind, each in models.items()},
        classes=class_rows(models, names, threshold, main),
        worst=worst,
        lost=lost,
        pictures={
            image: Picture(
                {kind: mistakes.drawn(each.outcome, image, names) for kind, each in models.items()},
                {kind: mistakes.sentence(each.outcome, image) for kind, each in models.items()},
            )
            for image in {*worst, *lost}
        },
    )


def _measured(detections: np.ndarray, annotations: np.ndarray, threshold: float) -> Measured:
    found = overlaps.find(detections, annotations)
    matches = by_coco_rule(found, COCO_IOUS)
    by_iou = curves(found, matches)
    outcome = errors.outcome(detections, annotations, threshold)
    return Measured(found, matches, outcome, average_precisions(found, by_iou), by_iou[0])
