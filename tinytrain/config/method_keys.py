"""The keys of the training methods: a section each, named after the plug-in in tinytrain/methods."""

from dataclasses import dataclass
from typing import Literal

from tinytrain.config.fields import MOST_IMAGES, MOST_WEIGHT, Auto, key


@dataclass
class Netaug:
    """NetAug: training inside wider networks."""

    width_factors: list[float] | Auto = key(
        "auto", "widths of block outputs as multiples of the network's own, rising from 1; auto: as published", 1, 16
    )
    expansion_factors: list[float] = key(
        (1.0, 1.6, 2.2, 2.8), "widths inside blocks as multiples of the network's own, rising from 1", 1, 16
    )
    factor: float = key(
        0.0,
        "width of the largest network as a multiple of the network's own (r in the paper): both lists are then evenly "
        "spaced from 1 to this; 0: the lists above",
        0,
        16,
    )
    diversity: int = key(
        2, "number of steps in these lists (s in the paper); they have one width more than that", 1, 15
    )
    alpha: float = key(1.0, "weight of the loss of each wider network", 0.001, MOST_WEIGHT)
    networks: int = key(1, "wider networks drawn in each step", 1, 16)
    expansion_only: float = key(
        0.5, "share of the epochs after the warm-up, at the end, in which blocks are widened only inside", 0, 1
    )
    statistics_images: int = key(
        16000, "training images used to estimate BatchNorm before an evaluation, in whole batches", 1, MOST_IMAGES
    )


@dataclass
class Dropblock:
    """DropBlock: regularization that zeroes squares of feature maps in training."""

    block_size: int = key(5, "side of a dropped square, in positions of the feature map", 1, 99)
    keep: float = key(0.9, "share of positions that are kept, approximately", 0.01, 1)


@dataclass
class ConfidencePenalty:
    """The confidence penalty: answers of low entropy cost more."""

    beta: float = key(0.1, "weight of the entropy that is subtracted from the loss; 0: plain training", 0, MOST_WEIGHT)


@dataclass
class ContinuousDropout:
    """Continuous dropout before the classifier: features times random numbers from 0 to 1."""

    distribution: Literal["uniform", "gaussian"] = key(
        "uniform", "distribution of these numbers: uniform in 0..1, or gaussian around 0.5, clipped to 0..1"
    )
    sigma: float = key(0.2, "standard deviation of gaussian", 0.001, 10)


@dataclass
class Distill:
    """Distillation: a teacher's answers beside the labels."""

    teacher: str = key(
        "", "a run folder, a .keras file or applications:NAME of keras.applications; {seed} is replaced by the seed"
    )
    weight: float = key(1.0, "weight of the teacher's part of the loss", 0, MOST_WEIGHT)
    temperature: float = key(1.0, "both answers are softened by this", 0.01, MOST_WEIGHT)


@dataclass
class Tinytl:
    """TinyTL: transfer that trains biases and lite residual modules."""

    norm: Literal["batch", "group"] = key(
        "batch", "batch: BatchNorm, its statistics frozen; group: GroupNorm and standardized weights, no int8 export"
    )
    residual: bool = key(True, "add lite residual modules; false: train only biases and the classifier")
    weight_bits: Literal[0, 8] = key(
        0, "bits of frozen kernels: 8 leaves 256 values per layer, by k-means; 0: unchanged"
    )


@dataclass
class Sam:
    """SAM: sharpness-aware minimization."""

    rho: float = key(0.05, "length of the step uphill; 0: plain training", 0, 100)
    batch_norm: Literal["both", "first"] = key(
        "both", "passes that update BatchNorm's running statistics: both, as in the released code, or only the first"
    )


@dataclass
class AmSoftmax:
    """AM-Softmax: a margin between the angles of features and classes."""

    margin: float = key(0.35, "subtracted from the cosine of the true class in training", 0, 2)
    scale: float | Auto = key(
        "auto", "factor on the cosines in the loss; auto: √2·ln(classes - 1), at least 3", 0.01, MOST_WEIGHT
    )
    prelu: bool = key(False, "use PReLU for the activations after the last block, as in the released code")


@dataclass
class Dml:
    """Deep mutual learning with a slow student, which is thrown away."""

    form: Literal["paper", "released"] = key(
        "paper", "paper: each loss plus the other's answers; released: half of each loss, and their mean answer"
    )
    weight: float = key(1.0, "weight of the mutual part; 0: two separate trainings", 0, MOST_WEIGHT)
    margin: float = key(0.35, "AM-Softmax margin of the slow student; the released code had none", 0, 2)
    scale: float = key(1.0, "factor on the cosines of the slow student", 0.01, MOST_WEIGHT)
    dropout: float = key(0.2, "dropout before the head of the slow student", 0, 0.95)
    prelu: bool = key(False, "use PReLU for the activations after its last block, as in the released code")
    head: Literal["cosine", "softmax"] = key(
        "cosine", "head of the slow student; softmax: it keeps its own, without margin and scale"
    )
