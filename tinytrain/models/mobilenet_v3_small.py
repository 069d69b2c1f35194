"""MobileNetV3-small (Howard et al., 2019, Table 2; arXiv 1905.02244): as mobilenet_v3_large, with a head of 1024."""

import keras

from tinytrain.models.mobilenet_v3_large import network
from tinytrain.nn.blocks import make_divisible

DEFAULTS = {"width": 0.35, "resolution": 96}
SIZES = [{"width": 1.0, "resolution": 224}, DEFAULTS]  # that `tinytrain list models` shows
BLOCKS = [  # kernel, expanded, out, squeeze-excite, activation, stride
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hard_swish", 2),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 240, 40, True, "hard_swish", 1),
    (5, 120, 48, True, "hard_swish", 1),
    (5, 144, 48, True, "hard_swish", 1),
    (5, 288, 96, True, "hard_swish", 2),
    (5, 576, 96, True, "hard_swish", 1),
    (5, 576, 96, True, "hard_swish", 1),
]


def build(
    *,
    classes: int,
    resolution: int,
    channels: int,
    width: float,
    dropout: float = 0.0,
    stem: str = "imagenet",
    head: str = "wide",
) -> keras.Model:
    """Returns the functional model: (B, resolution, resolution, channels) -> (B, classes) logits."""
    features = make_divisible(1024 * width) if head == "scaled" else max(1024, make_divisible(1024 * width))
    image, logits = network(BLOCKS, 8, features, classes, resolution, channels, width, dropout, stem)
    return keras.Model(image, logits, name="mobilenet_v3_small")
