"""The rows of the tables in the report about boxes: the figures of each class, of all together, and of each size."""

from dataclasses import dataclass

import numpy as np

from tinytrain.data.boxes import AREA, CLASS, FLAG, NO_BOX, NORMAL
from tinytrain.tasks.detect import operating_point
from tinytrain.tasks.detect.average_precision import COCO_RECALLS, Curve
from tinytrain.tasks.detect.errors import Outcome
from tinytrain.tasks.detect.matching import Matches
from tinytrain.tasks.detect.metrics import SIZES, ap_by_size
from tinytrain.tasks.detect.overlaps import Overlaps

RECALLS = COCO_RECALLS  # where precision is given
THRESHOLDS = np.linspace(0.01, 0.99, 99)  # where F1 is given
ALL = "all classes"
Kinds = dict[str, np.ndarray]  # "float", "fine-tuned float", "int8" -> an array
Figure = dict[str, float | None]  # the same -> 0..1, None where nothing defines it


@dataclass(frozen=True)
class Measured:
    """A kind of model: all of its detections with what they find, and what becomes of those that it shows.

    averages: average precisions of each class by the keys of `metrics.average_precisions`; curves: of each class at
    IoU 0.5; both empty where none is defined.
    """

    overlaps: Overlaps
    matches: Matches
    outcome: Outcome
    averages: dict[str, dict[int, float]]
    curves: dict[int, Curve]


@dataclass(frozen=True)
class Row:
    """What is to be found of a class or of all, and each figure of each kind of model.

    figures: the average precisions, means for all classes, and "f1", "precision" and "recall" of what is shown.
    """

    name: str
    boxes: int
    figures: dict[str, Figure]


@dataclass(frozen=True)
class ClassRow(Row):
    """A class with boxes to be found.

    precision_at: (101,) at RECALLS, 0 where the recall is never reached; f1_at: (99,) at THRESHOLDS.
    """

    precision_at: Kinds
    f1_at: Kinds


@dataclass(frozen=True)
class SizeRow:
    """The boxes of one size: "small", "medium" or "large", with COCO's AP of each kind of model."""

    name: str
    boxes: int
    ap: Figure


def size_rows(detections: Kinds, annotations: np.ndarray) -> list[SizeRow]:
    """Returns a row for each size, with how many boxes it has.

    Args:
        detections: (N, D, 6) by kind of model, in pixels of the original images.
        annotations: (N, M, 7) of the images.
    """
    figures = {kind: ap_by_size(each, annotations) for kind, each in detections.items()}
    area = annotations[(annotations[..., CLASS] != NO_BOX) & (annotations[..., FLAG] == NORMAL)][:, AREA]
    return [
        SizeRow(name, int(((low <= area) & (area <= high)).sum()), {kind: each[name] for kind, each in figures.items()})
        for name, (low, high) in SIZES.items()
    ]


def all_classes(models: dict[str, Measured], threshold: float) -> Row:
    """Returns the row of all classes together; arguments as `class_rows`."""
    return Row(ALL, *_figures(models, threshold, None))


def class_rows(models: dict[str, Measured], names: list[str], threshold: float, main: str) -> list[ClassRow]:
    """Returns a row for each class with boxes, the lowest `main` figure of the shipped model first.

    Args:
        models: by kind, the shipped one last.
        names: of all classes.
        threshold: the lowest score of a box that is shown.
        main: the key of a figure.
    """
    kind, shipped = list(models.items())[-1]
    labels = np.unique(shipped.overlaps.truth.label[shipped.matches.counted]).tolist()
    rows = [_class_row(models, label, names[label], threshold) for label in labels]
    return sorted(rows, key=lambda row: row.figures[main][kind] or 0.0)


def _class_row(models: dict[str, Measured], label: int, name: str, threshold: float) -> ClassRow:
    boxes, figures = _figures(models, threshold, label)
    precision = {kind: each.curves[label].precision_at(RECALLS) for kind, each in models.items() if each.curves}
    f1 = {kind: operating_point.f1_at(each.overlaps, each.matches, THRESHOLDS, label) for kind, each in models.items()}
    return ClassRow(name, boxes, figures, precision, f1)


def _figures(models: dict[str, Measured], threshold: float, label: int | None) -> tuple[int, dict[str, Figure]]:
    """Returns how many boxes are to be found, and the figures of a class, or of all classes."""
    counts = {
        kind: operating_point.counts(each.overlaps, each.matches, threshold, label) for kind, each in models.items()
    }
    keys = list(models.values())[-1].averages
    averages = {key: {kind: _average(each.averages[key], label) for kind, each in models.items()} for key in keys}
    shown: dict[str, Figure] = {
        "f1": {kind: each.f1 for kind, each in counts.items()},
        "precision": {kind: each.precision for kind, each in counts.items()},
        "recall": {kind: each.recall for kind, each in counts.items()},
    }
    return list(counts.values())[-1].boxes, averages | shown


def _average(by_class: dict[int, float], label: int | None) -> float | None:
    if label is not None:
        return by_class[label]
    return float(np.mean(list(by_class.values()))) if by_class else None
