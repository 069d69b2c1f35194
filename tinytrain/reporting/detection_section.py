"""The section about what a detector finds: curves, classes, sizes, kinds of errors, confusions, the worst images."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinytrain.data.images import Images
from tinytrain.reporting import box_pictures, detection_charts, matrix
from tinytrain.reporting.look import BOXES, Look
from tinytrain.reporting.predictions import LabelledImages
from tinytrain.reporting.svg import Chart
from tinytrain.tasks.detect.mistakes import ONE
from tinytrain.tasks.detect.report import Section
from tinytrain.tasks.detect.report_rows import ClassRow, Row, SizeRow
from tinytrain.train.task import Task

BACKGROUND = "background"  # the row and the column behind the classes
SHOWN = {"f1": "F1", "precision": "precision", "recall": "recall"}  # figures of the boxes that are shown


@dataclass(frozen=True)
class View:
    """What a kind of model shows in an image: the picture as a data URI, and what is wrong in it, in words."""

    kind: str
    uri: str
    text: str


@dataclass(frozen=True)
class BoxImage:
    """A test image with what one kind of model, or two side by side, show in it."""

    file: str
    views: list[View]


@dataclass(frozen=True)
class Table:
    """Figures of each class: `columns` are headings by the keys of `Row.figures`."""

    title: str
    columns: dict[str, str]


@dataclass(frozen=True)
class DetectionSection:
    """All of the section; `notes` say in sentences what is left out and why."""

    macro: ClassVar[str] = "boxes"  # of parts.html
    look: Look = BOXES
    kinds: list[str] = field(default_factory=list)
    threshold: float = 0.0
    charts: list[Chart] = field(default_factory=list)
    matrices: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    total: Row | None = None
    classes: list[ClassRow] = field(default_factory=list)
    sizes: list[SizeRow] = field(default_factory=list)
    errors: list[tuple[str, dict[str, int]]] = field(default_factory=list)
    count_error: dict[str, float | None] = field(default_factory=dict)
    worst: list[BoxImage] = field(default_factory=list)
    lost: list[BoxImage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def of_outputs(
    task: Task, test: LabelledImages, outputs: dict[str, np.ndarray], number: int, notes: list[str]
) -> DetectionSection:
    """Returns the section from what the task keeps of the outputs of each kind of model, the shipped one last.

    Args:
        task: the task of the run.
        test: the N test images.
        outputs: (N, D, 6) detections by kind of model, in pixels of the network's images.
        number: of the run in the report, from 1.
        notes: what is left out and why, a sentence each.
    """
    figures = task.report(outputs, test.samples)
    return of_figures(figures, test.images, test.samples.transforms, test.names, test.classes, str(number), notes)


def of_figures(
    figures: Section,
    images: Images,
    transforms: np.ndarray,
    files: list[str],
    classes: list[str],
    name: str,
    notes: list[str],
    look: Look = BOXES,
) -> DetectionSection:
    """Returns the section with its charts and pictures drawn.

    Args:
        figures: what is to be shown.
        images: (N, R, R, C) uint8, the test images as the network sees them.
        transforms: (N, 4) how each was resized (`resizing.Transform`).
        files: N names.
        classes: the names of the classes.
        name: unique in the page; the names of the charts begin with it.
        notes: what is left out and why, a sentence each.
        look: what the page says of the detector.
    """
    kinds = list(figures.matrices)

    def pictured(image: int, shown: list[str]) -> BoxImage:
        picture = figures.pictures[image]
        drawn = {
            kind: box_pictures.draw(images[image], picture.boxes[kind], transforms[image], look.is_centre)
            for kind in shown
        }
        views = [View(kind, box_pictures.data_uri(each), picture.text[kind]) for kind, each in drawn.items()]
        return BoxImage(files[image], views)

    rows, tables = figures.classes, [Table(f"At the threshold {figures.threshold:.2f}", SHOWN)]
    charts = [detection_charts.f1(name, kinds, rows, figures.threshold, look.f1)]
    if look.averages:
        charts.insert(0, detection_charts.precision_recall(name, kinds, rows))
        tables.insert(0, Table("Average precision", look.averages))
    return DetectionSection(
        look=look,
        kinds=kinds,
        threshold=figures.threshold,
        charts=charts if rows else [],
        matrices=[
            matrix.chart(f"{name}-{kind}", kind, each, [*classes, BACKGROUND], look.unit)
            for kind, each in figures.matrices.items()
        ],
        tables=tables,
        total=figures.total,
        classes=rows,
        sizes=figures.sizes,
        errors=[(ONE[error], figures.errors[error]) for error in look.errors],
        count_error=figures.count_error,
        worst=[pictured(image, kinds[-1:]) for image in figures.worst],
        lost=[pictured(image, kinds[-2:]) for image in figures.lost],
        notes=notes,
    )
