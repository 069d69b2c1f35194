"""EfficientNet-B0 (Tan & Le, 2019, Table 1; arXiv 1905.11946): inverted residuals, swish, squeeze-excite everywhere.

The squeezed layer of a squeeze-excite has a quarter of the block's input channels (methods.md B.7).
"""

import keras

from tinytrain.nn.blocks import Tensor, classifier, conv_bn, depthwise_bn, image_input, make_divisible, squeeze_excite

DEFAULTS = {"width": 1.0, "resolution": 224}
SIZES = [DEFAULTS]  # that `tinytrain list models` shows
STAGES = [  # expansion, channels, blocks, first stride, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
]


def build(
    *, classes: int, resolution: int, channels: int, width: float, dropout: float = 0.0, stem: str = "imagenet"
) -> keras.Model:
    """Returns the functional model: (B, resolution, resolution, channels) -> (B, classes) logits."""
    image = image_input(resolution, channels)
    x = conv_bn(image, make_divisible(32 * width), 3, 2 if stem == "imagenet" else 1, "swish", "stem")
    number = 0
    for expansion, filters, blocks, first_stride, kernel in STAGES:
        for position in range(blocks):
            stride = first_stride if position == 0 else 1
            x = _block(x, expansion, make_divisible(filters * width), kernel, stride, f"block{number}")
            number += 1
    x = conv_bn(x, make_divisible(1280 * width), 1, 1, "swish", "head")
    return keras.Model(image, classifier(x, classes, dropout), name="efficientnet_b0")


def _block(x: Tensor, expansion: int, filters: int, kernel: int, stride: int, name: str) -> Tensor:
    channels = x.shape[-1]
    y = conv_bn(x, expansion * channels, 1, 1, "swish", f"{name}_expand") if expansion > 1 else x
    y = depthwise_bn(y, kernel, stride, "swish", name)
    y = squeeze_excite(y, max(1, channels // 4), "swish", "sigmoid", name)
    y = conv_bn(y, filters, 1, 1, None, f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and channels == filters else y
