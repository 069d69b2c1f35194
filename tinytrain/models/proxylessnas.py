"""ProxylessNAS-mobile (Cai et al., 2019; arXiv 1812.00332): a mobile network found by search, ReLU6.

The inverted residuals differ in expansion and kernel. The first block of a stage never has a shortcut, not even where
it keeps the resolution and the width (at width 0.35 block 11, with 32 channels in and out).
"""

import keras

from tinytrain.nn.blocks import classifier, conv_bn, depthwise_bn, image_input, inverted_residual, make_divisible

DEFAULTS = {"width": 0.35, "resolution": 160}
SIZES = [
    DEFAULTS,
    {"width": 1.0, "resolution": 160},
    {"width": 1.0, "resolution": 224},
]  # that `tinytrain list models` shows
STAGES = [  # channels, first stride, expansion of each block, kernel of each block
    (32, 2, (3, 3), (5, 3)),
    (40, 2, (3, 3, 3, 3), (7, 3, 5, 5)),
    (80, 2, (6, 3, 3, 3), (7, 5, 5, 5)),
    (96, 1, (6, 3, 3, 3), (5, 5, 5, 5)),
    (192, 2, (6, 6, 3, 3), (7, 7, 7, 7)),
    (320, 1, (6,), (7,)),
]


def build(
    *, classes: int, resolution: int, channels: int, width: float, dropout: float = 0.0, stem: str = "imagenet"
) -> keras.Model:
    """Returns the functional model: (B, resolution, resolution, channels) -> (B, classes) logits."""
    image = image_input(resolution, channels)
    x = conv_bn(image, make_divisible(32 * width), 3, 2 if stem == "imagenet" else 1, "relu6", "stem")
    x = depthwise_bn(x, 3, 1, "relu6", "block0")
    x = conv_bn(x, make_divisible(16 * width), 1, 1, None, "block0_project")
    number = 0
    for stage_filters, first_stride, expansions, kernels in STAGES:
        for position, (expansion, kernel) in enumerate(zip(expansions, kernels, strict=True)):
            number += 1
            expanded, filters = make_divisible(expansion * x.shape[-1]), make_divisible(stage_filters * width)
            stride = first_stride if position == 0 else 1
            x = inverted_residual(x, expanded, filters, kernel, stride, position > 0, f"block{number}")
    x = conv_bn(x, max(1280, make_divisible(1280 * width)), 1, 1, "relu6", "head")
    return keras.Model(image, classifier(x, classes, dropout), name="proxylessnas")
