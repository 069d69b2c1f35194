"""ResNet-50 (He et al., 2016; arXiv 1512.03385) in torchvision's v1.5 layout, with the stride on the 3x3 convolution.

`stride_on="1x1"` is the original layout, which Keras' published weights have. Stem and pooling are padded
symmetrically, as in both layouts; BatchNorm's epsilon is Keras' 1.001e-5 (methods.md B.8).
"""

import keras

from tinytrain.nn.blocks import Tensor, activate, batch_norm, classifier, conv, image_input, make_divisible

DEFAULTS = {"width": 1.0, "resolution": 224}
SIZES = [DEFAULTS]  # that `tinytrain list models` shows
STAGES = [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]  # inner channels, blocks, first stride
EPSILON = 1.001e-5  # of BatchNorm


def build(
    *,
    classes: int,
    resolution: int,
    channels: int,
    width: float,
    dropout: float = 0.0,
    stem: str = "imagenet",
    stride_on: str = "3x3",
) -> keras.Model:
    """Returns the functional model: (B, resolution, resolution, channels) -> (B, classes) logits."""
    image = image_input(resolution, channels)
    x = keras.layers.ZeroPadding2D(3, name="stem_pad")(image)
    x = conv(x, make_divisible(64 * width), 7, 2 if stem == "imagenet" else 1, "stem", padding="valid")
    x = activate(batch_norm(x, "stem", EPSILON), "relu", "stem")
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    number = 0
    for filters, blocks, first_stride in STAGES:
        for position in range(blocks):
            number += 1
            stride = first_stride if position == 0 else 1
            x = _bottleneck(x, make_divisible(filters * width), stride, position == 0, stride_on, f"block{number}")
    return keras.Model(image, classifier(x, classes, dropout), name="resnet50")


def _bottleneck(x: Tensor, inner: int, stride: int, project: bool, stride_on: str, name: str) -> Tensor:
    strides = (stride, 1) if stride_on == "1x1" else (1, stride)
    y = activate(
        batch_norm(conv(x, inner, 1, strides[0], f"{name}_reduce"), f"{name}_reduce", EPSILON), "relu", f"{name}_reduce"
    )
    y = activate(
        batch_norm(conv(y, inner, 3, strides[1], f"{name}_inner"), f"{name}_inner", EPSILON), "relu", f"{name}_inner"
    )
    y = batch_norm(conv(y, 4 * inner, 1, 1, f"{name}_expand"), f"{name}_expand", EPSILON)
    if project:
        x = batch_norm(conv(x, 4 * inner, 1, stride, f"{name}_shortcut"), f"{name}_shortcut", EPSILON)
    return activate(keras.layers.Add(name=f"{name}_add")([x, y]), "relu", name)
