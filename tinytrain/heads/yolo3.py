"""The head of YOLOv3 (Redmon and Farhadi, 2018; arXiv 1804.02767) with separable convolutions, NetAug's detector.

Three scales, joined by concatenation, from the largest stride to the smallest; by GluonCV's code, with ReLU6 in place
of LeakyReLU (detection.md C.2). With the usual channels it has 4 MB in int8: for papers, not for a microcontroller.
"""

from keras import layers

from tinytrain.nn.blocks import Tensor
from tinytrain.nn.detector_blocks import body, box_output, cell, separable, upsample

DEFAULTS = {"strides": [32, 16, 8], "channels": [512, 256, 128], "depth": 5, "fuse": "concat"}
FUSE = "concat"  # no other way


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
        fuse: "concat": the only way that the paper has.
        gain: what objectness and classes are multiplied by before the sigmoid.
    """
    outputs, route = [], None
    for (stride, feature), width in zip(features.items(), channels, strict=True):
        name = f"scale{stride}"
        if route is not None:
            route = upsample(cell(route, width, f"{name}_route"), name)
            feature = layers.Concatenate(name=f"{name}_concat")([route, feature])
        route = body(feature, width, depth, f"{name}_body")
        outputs.append(box_output(separable(route, 2 * width, f"{name}_tip"), anchors, classes, gain, f"boxes{stride}"))
    return outputs
