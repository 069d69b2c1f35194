"""TinyTL (Cai et al., 2020; arXiv 2007.11622): transfer that trains biases and lite residual modules, in little memory.

The gradient of a weight needs the activation that the weight is multiplied with; the gradient of a bias does not. So
all kernels and γ of the network that `model.weights` names are frozen. Trained are the biases (the β of norms
included), the classifier and, beside each inverted residual block, a lite residual module, whose output is added to
that of the block:

    average pooling 2x2 → k x k convolution in 2 groups, with the stride of the block → norm → ReLU
    → 1x1 convolution → norm, γ = 0 at first, β = 0 always → bilinear upsampling to the resolution of the block's output

k is 5, or the largest odd number up to the side of the pooled map. If pooling leaves a single pixel, of a side below 4,
it is global. A training step keeps no activations that it does not need: frozen norms are affine maps, ReLU and ReLU6
keep a bool for each value, hard swish keeps only its input.

`tinytl.norm` chooses the norms. "group" is the released code's: GroupNorm with 8 channels in a group in place of each
BatchNorm, and standardized weights in every convolution without a bias. "batch", the default, keeps each BatchNorm with
its running statistics, so that any network trained here can be transferred, and the result can be folded and exported.

Differences from the paper and its code (mit-han-lab/tinyml, tinytl/):
- the lite residual modules start at random, with γ = 0 at the end; theirs were trained on ImageNet with the network;
- with norm "batch" the modules have ordinary BatchNorms, which are trained;
- a stride of 2 on an even side has TensorFlow's "same" padding, as in the rest of the network;
- frozen weights stay as they are; theirs have 256 values in each layer, as here with `tinytl.weight_bits` = 8. There
  k-means starts evenly spaced, not at random, and its result is stored in float32.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.methods.tinytl.inverted_blocks import Block, inverted_blocks
from tinytrain.methods.tinytl.memory_saving_layers import (
    AffineBatchNormalization,
    GroupedConv2D,
    HardSwish,
    MaskReLU,
    StandardizedConv2D,
    standardized,
)
from tinytrain.nn.blocks import HE_FAN_OUT, Tensor, make_divisible
from tinytrain.nn.fused_batch_norm import FusedBatchNormalization
from tinytrain.nn.pretrained import CLASSIFIER
from tinytrain.train.method import Method, TrainingContext, require_functional

LITE = "_lite_"  # in the names of the layers of a lite residual module, and of no others
GROUPS = 2  # of the k x k convolution
MAX_KERNEL = 5
CHANNELS_PER_GROUP = 8  # of a GroupNorm


def build(inner: Any, config: Config, training: TrainingContext) -> "TinyTL":
    """Returns TinyTL around the plain model `inner`, as configured by [tinytl].

    Raises:
        UserError: `inner` is another method, model.weights is empty, or the model has no inverted residual blocks.
    """
    model = require_functional(inner, "tinytl")
    if not config.model.weights:
        raise UserError(
            "tinytl freezes the weights that training starts from, but model.weights = '' makes them random: "
            "set it to imagenet, a .keras file or a run folder"
        )
    return TinyTL(model, config.tinytl.norm, config.tinytl.residual, config.tinytl.weight_bits)


class TinyTL(Method):
    """Trains the biases, the classifier and, with `residual`, lite residual modules.

    The finished model has Keras' own layers only; the lite residual modules are a part of it.

    Args:
        model: a functional model with trained weights.
        norm: "batch" or "group".
        residual: whether there are lite residual modules.
        weight_bits: 8 quantizes the frozen kernels of each layer to 2⁸ values; 0 leaves them as they are.
        **kwargs: of keras.Model.
    """

    def __init__(
        self, model: keras.Model, norm: str = "batch", residual: bool = True, weight_bits: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(transferred(model, norm, residual, weight_bits), **kwargs)

    def trained(self, model: keras.Model) -> keras.Model:
        """Returns a memory-saving copy of `model`, weights included, with kernels and γ frozen."""
        grouped = any(isinstance(layer, layers.GroupNormalization) for layer in model.layers)

        def clone(layer: keras.Layer) -> keras.Layer:
            return _in_training(layer, grouped).from_config(layer.get_config())

        copy = keras.models.clone_model(model, clone_function=clone)
        copy.set_weights(model.get_weights())
        for layer in copy.layers:
            for variable in layer.weights:
                variable.trainable = variable.trainable and _is_trained(layer.name, variable.name)
        return copy

    def finish(self) -> keras.Model:
        """Returns the plain model with the trained weights; convolutions get the standardized weights they used."""
        plain = super().finish()
        for layer in self.network.layers:
            if isinstance(layer, StandardizedConv2D):
                plain.get_layer(layer.name).set_weights([standardized(layer.kernel.value)])
        return plain


def _is_trained(layer: str, variable: str) -> bool:
    """Returns whether TinyTL trains a variable, given the names of its layer and its own (methods.md A.9)."""
    if LITE in layer:
        return not (layer.endswith("_project_bn") and variable == "beta")  # the β of the block has the same effect
    return layer == CLASSIFIER or variable in ("bias", "beta")


def transferred(model: keras.Model, norm: str = "batch", residual: bool = True, weight_bits: int = 0) -> keras.Model:
    """Returns a copy of `model`, weights included, with a lite residual module beside each inverted residual block.

    Args:
        model: a functional model with trained weights.
        norm: with "batch" the copy computes what `model` does, until it is trained; with "group" each BatchNorm becomes
            a GroupNorm with the same γ and β, and the weights are standardized.
        residual: whether there are lite residual modules.
        weight_bits: 8 quantizes the kernels of each layer to 2⁸ values, before they are standardized.

    Raises:
        UserError: the model has no inverted residual blocks.
    """
    blocks = inverted_blocks(model) if residual else []
    if residual and not blocks:
        raise UserError(
            f"the model '{model.name}' has no inverted residual block for tinytl to put a lite residual module next "
            "to: use one that has, such as mobilenet_v2, or set tinytl.residual=false to train biases only"
        )
    first, last = {block.first: block for block in blocks}, {block.last: block for block in blocks}
    block_inputs: dict[Block, Tensor] = {}

    def clone(layer: keras.Layer) -> keras.Layer:
        if norm == "group" and isinstance(layer, layers.BatchNormalization):
            return _group_norm(layer.gamma.shape[0], name=layer.name, epsilon=layer.epsilon, dtype=layer.dtype_policy)
        return type(layer).from_config(layer.get_config())

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        if layer.name in first:
            block_inputs[first[layer.name]] = args[0]
        y = layer(args[0]) if isinstance(layer, layers.GroupNormalization) else layer(*args, **kwargs)
        if layer.name not in last:
            return y
        block = last[layer.name]
        lite = lite_residual(block_inputs[block], block, norm, layer.epsilon, layer.dtype_policy)
        return layers.Add(name=f"{block.name}{LITE}add", dtype=layer.dtype_policy)([y, lite])

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        if layer.weights:
            _copy_weights(layer, copy.get_layer(layer.name), norm == "group", weight_bits)
    return copy


def lite_residual(x: Tensor, block: Block, norm: str, epsilon: float, dtype: Any) -> Tensor:
    """Applies the lite residual module of `block`: (B, H, H, C) -> (B, side, side, filters), zeros until trained.

    Args:
        x: the input of the block.
        block: the block that it stands beside.
        norm: "batch" or "group".
        epsilon: of its norms.
        dtype: the dtype policy of its layers.
    """

    def conv(x: Tensor, filters: int, kernel: int, name: str, **options: Any) -> Tensor:
        initializer = keras.initializers.VarianceScaling(**HE_FAN_OUT)
        options |= {"padding": "same", "use_bias": False, "kernel_initializer": initializer, "dtype": dtype}
        return layers.Conv2D(filters, kernel, name=f"{name}conv", **options)(x)

    def normalize(x: Tensor, name: str, **options: Any) -> Tensor:
        options |= {"epsilon": epsilon, "dtype": dtype, "name": f"{name}bn"}
        batch = norm == "batch"
        return (layers.BatchNormalization(momentum=0.9, **options) if batch else _group_norm(x.shape[-1], **options))(x)

    name, pooled, channels = f"{block.name}{LITE}", x.shape[1] // 2, x.shape[-1]
    if pooled > 1:
        x = layers.AveragePooling2D(2, name=f"{name}pool", dtype=dtype)(x)
    else:
        x = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}pool", dtype=dtype)(x)
    kernel = max(size for size in range(1, MAX_KERNEL + 1, 2) if size <= max(pooled, 1))
    groups = GROUPS if channels % GROUPS == 0 else 1
    x = normalize(conv(x, make_divisible(channels), kernel, name, groups=groups, strides=block.stride), name)
    x = layers.ReLU(name=f"{name}relu", dtype=dtype)(x)
    name += "project_"
    x = normalize(conv(x, block.filters, 1, name), name, gamma_initializer="zeros")
    return _upsampled(x, block.side, f"{block.name}{LITE}upsample", dtype)


def _upsampled(x: Tensor, side: int, name: str, dtype: Any) -> Tensor:
    """Resizes (B, h, h, C) to (B, side, side, C), bilinear; `side` is not a multiple of h after an odd resolution."""
    if x.shape[1] == side:
        return x
    if side % x.shape[1] == 0:
        return layers.UpSampling2D(side // x.shape[1], interpolation="bilinear", name=name, dtype=dtype)(x)
    return layers.Resizing(side, side, "bilinear", name=name, dtype=dtype)(x)


def _group_norm(channels: int, **options: Any) -> keras.Layer:
    """Returns a GroupNorm with 8 channels in a group, or the largest number below that divides `channels`."""
    group_size = next(size for size in range(CHANNELS_PER_GROUP, 0, -1) if channels % size == 0)
    return layers.GroupNormalization(channels // group_size, **options)


def _copy_weights(source: keras.Layer, target: keras.Layer, grouped: bool, bits: int) -> None:
    """Copies weights; of a BatchNorm to a GroupNorm only γ and β, which come first."""
    values = source.get_weights()[: len(target.get_weights())]
    if bits and isinstance(source, (layers.Conv2D, layers.DepthwiseConv2D)):
        values[0] = clustered(values[0], 2**bits)
    if grouped and isinstance(source, (layers.Conv2D, layers.DepthwiseConv2D)) and not source.use_bias:
        values[0] = standardized(values[0], isinstance(source, layers.DepthwiseConv2D))
    target.set_weights(values)


def clustered(kernel: np.ndarray, count: int, iterations: int = 20) -> np.ndarray:
    """Returns `kernel` with each value replaced by the nearest of `count` centroids, from k-means (Lloyd).

    Args:
        kernel: of any shape.
        count: how many values remain; with no more than these it is returned as it is.
        iterations: of Lloyd's algorithm, from evenly spaced centroids.
    """
    values = kernel.ravel().astype("float64")
    if len(np.unique(values)) <= count:
        return kernel
    centroids = np.linspace(values.min(), values.max(), count)
    for _ in range(iterations):
        nearest = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
        sizes = np.bincount(nearest, minlength=count)
        sums = np.bincount(nearest, values, minlength=count)
        centroids = np.where(sizes, sums / np.maximum(sizes, 1), centroids)
    nearest = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
    return centroids[nearest].reshape(kernel.shape).astype(kernel.dtype)


def _in_training(layer: keras.Layer, grouped: bool) -> type[keras.Layer]:
    """Returns the class that replaces `layer` in the network in training."""
    lite = LITE in layer.name
    if isinstance(layer, layers.BatchNormalization):
        return FusedBatchNormalization if lite else AffineBatchNormalization
    if isinstance(layer, layers.Conv2D) and lite:
        return StandardizedConv2D if grouped else GroupedConv2D
    if isinstance(layer, layers.ReLU) and layer.max_value in (None, 6.0):
        return MaskReLU
    if isinstance(layer, layers.Activation) and layer.activation is keras.activations.hard_silu:
        return HardSwish
    return type(layer)
