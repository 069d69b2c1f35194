"""Where objects are, and how many, without their size: a class for each cell (detection.md F.1).

The way of Edge Impulse's FOMO: a classifier for each cell of a coarse map, whose first class is background.
"""

import keras
from keras import layers

from tinytrain.nn.blocks import Tensor
from tinytrain.nn.detector_blocks import cell

DEFAULTS = {"strides": [8], "channels": [48], "depth": 1, "fuse": "add"}
ONE_STRIDE = True
CENTROIDS = True  # the output is a class for each cell, no boxes


def build(
    features: dict[int, Tensor], *, classes: int, anchors: int, channels: list[int], depth: int, fuse: str, gain: float
) -> list[Tensor]:
    """Returns one output (B, R/stride, R/stride, 1 + classes): logits of background and of each class.

    Args:
        features: {stride: (B, R/stride, R/stride, C)}, one.
        classes: how many.
        anchors: not used: a cell has no size.
        channels: of the cell before the output, one number.
        depth: cells before the output.
        fuse: not used: nothing is joined.
        gain: not used: the logits are as they come.
    """
    ((stride, feature),), (width,) = features.items(), channels
    for number in range(depth):
        feature = cell(feature, width, f"scale{stride}_{number}")
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    output = layers.Conv2D(1 + classes, 1, kernel_initializer=initializer, dtype="float32", name=f"cells{stride}")
    return [output(feature)]
