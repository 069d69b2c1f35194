"""MobileNetV2 (Sandler et al., 2018, Table 2; arXiv 1801.04381): inverted residuals with linear bottlenecks, ReLU6.

Every width is rounded to a multiple of 8; the last 1x1 convolution has at least 1280 channels (methods.md B.2). Every
block of a stage but the first has a shortcut.
"""

import keras

from tinytrain.nn.blocks import classifier, conv_bn, depthwise_bn, image_input, inverted_residual, make_divisible

DEFAULTS = {"width": 0.35, "resolution": 160}
SIZES = [
    DEFAULTS,
    {"width": 1.0, "resolution": 160},
    {"width": 1.0, "resolution": 224},
]  # that `tinytrain list models` shows
STAGES = [(24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)]  # channels, blocks, first stride


def build(
    *, classes: int, resolution: int, channels: int, width: float, dropout: float = 0.0, stem: str = "imagenet"
) -> keras.Model:
    """Returns the functional model: (B, resolution, resolution, channels) -> (B, classes) logits."""
    features = max(1280, make_divisible(1280 * width))
    return network("mobilenet_v2", features, classes, resolution, channels, width, dropout, stem)


def network(
    name: str, features: int, classes: int, resolution: int, channels: int, width: float, dropout: float, stem: str
) -> keras.Model:
    """Returns MobileNetV2 with `features` channels before the pooling."""
    image = image_input(resolution, channels)
    x = conv_bn(image, make_divisible(32 * width), 3, 2 if stem == "imagenet" else 1, "relu6", "stem")
    x = depthwise_bn(x, 3, 1, "relu6", "block0")
    x = conv_bn(x, make_divisible(16 * width), 1, 1, None, "block0_project")
    number = 0
    for filters, blocks, first_stride in STAGES:
        for position in range(blocks):
            number += 1
            x = inverted_residual(
                x,
                expanded=make_divisible(6 * x.shape[-1]),
                filters=make_divisible(filters * width),
                kernel=3,
                stride=first_stride if position == 0 else 1,
                residual=position > 0,
                name=f"block{number}",
            )
    x = conv_bn(x, features, 1, 1, "relu6", "head")
    return keras.Model(image, classifier(x, classes, dropout), name=name)
