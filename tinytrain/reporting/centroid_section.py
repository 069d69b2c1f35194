"""The section about centres of objects: that about boxes, with what has no size left out."""

import dataclasses

import numpy as np

from tinytrain.reporting import detection_section
from tinytrain.reporting.detection_section import DetectionSection
from tinytrain.reporting.look import CENTRES
from tinytrain.reporting.predictions import LabelledImages
from tinytrain.train.task import Task


def of_outputs(
    task: Task, test: LabelledImages, outputs: dict[str, np.ndarray], number: int, notes: list[str]
) -> DetectionSection:
    """Returns the section from the cells with an object; arguments as in `detection_section.of_outputs`."""
    figures = task.report(outputs, test.samples)
    stride = task.config.detect.strides[0]
    rule = (
        "An object is found by a detection of its class if their centres are closer than the diagonal of a cell, which "
        f"is {stride} × {stride} pixels of the network's image."
    )
    look = dataclasses.replace(CENTRES, rule=rule)
    as_they_are = np.tile(
        np.array([1, 1, 0, 0], np.float32), (len(test.images), 1)
    )  # as places are in pixels of these images
    return detection_section.of_figures(
        figures, test.images, as_they_are, test.names, test.classes, str(number), notes, look
    )
