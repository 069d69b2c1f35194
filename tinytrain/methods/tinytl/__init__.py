"""TinyTL (Cai et al., 2020; arXiv 2007.11622): transfer that trains biases and lite residual modules, in little memory.

The gradient of a weight needs the activation that it is multiplied with; that of a bias does not. So all kernels and
γ of the network that `model.weights` names stay as they are. Trained are the biases (β of the norms included), the
classifier and, beside each inverted residual block, a lite residual module, whose result the block's is added to:

    average pooling 2x2 → k x k convolution in 2 groups, with the stride of the block → norm → ReLU
    → 1x1 convolution → norm, γ = 0 at first, β = 0 always → bilinear upsampling to the side of the block's result

k is 5, or the largest odd number that the pooled map has pixels. A map of one pixel is what is left of a side below 4:
then the pooling is global. The network that is trained is made so that its step keeps no activation that it does not
need: frozen norms are affine maps, ReLU and ReLU6 keep a bool a value, hard swish keeps its input only.

`tinytl.norm` says which norms. "group" are those of the released code: 8 channels a group in place of each BatchNorm,
and standardized weights in every convolution without a bias. "batch", our default, keeps each BatchNorm with its
running statistics, so that any network trained here can be transferred and the result folds into int8.

Where we differ from the paper and its code (mit-han-lab/tinyml, tinytl/):
- the lite residual modules begin at random, with γ = 0 at the end; theirs were trained on ImageNet with the network;
- with norm "batch" the modules have BatchNorms that are trained as usual;
- a stride of 2 on an even side is TensorFlow's "same" padding, as in the rest of the network;
- frozen weights stay as they are; theirs take 256 values a layer, as ours do with `tinytl.weight_bits` = 8. The k-means
  begins evenly spaced, not at random, and its result is stored in float32.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.methods.tinytl.memory_saving_layers import (
    AffineBatchNormalization,
    GroupedConv2D,
    LeanHardSwish,
    MaskReLU,
    StandardizedConv2D,
    standardized,
)
from tinytrain.nn.blocks import HE_FAN_OUT, Tensor, make_divisible
from tinytrain.nn.fused_batch_norm import FusedBatchNormalization
from tinytrain.nn.graph import Call, walk
from tinytrain.nn.pretrained import CLASSIFIER
from tinytrain.train.method import Method, TrainingContext, require_functional

LITE = "_lite_"  # in the names of the layers of a lite residual module, and of no others
GROUPS = 2
LARGEST_KERNEL = 5
CHANNELS_PER_GROUP = 8  # of a GroupNorm
ELEMENTWISE = (layers.BatchNormalization, layers.ReLU, layers.Activation, layers.ZeroPadding2D, layers.Multiply)


def build(inner: Any, config: Config, training: TrainingContext) -> "TinyTL":
    """Returns TinyTL around the plain model `inner`.

    Raises UserError around another method, without model.weights, or for a model without inverted residual blocks.
    """
    model = require_functional(inner, "tinytl")
    if not config.model.weights:
        raise UserError(
            "tinytl freezes the weights that training begins from, and model.weights = '' makes them random: "
            "set it to imagenet, a .keras file or a run folder"
        )
    return TinyTL(model, config.tinytl.norm, config.tinytl.residual, config.tinytl.weight_bits)


class TinyTL(Method):
    """Training of biases, classifier and, with `residual`, lite residual modules; `norm` is "batch" or "group".

    What `finish` returns has the layers of Keras only, the lite residual modules among them.
    """

    def __init__(
        self, model: keras.Model, norm: str = "batch", residual: bool = True, weight_bits: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(transferred(model, norm, residual, weight_bits), **kwargs)

    def trained(self, model: keras.Model) -> keras.Model:
        """Returns a copy of `model`, weights included, that keeps little for its gradients; kernels and γ frozen."""
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
        """Returns the plain model with the trained weights; standardized ones as the convolution used them."""
        plain = super().finish()
        for layer in self.network.layers:
            if isinstance(layer, StandardizedConv2D):
                plain.get_layer(layer.name).set_weights([standardized(layer.kernel.value)])
        return plain


def _is_trained(layer: str, variable: str) -> bool:
    """Returns whether TinyTL trains a variable: methods.md A.9."""
    if LITE in layer:
        return not (layer.endswith("_project_bn") and variable == "beta")  # the β of the block does the same
    return layer == CLASSIFIER or variable in ("bias", "beta")


class Block(NamedTuple):
    """An inverted residual block by the names of two layers, the convolution that it begins and the norm it ends with.

    The shortcut, if there is one, is not part of it. `side` is that of its result, in pixels.
    """

    name: str
    first: str
    last: str
    filters: int
    side: int
    stride: int


def inverted_blocks(model: keras.Model) -> list[Block]:
    """Returns the blocks 1x1 expansion, activation, depthwise, [squeeze-excite], linear 1x1 projection of `model`."""
    graph = walk(model)
    readers = graph.readers()
    makers = {number: call for call in graph.calls for number in call.outputs}
    found = []
    for call in graph.calls:
        if isinstance(call.layer, layers.DepthwiseConv2D):
            expand = _first_convolution(call.inputs[0], makers)
            norm = _projection(call, readers)
            if expand and norm:
                name = norm.layer.name.removesuffix("_project_bn")
                _, side, _, filters = graph.shapes[norm.output]
                stride = expand.layer.strides[0] * call.layer.strides[0]
                found.append(Block(name, expand.layer.name, norm.layer.name, filters or 0, side or 0, stride))
    return found


def _first_convolution(tensor: int, makers: dict[int, Call]) -> Call | None:
    """Returns the 1x1 convolution, not linear, that makes `tensor`."""
    linear = True
    while (call := makers.get(tensor)) and isinstance(call.layer, ELEMENTWISE):
        linear = linear and not isinstance(call.layer, (layers.ReLU, layers.Activation))
        tensor = call.inputs[0]
    return call if call and not linear and _is_pointwise(call.layer) else None


def _projection(call: Call, readers: dict[int, list[Call]]) -> Call | None:
    """Returns the norm of the 1x1 convolution that follows a depthwise one, if no activation follows that."""
    while (after := _elementwise(readers[call.output])) is not None:
        call = after
    following = [reader for reader in readers[call.output] if _is_pointwise(reader.layer)]
    norms = readers[following[0].output] if following else []
    if len(norms) != 1 or not isinstance(norms[0].layer, layers.BatchNormalization):
        return None
    activated = any(isinstance(reader.layer, (layers.ReLU, layers.Activation)) for reader in readers[norms[0].output])
    return None if activated else norms[0]


def _elementwise(calls: list[Call]) -> Call | None:
    """Returns the norm, the activation or the gating, of a tensor that the pooling of squeeze-excite may read too."""
    return next((call for call in calls if isinstance(call.layer, ELEMENTWISE)), None)


def _is_pointwise(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.Conv2D) and layer.kernel_size == (1, 1)


def transferred(model: keras.Model, norm: str = "batch", residual: bool = True, weight_bits: int = 0) -> keras.Model:
    """Returns a copy of `model`, weights included, with a lite residual module beside each inverted residual block.

    With norm "batch" it computes what `model` does, at first. With "group" each BatchNorm is a GroupNorm with its γ and
    β, and the weights are standardized; with `weight_bits` they are quantized first.
    Raises UserError for a model without inverted residual blocks.
    """
    blocks = inverted_blocks(model) if residual else []
    if residual and not blocks:
        raise UserError(
            f"the model '{model.name}' has no inverted residual block for tinytl to put a lite residual module beside: "
            "take one that has, such as mobilenet_v2, or set tinytl.residual=false to train biases only"
        )
    first, last = {block.first: block for block in blocks}, {block.last: block for block in blocks}
    entered: dict[Block, Tensor] = {}

    def clone(layer: keras.Layer) -> keras.Layer:
        if norm == "group" and isinstance(layer, layers.BatchNormalization):
            return _group_norm(layer.gamma.shape[0], name=layer.name, epsilon=layer.epsilon, dtype=layer.dtype_policy)
        return type(layer).from_config(layer.get_config())

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        if layer.name in first:
            entered[first[layer.name]] = args[0]
        y = layer(args[0]) if isinstance(layer, layers.GroupNormalization) else layer(*args, **kwargs)
        if layer.name not in last:
            return y
        block = last[layer.name]
        lite = lite_residual(entered[block], block, norm, layer.epsilon, layer.dtype_policy)
        return layers.Add(name=f"{block.name}{LITE}add", dtype=layer.dtype_policy)([y, lite])

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in model.layers:
        if layer.weights:
            _copy_weights(layer, copy.get_layer(layer.name), norm == "group", weight_bits)
    return copy


def lite_residual(x: Tensor, block: Block, norm: str, epsilon: float, dtype: Any) -> Tensor:
    """Applies the lite residual module of `block`: (B, H, H, C) -> (B, side, side, filters), zeros at first."""

    def conv(x: Tensor, filters: int, kernel: int, name: str, **options: Any) -> Tensor:
        init = keras.initializers.VarianceScaling(**HE_FAN_OUT)
        options |= {"padding": "same", "use_bias": False, "kernel_initializer": init, "dtype": dtype}
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
    kernel = max(size for size in range(1, LARGEST_KERNEL + 1, 2) if size <= max(pooled, 1))
    groups = GROUPS if channels % GROUPS == 0 else 1
    x = normalize(conv(x, make_divisible(channels), kernel, name, groups=groups, strides=block.stride), name)
    x = layers.ReLU(name=f"{name}relu", dtype=dtype)(x)
    name += "project_"
    x = normalize(conv(x, block.filters, 1, name), name, gamma_initializer="zeros")
    return _upsampled(x, block.side, f"{block.name}{LITE}upsample", dtype)


def _upsampled(x: Tensor, side: int, name: str, dtype: Any) -> Tensor:
    """Returns (B, h, h, C) as (B, side, side, C); `side` is no multiple of h where a side before was odd."""
    if x.shape[1] == side:
        return x
    if side % x.shape[1] == 0:
        return layers.UpSampling2D(side // x.shape[1], interpolation="bilinear", name=name, dtype=dtype)(x)
    return layers.Resizing(side, side, "bilinear", name=name, dtype=dtype)(x)


def _group_norm(channels: int, **options: Any) -> keras.Layer:
    """Returns a GroupNorm of 8 channels a group, or of the largest number below that divides `channels`."""
    each = next(size for size in range(CHANNELS_PER_GROUP, 0, -1) if channels % size == 0)
    return layers.GroupNormalization(channels // each, **options)


def _copy_weights(source: keras.Layer, target: keras.Layer, grouped: bool, bits: int) -> None:
    values = source.get_weights()[: len(target.get_weights())]  # of a BatchNorm, γ and β come first
    if bits and isinstance(source, (layers.Conv2D, layers.DepthwiseConv2D)):
        values[0] = clustered(values[0], 2**bits)
    if grouped and isinstance(source, (layers.Conv2D, layers.DepthwiseConv2D)) and not source.use_bias:
        values[0] = standardized(values[0], isinstance(source, layers.DepthwiseConv2D))
    target.set_weights(values)


def clustered(kernel: np.ndarray, count: int, iterations: int = 20) -> np.ndarray:
    """Returns `kernel` with each value replaced by the nearest of `count` centroids, found by k-means (Lloyd)."""
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
    """Returns the class that stands for `layer` in the network that is trained."""
    lite = LITE in layer.name
    if isinstance(layer, layers.BatchNormalization):
        return FusedBatchNormalization if lite else AffineBatchNormalization
    if isinstance(layer, layers.Conv2D) and lite:
        return StandardizedConv2D if grouped else GroupedConv2D
    if isinstance(layer, layers.ReLU) and layer.max_value in (None, 6.0):
        return MaskReLU
    if isinstance(layer, layers.Activation) and layer.activation is keras.activations.hard_silu:
        return LeanHardSwish
    return type(layer)
