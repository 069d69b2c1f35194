"""ResNet-8, the image classification network of MLPerf Tiny (Banbury et al., 2021): 16, 32 and 64 filters.

Three residual blocks of two 3x3 convolutions, with strides 1, 2 and 2, for 32x32 images: 12,501,632 MACs with ten
classes. As in the reference, the 1x1 convolution of a strided shortcut has a bias and no BatchNorm.
"""

import keras

from tinytrain.nn.blocks import activate, classifier, conv, conv_bn, image_input, make_divisible

DEFAULTS = {"width": 1.0, "resolution": 32, "stem": "cifar", "classes": 10}
SIZES = [DEFAULTS]  # that `tinytrain list models` shows


def build(
    *, classes: int, resolution: int, channels: int, width: float, dropout: float = 0.0, stem: str = "cifar"
) -> keras.Model:
    """Returns the functional model: (B, resolution, resolution, channels) -> (B, classes) logits."""
    image = image_input(resolution, channels)
    x = conv_bn(image, make_divisible(16 * width), 3, 2 if stem == "imagenet" else 1, "relu", "stem")
    for number, (stage_filters, stride) in enumerate([(16, 1), (32, 2), (64, 2)], 1):
        filters, name = make_divisible(stage_filters * width), f"block{number}"
        y = conv_bn(x, filters, 3, stride, "relu", f"{name}_first")
        y = conv_bn(y, filters, 3, 1, None, f"{name}_second")
        if stride > 1:
            x = conv(x, filters, 1, stride, f"{name}_shortcut", use_bias=True)
        x = activate(keras.layers.Add(name=f"{name}_add")([x, y]), "relu", name)
    return keras.Model(image, classifier(x, classes, dropout), name="resnet8")
