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
    transforms = test.samples.transforms
    return detection_section.of_figures(
        figures, test.images, transforms, test.names, test.classes, str(number), notes, look
    )
