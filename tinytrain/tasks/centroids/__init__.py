"""Where objects are, and how many, without their size: detection with the head `centroid`.

It learns from the data of detection and has its keys, but is measured by another figure: nothing of it is an average
precision. Importing it imports no TensorFlow.
"""

from typing import TYPE_CHECKING

from tinytrain.config.heads import has_anchors
from tinytrain.config.schema import Config
from tinytrain.data.source import Dataset
from tinytrain.errors import UserError
from tinytrain.tasks import detect
from tinytrain.tasks.detect import RESOLUTION, SIDES, described, usual
from tinytrain.train.figures import Figure, Figures

if TYPE_CHECKING:
    from tinytrain.tasks.centroids.task import Centroids

__all__ = ["FIGURES", "RESOLUTION", "SIDES", "build", "described", "resolve", "usual"]

F1 = Figure("f1", "F1 of centres", "F1 of centres", of_images=False)
RECALL = Figure("recall", "recall of centres", of_images=False)
FIGURES = Figures(main=F1, balanced=F1, second=RECALL, tested=(F1, RECALL), counted="boxes")
HEAD = "centroid"


def resolve(config: Config, dataset: Dataset) -> None:
    """Replaces every "auto" of [detect] as detection does; raises UserError for a head that gives boxes."""
    head = HEAD if config.detect.head == "auto" else config.detect.head
    if has_anchors(head):
        raise UserError(f"the task centroids finds no sizes: expected detect.head={HEAD}, received {head}, which does")
    config.detect.head = head
    detect.resolve(config, dataset)


def build(config: Config, classes: list[str]) -> "Centroids":
    """Returns the search for objects of `classes`, as `config` trains it."""
    from tinytrain.tasks.centroids.task import Centroids

    return Centroids(config, classes)
