"""MobileNetV1 (Howard et al., 2017, Table 1; arXiv 1704.04861): depthwise-separable convolutions, no shortcuts.

A 3x3 stem, then thirteen blocks of a 3x3 depthwise and a 1x1 convolution. With `stem="cifar"` it is the network of the
CIFAR-100 study (methods.md B.3): a stem with stride 1, and ReLU instead of ReLU6.
"""

import keras

from tinytrain.nn.blocks import classifier, conv_bn, depthwise_bn, image_input, make_divisible

DEFAULTS = {"width": 0.25, "resolution": 96}
SIZES = [
    {"width": 1.0, "resolution": 224},
    {"width": 1.0, "resolution": 32, "stem": "cifar", "classes": 100},
    DEFAULTS,
]  # that `tinytrain list models` shows
BLOCKS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def build(
    *, classes: int, resolution: int, channels: int, width: float, dropout: float = 0.0, stem: str = "imagenet"
) -> keras.Model:
    """Returns the functional model: (B, resolution, resolution, channels) -> (B, classes) logits."""
    act, stem_stride = ("relu6", 2) if stem == "imagenet" else ("relu", 1)
    image = image_input(resolution, channels)
    x = conv_bn(image, make_divisible(32 * width), 3, stem_stride, act, "stem")
    for number, (filters, stride) in enumerate(BLOCKS, 1):
        x = depthwise_bn(x, 3, stride, act, f"block{number}")
        x = conv_bn(x, make_divisible(filters * width), 1, 1, act, f"block{number}_point")
    return keras.Model(image, classifier(x, classes, dropout), name="mobilenet_v1")
