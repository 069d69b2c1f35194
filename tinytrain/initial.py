"""The random weights that a training begins from, and BatchNorm's ε, where a paper's differ from ours.

`model.init`, as a standard deviation σ or a bound b of a uniform distribution; fan_in = k·k·C_in (depthwise: k·k):

    torch            every kernel U(±b), b = 1/√fan_in, biases likewise: PyTorch's own (kaiming_uniform with a = √5)
    netaug           convolutions as torch, their biases 0; fully connected: N(0, σ), σ = 0.02, bias 0
    netaug_baseline  convolutions N(0, σ), σ = √(2/(k·k·C_out)), depthwise ones too; the rest as netaug

The released code calls PyTorch's trunc_normal_(std=0.02). Its bounds of ±2 are absolute, a hundred deviations away, so
nothing is cut. Source: methods.md D.2 (torch), A.5 (the released code of NetAug). "default" leaves what `blocks` draws,
and in NetAug's super-network what the released code draws, which is "netaug".

A method that makes networks of its own draws their weights likewise, with `draw`: NetAug the largest network, whose
fan_in and C_out count, mutual learning the slow student. The directions of a cosine head are even on the sphere always.
"""

import keras
import numpy as np

from tinytrain.schema import Config

LINEAR_DEVIATION = 0.02  # of NetAug


def drawn(model: keras.Model, config: Config) -> keras.Model:
    """Draws the kernels and biases of `model` anew as model.init says, sets ε, and returns it."""
    for layer in model.layers:
        if config.model.norm_epsilon and isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = config.model.norm_epsilon
    draw(model, config, stream=1)
    return model


def draw(model: keras.Model, config: Config, stream: int, skip: str = "") -> None:
    """Draws the kernels and biases of `model` anew as model.init says, but for the layer `skip`.

    stream: another number gives other weights from the same seed.
    """
    random = np.random.default_rng([config.seed, stream])
    for layer in model.layers:
        kernel = next((weight for weight in layer.weights if weight.name.endswith("kernel")), None)
        if kernel is None or layer.name == skip or config.model.init == "default":
            continue
        kernel.assign(_kernel(layer, tuple(kernel.shape), config.model.init, random))
        if getattr(layer, "bias", None) is not None:
            torch = config.model.init == "torch"
            bound = 1 / np.sqrt(fan_in(layer, tuple(kernel.shape))) if torch else 0.0
            layer.bias.assign(random.uniform(-bound, bound, layer.bias.shape))


def fan_in(layer: keras.Layer, shape: tuple[int, ...]) -> int:
    """Returns how many inputs an output of `layer` with a kernel of this shape reads."""
    return int(np.prod(shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[:-1]))


def _kernel(layer: keras.Layer, shape: tuple[int, ...], kind: str, random: np.random.Generator) -> np.ndarray:
    if kind != "torch" and isinstance(layer, keras.layers.Dense):
        return random.normal(0, LINEAR_DEVIATION, shape)
    if kind == "netaug_baseline":
        outputs = shape[2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[3]
        return random.normal(0, np.sqrt(2 / (shape[0] * shape[1] * outputs)), shape)
    bound = 1 / np.sqrt(fan_in(layer, shape))
    return random.uniform(-bound, bound, shape)
