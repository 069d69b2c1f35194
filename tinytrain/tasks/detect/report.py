"""The section of the report about boxes: figures of classes and sizes, curves, confusions, the worst images."""

from dataclasses import dataclass

import numpy as np

from tinytrain.data.boxes import AREA, CLASS, FLAG, NO_BOX, NORMAL
from tinytrain.tasks.detect import errors, mistakes, operating_point, overlaps
from tinytrain.tasks.detect.average_precision import COCO_RECALLS, Curve, curves
from tinytrain.tasks.detect.errors import Outcome
from tinytrain.tasks.detect.matching import Matches, by_coco_rule
from tinytrain.tasks.detect.metrics import HALF, SIZES, ap_by_size
from tinytrain.tasks.detect.mistakes import Drawn
from tinytrain.tasks.detect.overlaps import Overlaps

IMAGES = 12
RECALLS = COCO_RECALLS  # where precision is given
THRESHOLDS = np.linspace(0.01, 0.99, 99)  # where F1 is given
Kinds = dict[str, np.ndarray]  # "float", "fine-tuned float", "int8" -> an array
Figure = dict[str, float | None]  # the same -> 0..1, None where nothing defines it


@dataclass(frozen=True)
class ClassRow:
    """A class with boxes to be found, and its figures of each kind of model; AP at IoU 0.5, the others as shown.

    precision_at: (101,) at RECALLS, 0 where the recall is never reached; f1_at: (99,) at THRESHOLDS.
    """

    name: str
    boxes: int
    ap50: Figure
    precision: Figure
    recall: Figure
    f1: Figure
    precision_at: Kinds
    f1_at: Kinds


@dataclass(frozen=True)
class SizeRow:
    """The boxes of one size: "small", "medium" or "large", with COCO's AP of each kind of model."""

    name: str
    boxes: int
    ap: Figure


@dataclass(frozen=True)
class Picture:
    """What each kind of model shows in an image: the boxes to draw, and what is wrong, in words."""

    boxes: dict[str, list[Drawn]]
    text: dict[str, str]


@dataclass(frozen=True)
class Section:
    """The figures of the section.

    threshold: the lowest score of a box that is shown; errors: how many of each kind of error ("missed", "background",
    …), by kind of model; matrices: (classes + 1, classes + 1) by kind of model, as `errors.confusion_matrix`; worst:
    the images, as indices, in which the shipped model errs most; lost: those in which it errs more than the float model
    of the same weights; pictures: of each of these images.
    """

    threshold: float
    sizes: list[SizeRow]
    errors: dict[str, dict[str, int]]
    matrices: Kinds
    classes: list[ClassRow]
    worst: list[int]
    lost: list[int]
    pictures: dict[int, Picture]


@dataclass(frozen=True)
class _Model:
    """A kind of model: all of its detections, and what becomes of those that it shows."""

    overlaps: Overlaps
    matches: Matches
    curves: dict[int, Curve]
    outcome: Outcome


def section(detections: Kinds, annotations: np.ndarray, names: list[str], threshold: float) -> Section:
    """Returns the section from the detections (N, D, 6) of each kind of model, the shipped one last.

    Args:
        detections: by kind of model, in pixels of the original images.
        annotations: (N, M, 7) of the images.
        names: the names of the classes.
        threshold: the lowest score of a box that is shown.
    """
    models = {kind: _model(each, annotations, threshold) for kind, each in detections.items()}
    outcomes = [each.outcome for each in models.values()]
    shipped, before = outcomes[-1], outcomes[-2] if len(outcomes) > 1 else outcomes[-1]
    worst = mistakes.worst(shipped, len(annotations), IMAGES)
    lost = mistakes.lost(before, shipped, len(annotations), IMAGES)
    counts = {kind: each.outcome.counts() for kind, each in models.items()}
    return Section(
        threshold=threshold,
        sizes=size_rows(detections, annotations),
        errors={name: {kind: each[name] for kind, each in counts.items()} for name in mistakes.ONE},
        matrices={kind: errors.confusion_matrix(each.outcome, len(names)) for kind, each in models.items()},
        classes=_class_rows(models, names, threshold),
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


def size_rows(detections: Kinds, annotations: np.ndarray) -> list[SizeRow]:
    """Returns a row for each size, with how many boxes it has; arguments as `section`."""
    figures = {kind: ap_by_size(each, annotations) for kind, each in detections.items()}
    area = annotations[(annotations[..., CLASS] != NO_BOX) & (annotations[..., FLAG] == NORMAL)][:, AREA]
    return [
        SizeRow(name, int(((low <= area) & (area <= high)).sum()), {kind: each[name] for kind, each in figures.items()})
        for name, (low, high) in SIZES.items()
    ]


def _model(detections: np.ndarray, annotations: np.ndarray, threshold: float) -> _Model:
    found = overlaps.find(detections, annotations)
    matches = by_coco_rule(found, HALF)
    return _Model(found, matches, curves(found, matches)[0], errors.outcome(detections, annotations, threshold))


def _class_rows(models: dict[str, _Model], names: list[str], threshold: float) -> list[ClassRow]:
    """Returns a row for each class with boxes, lowest AP50 of the shipped model first."""
    shipped = list(models.values())[-1].curves
    order = sorted(shipped, key=lambda label: (shipped[label].coco(), label))
    return [_class_row(models, label, names[label], threshold) for label in order]


def _class_row(models: dict[str, _Model], label: int, name: str, threshold: float) -> ClassRow:
    counts = {
        kind: operating_point.counts(each.overlaps, each.matches, threshold, label) for kind, each in models.items()
    }
    return ClassRow(
        name=name,
        boxes=list(counts.values())[-1].boxes,
        ap50={kind: each.curves[label].coco() for kind, each in models.items()},
        precision={kind: each.precision for kind, each in counts.items()},
        recall={kind: each.recall for kind, each in counts.items()},
        f1={kind: each.f1 for kind, each in counts.items()},
        precision_at={kind: each.curves[label].precision_at(RECALLS) for kind, each in models.items()},
        f1_at={
            kind: operating_point.f1_at(each.overlaps, each.matches, THRESHOLDS, label) for kind, each in models.items()
        },
    )
