"""A narrow YOLOv3 head for microcontrollers: two scales, short bodies, joined by addition (detection.md F.1).

Addition keeps a range of its own for each branch in int8; a concatenation needs one for both.
"""

from keras import layers

from tinytrain.nn.blocks import Tensor
from tinytrain.nn.detector_blocks import body, box_output, cell, separable, upsample

DEFAULTS = {"strides": [32, 16], "channels": [64], "depth": 3, "fuse": "add"}


def build(
    features: dict[int, Tensor], *, classes: int, anchors: int, channels: list[int], depth: int, fuse: str, gain: float
) -> list[Tensor]:
    """Returns an output (B, R/stride, R/stride, anchors·(5 + classes)) for each stride of `features`, in its order.

    Args:
        features: {stride: (B, R/stride, R/stride, C)}, largest stride first.
        classes: how many.
        anchors: of each output.
        channels: of the narrow cells, for each stride.
        depth: cells in the body of a scale.
        fuse: "add" or "concat".
        gain: what objectness and classes are multiplied by before the sigmoid.
    """
    outputs, route = [], None
    for (stride, feature), width in zip(features.items(), channels, strict=True):
        name = f"scale{stride}"
        if route is not None:
            route = cell(route, feature.shape[-1] if fuse == "add" else width, f"{name}_route")
            joined = layers.Add(name=f"{name}_add") if fuse == "add" else layers.Concatenate(name=f"{name}_concat")
            feature = joined([upsample(route, name), feature])
        route = body(feature, width, depth, f"{name}_body")
        outputs.append(box_output(separable(route, 2 * width, f"{name}_tip"), anchors, classes, gain, f"boxes{stride}"))
    return outputs
