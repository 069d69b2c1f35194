"""The initial random weights (model.init), and BatchNorm's ε (model.norm_epsilon).

The values of `model.init`, with a standard deviation σ or a bound b; fan_in = k·k·C_in (depthwise: k·k):

    torch            every kernel U(±b), b = 1/√fan_in, biases likewise: PyTorch's default (kaiming_uniform with a = √5)
    netaug           convolutions as torch, their biases 0; fully connected: N(0, σ), σ = 0.02, bias 0
    he               convolutions N(0, σ), σ = √(2/fan_out), fan_out = k·k·C_out (depthwise: k·k); the rest as Keras
    netaug_baseline  convolutions N(0, σ), σ = √(2/(k·k·C_out)), depthwise ones too; the rest as netaug

NetAug's released code calls PyTorch's trunc_normal_(std=0.02). Its bounds of ±2 are absolute, a hundred standard
deviations away, so nothing is truncated. Sources: methods.md D.2 (torch), A.5 (NetAug's code), He et al. 2015 (he).
"auto" is netaug for method=netaug, else torch, which gave better results than he (benchmarks/initial_weights.py).

Methods that make networks of their own draw their weights in the same way, with `draw_weights`: NetAug the largest
network, whose fan_in and C_out count, and mutual learning the slow student. The directions of a cosine head are always
uniform on the sphere.
"""

import keras
import numpy as np

from tinytrain.config import load as configs
from tinytrain.config.schema import Config

LINEAR_STD = 0.02  # of NetAug


def initialize(model: keras.Model, config: Config) -> keras.Model:
    """Draws the kernels and biases of `model` by model.init and sets BatchNorm's ε, in place; returns the model."""
    for layer in model.layers:
        if config.model.norm_epsilon and isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = config.model.norm_epsilon
    if init_of(config) != "he":  # `blocks` has drawn those
        draw_weights(model, config, stream=1)
    return model


def init_of(config: Config) -> str:
    """Returns model.init of `config`, with "auto" resolved."""
    default = "netaug" if "netaug" in configs.methods(config) else "torch"
    return default if config.model.init == "auto" else config.model.init


def draw_weights(model: keras.Model, config: Config, stream: int, skip: str = "") -> None:
    """Draws the kernels and biases of `model` by model.init, in place.

    Args:
        model: the network.
        config: the run, which gives model.init and the seed.
        stream: each number gives other weights from the same seed.
        skip: the name of a layer that stays as it is.
    """
    random, init = np.random.default_rng([config.seed, stream]), init_of(config)
    for layer in model.layers:
        kernel = next((weight for weight in layer.weights if weight.name.endswith("kernel")), None)
        if kernel is None or layer.name == skip:
            continue
        kernel.assign(_kernel(layer, tuple(kernel.shape), init, random))
        if getattr(layer, "bias", None) is not None:
            bound = 1 / np.sqrt(fan_in(layer, tuple(kernel.shape))) if init == "torch" else 0.0
            layer.bias.assign(random.uniform(-bound, bound, layer.bias.shape))


def fan_in(layer: keras.Layer, shape: tuple[int, ...]) -> int:
    """Returns the number of inputs of one output of `layer`, whose kernel has this shape."""
    return int(np.prod(shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[:-1]))


def _kernel(layer: keras.Layer, shape: tuple[int, ...], init: str, random: np.random.Generator) -> np.ndarray:
    if init == "he":
        return _he_kernel(layer, shape, random)
    if init != "torch" and isinstance(layer, keras.layers.Dense):
        return random.normal(0, LINEAR_STD, shape)
    if init == "netaug_baseline":
        outputs = shape[2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[3]
        return random.normal(0, np.sqrt(2 / (shape[0] * shape[1] * outputs)), shape)
    bound = 1 / np.sqrt(fan_in(layer, shape))
    return random.uniform(-bound, bound, shape)


def _he_kernel(layer: keras.Layer, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if isinstance(layer, keras.layers.Dense):
        bound = np.sqrt(6 / sum(shape))  # Glorot and Bengio 2010
        return random.uniform(-bound, bound, shape)
    fan_out = np.prod(shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else (*shape[:2], shape[3]))
    return random.normal(0, np.sqrt(2 / fan_out), shape)
