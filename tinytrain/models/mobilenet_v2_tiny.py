"""MobileNetV2-Tiny (MCUNet's and NetAug's "mbv2-w0.35"): MobileNetV2 whose last convolution is narrowed, too.

At width 0.35 it has 448 channels before the classifier, where MobileNetV2 keeps 1280: 0.75 M parameters instead of
1.68 M (methods.md B.2).
"""

import keras

from tinytrain.models.mobilenet_v2 import network
from tinytrain.nn.blocks import make_divisible

DEFAULTS = {"width": 0.35, "resolution": 144}
SIZES = [DEFAULTS]  # that `tinytrain list models` shows


def build(
    *, classes: int, resolution: int, channels: int, width: float, dropout: float = 0.0, stem: str = "imagenet"
) -> keras.Model:
    """Returns the functional model: (B, resolution, resolution, channels) -> (B, classes) logits."""
    features = make_divisible(1280 * width)
    return network("mobilenet_v2_tiny", features, classes, resolution, channels, width, dropout, stem)
