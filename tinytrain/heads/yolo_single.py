"""One scale: the least memory that still gives boxes (detection.md F.1). Layers behind the tap are dropped."""

from tinytrain.nn.blocks import Tensor
from tinytrain.nn.detector_blocks import body, box_output, separable

DEFAULTS = {"strides": [16], "channels": [96], "depth": 3, "fuse": "add"}
ONE_STRIDE = True


def build(
    features: dict[int, Tensor], *, classes: int, anchors: int, channels: list[int], depth: int, fuse: str, gain: float
) -> list[Tensor]:
    """Returns one output (B, R/stride, R/stride, anchors·(5 + classes)).

    Args:
        features: {stride: (B, R/stride, R/stride, C)}, one.
        classes: how many.
        anchors: of the output.
        channels: of the narrow cells, one number.
        depth: cells in the body.
        fuse: not used: nothing is joined.
        gain: what objectness and classes are multiplied by before the sigmoid.
    """
    ((stride, feature),), (width,) = features.items(), channels
    route = body(feature, width, depth, f"scale{stride}_body")
    tip = separable(route, 2 * width, f"scale{stride}_tip")
    return [box_output(tip, anchors, classes, gain, f"boxes{stride}")]
