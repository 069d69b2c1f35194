"""MobileNetV3-large (Howard et al., 2019, Table 1; arXiv 1905.02244): hard swish and squeeze-excite.

The 1x1 convolution after the pooling has a bias and no BatchNorm. It has at least 1280 channels at any width, as in
Keras and in NetAug's code; `head="scaled"` narrows it with the rest, as torchvision does. The squeezed layer of a
squeeze-excite has at least 16 channels (NetAug's code; methods.md B.6).
"""

import keras

from tinytrain.nn.blocks import (
    Tensor,
    activate,
    conv,
    conv_bn,
    depthwise_bn,
    image_input,
    make_divisible,
    squeeze_excite,
)

DEFAULTS = {"width": 0.35, "resolution": 160}
SIZES = [DEFAULTS, {"width": 1.0, "resolution": 224}, {"width": 0.75, "resolution": 224, "head": "scaled"}]
BLOCKS = [  # kernel, expanded, out, squeeze-excite, activation, stride
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hard_swish", 2),
    (3, 200, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 184, 80, False, "hard_swish", 1),
    (3, 480, 112, True, "hard_swish", 1),
    (3, 672, 112, True, "hard_swish", 1),
    (5, 672, 160, True, "hard_swish", 2),
    (5, 960, 160, True, "hard_swish", 1),
    (5, 960, 160, True, "hard_swish", 1),
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
    features = make_divisible(1280 * width) if head == "scaled" else max(1280, make_divisible(1280 * width))
    image, logits = network(BLOCKS, 16, features, classes, resolution, channels, width, dropout, stem)
    return keras.Model(image, logits, name="mobilenet_v3_large")


def network(
    blocks: list,
    min_squeezed: int,
    features: int,
    classes: int,
    resolution: int,
    channels: int,
    width: float,
    dropout: float,
    stem: str,
) -> tuple[Tensor, Tensor]:
    """Returns the input and the logits of a MobileNetV3.

    Args:
        blocks: rows such as those of BLOCKS.
        min_squeezed: the smallest number of channels of a squeezed layer.
        features: the number of channels after the pooling.
        classes: the number of classes.
        resolution: of the image, in pixels.
        channels: of the image.
        width: multiplier on every channel count but `features`.
        dropout: rate before the classifier.
        stem: "imagenet" or "cifar".
    """
    image = image_input(resolution, channels)
    x = conv_bn(image, make_divisible(16 * width), 3, 2 if stem == "imagenet" else 1, "hard_swish", "stem")
    for number, (kernel, expanded, filters, excite, act, stride) in enumerate(blocks):
        expanded = make_divisible(expanded * width)
        squeezed = max(make_divisible(expanded / 4), min_squeezed) if excite else 0
        expanded = expanded if number > 0 else 0  # the first block has no expansion
        x = _block(x, expanded, make_divisible(filters * width), kernel, stride, squeezed, act, f"block{number}")
    x = conv_bn(x, make_divisible(blocks[-1][1] * width), 1, 1, "hard_swish", "head")
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    x = activate(conv(x, features, 1, 1, "features", use_bias=True), "hard_swish", "features")
    x = keras.layers.Flatten(name="flat")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    return image, keras.layers.Dense(classes, dtype="float32", name="logits")(x)


def _block(
    x: Tensor, expanded: int, filters: int, kernel: int, stride: int, squeezed: int, act: str, name: str
) -> Tensor:
    """Applies an inverted residual block; without expansion or squeeze-excite where `expanded` or `squeezed` is 0."""
    y = conv_bn(x, expanded, 1, 1, act, f"{name}_expand") if expanded else x
    y = depthwise_bn(y, kernel, stride, act, name)
    if squeezed:
        y = squeeze_excite(y, squeezed, "relu", "hard_sigmoid", name)
    y = conv_bn(y, filters, 1, 1, None, f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == filters else y
