"""The random weights that a training begins from, and BatchNorm's ε, where a paper's differ from ours.

`model.init`, as a standard deviation σ or a bound b of a uniform distribution; fan_in = k·k·C_in (depthwise: k·k):

    torch            every kernel U(±b), b = 1/√fan_in, biases likewise: PyTorch's own (kaiming_uniform with a = √5)
    netaug           convolutions as torch, their biases 0; fully connected: N(0, σ), σ = 0.02, bias 0
    he               convolutions N(0, σ), σ = √(2/fan_out), fan_out = k·k·C_out (depthwise: k·k); the rest as Keras
    netaug_baseline  convolutions N(0, σ), σ = √(2/(k·k·C_out)), depthwise ones too; the rest as netaug

The released code calls PyTorch's trunc_normal_(std=0.02). Its bounds of ±2 are absolute, a hundred deviations away, so
nothing is cut. Source: methods.md D.2 (torch), A.5 (the released code of NetAug), He et al. 2015 (he). "auto" is torch,
which came out better than he (benchmarks/initial_weights.py), and netaug for method=netaug.

A method that makes networks of its own draws their weights likewise, with `draw`: NetAug the largest network, whose
fan_in and C_out count, mutual learning the slow student. The directions of a cosine head are even on the sphere always.
"""

import keras
import numpy as np

from tinytrain.config import load as configs
from tinytrain.config.schema import Config

LINEAR_DEVIATION = 0.02  # of NetAug


def drawn(model: keras.Model, config: Config) -> keras.Model:
    """Draws the kernels and biases of `model` anew as model.init says, sets ε, and returns it."""
    for layer in model.layers:
        if config.model.norm_epsilon and isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = config.model.norm_epsilon
    if kind_of(config) != "he":  # which `blocks` draws
        draw(model, config, stream=1)
    return model


def kind_of(config: Config) -> str:
    """Returns model.init of `config`, "auto" replaced."""
    usual = "netaug" if "netaug" in configs.methods(config) else "torch"
    return usual if config.model.init == "auto" else config.model.init


def draw(model: keras.Model, config: Config, stream: int, skip: str = "") -> None:
    """Draws the kernels and biases of `model` anew as model.init says, but for the layer `skip`.

    stream: another number gives other weights from the same seed.
    """
    random, kind = np.random.default_rng([config.seed, stream]), kind_of(config)
    for layer in model.layers:
        kernel = next((weight for weight in layer.weights if weight.name.endswith("kernel")), None)
        if kernel is None or layer.name == skip:
            continue
        kernel.assign(_kernel(layer, tuple(kernel.shape), kind, random))
        if getattr(layer, "bias", None) is not None:
            bound = 1 / np.sqrt(fan_in(layer, tuple(kernel.shape))) if kind == "torch" else 0.0
            layer.bias.assign(random.uniform(-bound, bound, layer.bias.shape))


def fan_in(layer: keras.Layer, shape: tuple[int, ...]) -> int:
    """Returns how many inputs an output of `layer` with a kernel of this shape reads."""
    return int(np.prod(shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[:-1]))


def _kernel(layer: keras.Layer, shape: tuple[int, ...], kind: str, random: np.random.Generator) -> np.ndarray:
    if kind == "he":
        return _he(layer, shape, random)
    if kind != "torch" and isinstance(layer, keras.layers.Dense):
        return random.normal(0, LINEAR_DEVIATION, shape)
    if kind == "netaug_baseline":
        outputs = shape[2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[3]
        return random.normal(0, np.sqrt(2 / (shape[0] * shape[1] * outputs)), shape)
    bound = 1 / np.sqrt(fan_in(layer, shape))
    return random.uniform(-bound, bound, shape)


def _he(layer: keras.Layer, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if isinstance(layer, keras.layers.Dense):
        bound = np.sqrt(6 / sum(shape))  # Glorot and Bengio 2010
        return random.uniform(-bound, bound, shape)
    fan_out = np.prod(shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else (*shape[:2], shape[3]))
    return random.normal(0, np.sqrt(2 / fan_out), shape)
