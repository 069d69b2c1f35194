"""Object detection: boxes with a class. Importing it imports no TensorFlow."""

from typing import TYPE_CHECKING

from tinytrain.config.schema import Config
from tinytrain.data.source import Dataset
from tinytrain.train.figures import Figure, Figures

if TYPE_CHECKING:
    from tinytrain.tasks.detect.task import Detection

AP50 = Figure("ap50", "AP50", "AP50", of_images=False)
AP = Figure("ap", "AP")
FIGURES = Figures(
    main=AP50,
    balanced=AP50,  # a mean over classes
    second=AP,
    tested=(AP50, Figure("ap50_voc07", "AP50 by VOC 2007"), Figure("ap50_voc10", "AP50 by VOC 2010"), AP),
    outputs=lambda config: len(config.detect.strides),
)


def resolve(config: Config, dataset: Dataset) -> None:
    """Replaces every "auto" of [detect] in `config`, which has no other, by what head, network and data ask for."""
    from tinytrain.tasks.detect import defaults

    defaults.resolve(config, dataset)


def build(config: Config, classes: list[str]) -> "Detection":
    """Returns the detection of objects of `classes`, as `config` trains it."""
    from tinytrain.tasks.detect.task import Detection

    return Detection(config, classes)
