"""The random weights that a training begins from, and BatchNorm's ε, where a paper's differ from ours.

`model.init`, as a standard deviation σ or a bound b of a uniform distribution; fan_in = k·k·C_in (depthwise: k·k):

    torch            every kernel U(±b), b = 1/√fan_in, biases likewise: PyTorch's own (kaiming_uniform with a = √5)
    netaug           convolutions as torch, their biases 0; fully connected: truncated normal, σ = 0.02, bias 0
    netaug_baseline  convolutions N(0, σ), σ = √(2/(k·k·C_out)), depthwise ones too; the rest as netaug

Source: methods.md D.2 (torch), A.5 (the released code of NetAug). "default" leaves what `blocks` draws.
"""

import keras
import numpy as np

from tinytrain.schema import Config

LINEAR_DEVIATION = 0.02  # of NetAug, cut at two deviations


def drawn(model: keras.Model, config: Config) -> keras.Model:
    """Draws the kernels and biases of `model` anew as model.init says, sets ε, and returns it."""
    random = np.random.default_rng([config.seed, 1])
    for layer in model.layers:
        if config.model.norm_epsilon and isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = config.model.norm_epsilon
        kernel = next((weight for weight in layer.weights if weight.name.endswith("kernel")), None)
        if kernel is None or config.model.init == "default":
            continue
        kernel.assign(_kernel(layer, tuple(kernel.shape), config.model.init, random))
        if getattr(layer, "bias", None) is not None:
            torch = config.model.init == "torch"
            bound = 1 / np.sqrt(fan_in(layer, tuple(kernel.shape))) if torch else 0.0
            layer.bias.assign(random.uniform(-bound, bound, layer.bias.shape))
    return model


def fan_in(layer: keras.Layer, shape: tuple[int, ...]) -> int:
    """Returns how many inputs an output of `layer` with a kernel of this shape reads."""
    return int(np.prod(shape[:2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[:-1]))


def _kernel(layer: keras.Layer, shape: tuple[int, ...], kind: str, random: np.random.Generator) -> np.ndarray:
    if kind != "torch" and isinstance(layer, keras.layers.Dense):
        draw = keras.initializers.TruncatedNormal(stddev=LINEAR_DEVIATION, seed=int(random.integers(2**31)))
        return keras.ops.convert_to_numpy(draw(shape))
    if kind == "netaug_baseline":
        outputs = shape[2] if isinstance(layer, keras.layers.DepthwiseConv2D) else shape[3]
        return random.normal(0, np.sqrt(2 / (shape[0] * shape[1] * outputs)), shape)
    bound = 1 / np.sqrt(fan_in(layer, shape))
    return random.uniform(-bound, bound, shape)
