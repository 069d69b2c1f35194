"""The section of the report about centres of objects: like that about boxes, without what needs a size."""

import numpy as np

from tinytrain.tasks.detect import errors
from tinytrain.tasks.detect.centroids import LEAST, closeness, closest
from tinytrain.tasks.detect.report import Section, of_models
from tinytrain.tasks.detect.report_rows import Kinds, Measured


def section(detections: Kinds, annotations: np.ndarray, names: list[str], threshold: float) -> Section:
    """Returns the section from the cells with an object (N, D, 6) of each kind of model, the shipped one last.

    A detection finds an object as `centroid_f1` says.

    Args:
        detections: by kind of model, in pixels of the network's images, as are the annotations.
        annotations: (N, M, 7) of the images.
        names: the names of the classes.
        threshold: the lowest score of a detection that is shown.
    """
    models = {kind: _measured(each, annotations, threshold) for kind, each in detections.items()}
    return of_models(models, len(annotations), names, threshold, main="f1", sizes=[])


def _measured(detections: np.ndarray, annotations: np.ndarray, threshold: float) -> Measured:
    found, matches = closest(detections, annotations)
    outcome = errors.outcome(detections, annotations, threshold, closeness, found=LEAST, near=LEAST)
    return Measured(found, matches, outcome, averages={}, curves={})
