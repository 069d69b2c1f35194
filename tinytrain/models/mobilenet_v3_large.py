"""MobileNetV3-large (Howard et al., 2019, Table 1; arXiv 1905.02244): hard swish and squeeze-excite.

The 1x1 convolution after the pooling has a bias and no BatchNorm. It is 1280 wide at any width, as in Keras and in the
NetAug code; `head="scaled"` narrows it with the rest, as torchvision does. The hidden layer of a squeeze-excite is
at least 16 wide (NetAug code; methods.md B.6).
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

USUAL = {"width": 0.35, "resolution": 160}
ROWS = [USUAL, {"width": 1.0, "resolution": 224}, {"width": 0.75, "resolution": 224, "head": "scaled"}]
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
    last = make_divisible(1280 * width) if head == "scaled" else max(1280, make_divisible(1280 * width))
    image, logits = network(BLOCKS, 16, last, classes, resolution, channels, width, dropout, stem)
    return keras.Model(image, logits, name="mobilenet_v3_large")


def network(
    blocks: list,
    least_squeezed: int,
    last: int,
    classes: int,
    resolution: int,
    channels: int,
    width: float,
    dropout: float,
    stem: str,
) -> tuple[Tensor, Tensor]:
    """Returns input and logits of a MobileNetV3 of these `blocks`, with `last` channels after the pooling."""
    image = image_input(resolution, channels)
    x = conv_bn(image, make_divisible(16 * width), 3, 2 if stem == "imagenet" else 1, "hard_swish", "stem")
    for number, (kernel, expanded, filters, excite, act, stride) in enumerate(blocks):
        squeezed = max(make_divisible(make_divisible(expanded * width) / 4), least_squeezed) if excite else 0
        expand = number > 0 and make_divisible(expanded * width)  # the first block has no expansion
        x = _block(x, expand, make_divisible(filters * width), kernel, stride, squeezed, act, f"block{number}")
    x = conv_bn(x, make_divisible(blocks[-1][1] * width), 1, 1, "hard_swish", "head")
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    x = activate(conv(x, last, 1, 1, "features", use_bias=True), "hard_swish", "features")
    x = keras.layers.Flatten(name="flat")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    return image, keras.layers.Dense(classes, dtype="float32", name="logits")(x)


def _block(
    x: Tensor, expand: int, filters: int, kernel: int, stride: int, squeezed: int, act: str, name: str
) -> Tensor:
    y = conv_bn(x, expand, 1, 1, act, f"{name}_expand") if expand else x
    y = depthwise_bn(y, kernel, stride, act, name)
    if squeezed:
        y = squeeze_excite(y, squeezed, "relu", "hard_sigmoid", name)
    y = conv_bn(y, filters, 1, 1, None, f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == filters else y
