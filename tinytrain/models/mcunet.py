"""MCUNet (Lin et al., 2020; arXiv 2007.10319), found by search for 320 kB of RAM and 1 MB of flash at 176 pixels.

Inverted residuals with kernels of 3, 5 and 7, ReLU6, no 1x1 convolution before the pooling (methods.md B.4).
"""

import keras

from tinytrain.nn.blocks import classifier, conv_bn, depthwise_bn, image_input, inverted_residual, make_divisible

DEFAULTS = {"width": 1.0, "resolution": 176}
SIZES = [DEFAULTS]  # that `tinytrain list models` shows
STAGES = [  # blocks of (expanded, out, kernel, stride); the first of a stage has no shortcut
    [(24, 16, 7, 2), (80, 16, 3, 1), (80, 16, 7, 1), (64, 16, 5, 1)],
    [(80, 24, 5, 2), (120, 24, 5, 1), (120, 24, 5, 1)],
    [(120, 40, 3, 2), (240, 40, 7, 1), (160, 40, 5, 1)],
    [(200, 48, 5, 1), (240, 48, 7, 1), (240, 48, 3, 1)],
    [(288, 96, 3, 2), (480, 96, 7, 1), (384, 96, 3, 1)],
    [(480, 160, 7, 1)],
]


def build(
    *, classes: int, resolution: int, channels: int, width: float, dropout: float = 0.0, stem: str = "imagenet"
) -> keras.Model:
    """Returns the functional model: (B, resolution, resolution, channels) -> (B, classes) logits."""
    image = image_input(resolution, channels)
    x = conv_bn(image, make_divisible(16 * width), 3, 2 if stem == "imagenet" else 1, "relu6", "stem")
    x = depthwise_bn(x, 3, 1, "relu6", "block0")
    x = conv_bn(x, make_divisible(8 * width), 1, 1, None, "block0_project")
    number = 0
    for stage in STAGES:
        for position, (expanded, filters, kernel, stride) in enumerate(stage):
            number += 1
            expanded, filters = make_divisible(expanded * width), make_divisible(filters * width)
            x = inverted_residual(x, expanded, filters, kernel, stride, position > 0, f"block{number}")
    return keras.Model(image, classifier(x, classes, dropout), name="mcunet")
