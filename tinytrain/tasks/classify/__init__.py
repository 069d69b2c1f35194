"""Image classification: one class for each image. Importing it imports no TensorFlow."""

from typing import TYPE_CHECKING

from tinytrain.config.schema import Config
from tinytrain.tasks.classify import metrics
from tinytrain.tasks.classify.defaults import BEGUN_WITH, reason, usual
from tinytrain.train.figures import Figure, Figures

if TYPE_CHECKING:
    from tinytrain.tasks.classify.task import Classification

__all__ = ["BEGUN_WITH", "FIGURES", "build", "reason", "usual"]

TOP1 = Figure("top1", "top-1", "Top-1 accuracy")
BALANCED_TOP1 = Figure("balanced_top1", "top-1, mean over classes")
MAP = Figure("map", "mAP")
FIGURES = Figures(
    main=TOP1,
    balanced=BALANCED_TOP1,
    second=MAP,
    tested=(
        *(TOP1, Figure("top5", "top-5"), BALANCED_TOP1, Figure("macro_f1", "macro F1"), MAP),
        Figure("map_mrr", "mAP by reciprocal rank"),
    ),
    measure=metrics.top1,
    measure_balanced=metrics.balanced_top1,
    golden_case=metrics.first_right,
)


def build(config: Config, classes: list[str]) -> "Classification":
    """Returns the classification of images of `classes`, as `config` trains it."""
    from tinytrain.tasks.classify.task import Classification

    return Classification(config, classes)
