"""Object detection: boxes with a class. Importing it imports no TensorFlow."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from tinytrain.config.heads import has_anchors
from tinytrain.config.schema import Config
from tinytrain.data.source import Dataset
from tinytrain.train.figures import Figure, Figures

if TYPE_CHECKING:
    from tinytrain.tasks.detect.task import Detection

STEPS, BATCH, LEAST_EPOCHS, MOST_EPOCHS = 4000, 16, 30, 400  # of `usual`
BEGUN_WITH = {  # `usual` in words, for `tinytrain list keys`
    "optim.epochs": f"enough for {STEPS:,} steps, from {LEAST_EPOCHS} to {MOST_EPOCHS}",
}
RESOLUTION = 160  # pixels, where neither user nor board says another
SIDES = range(256, 95, -32)  # pixels, of which a board takes the largest that fits

AP50 = Figure("ap50", "AP50", "AP50", of_images=False)
AP = Figure("ap", "AP")
FIGURES = Figures(
    main=AP50,
    balanced=AP50,  # a mean over classes
    second=AP,
    tested=(AP50, Figure("ap50_voc07", "AP50 by VOC 2007"), Figure("ap50_voc10", "AP50 by VOC 2010"), AP),
    outputs=lambda config: len(config.detect.strides),
    counted="boxes",
)


def narrowed(config: Config) -> str:
    """Returns the name of the task of a config: this one, or "centroids" for a head that finds no sizes."""
    head = config.detect.head
    return "detect" if head == "auto" or has_anchors(head) else "centroids"


def usual(config: Config, images: int, typed: Collection[str]) -> dict[str, Any]:
    """Returns {dotted key: value} that a training of `images` images begins with, where the user says nothing else.

    Of `config` it reads optim.batch, if that is among the dotted keys that the user has `typed`.

    The loss is a sum over boxes, so its rate is another than that of classes; and few images need many epochs: a
    network that begins with random weights finds its first boxes after about a thousand steps (docs/detection.md).
    """
    batch = config.optim.batch if "optim.batch" in typed else BATCH
    epochs = min(max(-(-STEPS // max(images // batch, 1)), LEAST_EPOCHS), MOST_EPOCHS)
    return {
        "optim.name": "adam",
        "optim.lr": 0.005,
        "optim.batch": BATCH,
        "optim.epochs": epochs,
        "optim.label_smoothing": 0.0,
        "augment.expand_ratio": 1.5,  # 4 makes objects too small to see at the input of a microcontroller
        "qat.batch": BATCH,
        # Measured on val (docs/detection.md): without a fine-tune int8 is as good as float, with the usual one it lost
        # 2 to 27 points of AP50, with a rate of 0.0001 about 1.
        "qat.epochs": 0.0,
        "qat.lr": 0.0001,
    }


def resolve(config: Config, dataset: Dataset) -> None:
    """Replaces every "auto" of [detect] in `config`, which has no other, by what head, network and data ask for."""
    from tinytrain.tasks.detect import defaults

    defaults.resolve(config, dataset)


def described(config: Config) -> str:
    """Returns in words what [model] and [detect] of a config without "auto" make."""
    detect, model = config.detect, config.model
    strides = " and ".join(map(str, detect.strides))
    anchors = "no anchors" if detect.anchors == "none" else f"{len(detect.anchors) // 2} anchors"
    return (
        f"{model.name} of width {model.width:g} at {model.resolution} pixels, head {detect.head} on "
        f"stride{'s' if len(detect.strides) > 1 else ''} {strides}, {anchors}"
    )


def build(config: Config, classes: list[str]) -> "Detection":
    """Returns the detection of objects of `classes`, as `config` trains it."""
    from tinytrain.tasks.detect.task import Detection

    return Detection(config, classes)
