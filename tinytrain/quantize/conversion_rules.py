"""What each Keras 3 layer becomes in the tf_keras twin: a rule per class.

A rule may take the calls behind its own into the same operator (BatchNorm, an activation, a padding); `Builder.close`
records under which tensors of the graph the result is known then.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tinytrain.errors import UserError
from tinytrain.nn.graph import Call
from tinytrain.quantize.clone_builder import Builder, Clip, Tensor, activation_of

FUSED = ("linear", "relu", "relu6")  # what CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED clip by themselves


def rebuild(b: Builder, call: Call) -> None:
    """Adds what `call` computes to the twin, unless an earlier rule took it in already."""
    if call.outputs[0] in b.made:
        return
    rule = RULES.get(type(call.layer).__name__)
    if rule is None:
        raise UserError(
            f"the layer '{call.layer.name}' of class {type(call.layer).__name__} cannot be exported to int8: "
            f"expected one of {', '.join(sorted(RULES))}"
        )
    rule(b, call)


def batch_norm_affine(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Returns scale and shift (C,) such that the BatchNorm in inference is x·scale + shift."""
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    scale = 1 / np.sqrt(variance.astype("float64") + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma)
    shift = -mean * scale
    if layer.center:
        shift = shift + np.asarray(layer.beta)
    return scale, shift


def _weighted(b: Builder, call: Call) -> None:
    """Convolution, depthwise convolution or fully connected layer, with the BatchNorm and the activation behind it."""
    layer, taken, activation = call.layer, [call], activation_of(call.layer)
    kernel = np.asarray(layer.kernel).astype("float64")
    bias = np.asarray(layer.bias) if layer.use_bias else np.zeros(b.channels(call))
    if call.output in b.rescaled:
        kernel, bias = _of_rescaled(layer, kernel, bias, *b.rescaled[call.output])
    if activation == "linear" and (norm := b.follower(call, keras.layers.BatchNormalization)):
        scale, shift = batch_norm_affine(norm.layer)
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        kernel = kernel * (scale.reshape(kernel.shape[-2:]) if depthwise else scale)
        bias = bias * scale + shift
        taken.append(norm)
    if activation == "linear" and (act := b.follower(taken[-1], keras.layers.ReLU, keras.layers.Activation)):
        activation = activation_of(act.layer)
        taken.append(act)
    if activation == "hard_sigmoid":
        kernel, bias = kernel / 6, (bias + 3) / 6
    new, kernel = _counterpart(b, call, kernel, activation if activation in FUSED else "linear")
    x = b.input(call)
    as_vector = isinstance(new, tf_keras.layers.Dense) and len(x.shape) == 4
    y = new(_flat(b, x, layer) if as_vector else x)
    new.set_weights([kernel, bias])
    if activation == "hard_sigmoid":
        y = Clip(name=b.name(taken[-1].layer, "_clip"))(y)
    elif activation not in FUSED:
        y = b.activate(y, activation, taken[-1].layer)
    if as_vector:
        y = tf_keras.layers.Reshape((1, 1, new.units), name=b.name(layer, "_map"))(y)
    b.close(y, *taken)


def _of_rescaled(
    layer: keras.layers.Layer, kernel: np.ndarray, bias: np.ndarray, scale: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel and bias that do to x what the given ones do to x·scale + offset: (k, k, C, F), (F,)."""
    shift = kernel * offset[:, None]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel * scale[:, None], bias + shift.sum((0, 1)).reshape(-1)
    return kernel * scale[:, None], bias + shift.sum((0, 1, 2))


def _counterpart(
    b: Builder, call: Call, kernel: np.ndarray, activation: str
) -> tuple[tf_keras.layers.Layer, np.ndarray]:
    """Returns the unbuilt tf_keras layer for `call` and its kernel."""
    layer = call.layer
    common = {"activation": tf.nn.relu6 if activation == "relu6" else activation, "name": b.name(layer)}
    if isinstance(layer, keras.layers.Dense):
        if len(b.input(call).shape) == 2:
            return tf_keras.layers.Dense(layer.units, **common), kernel
        return tf_keras.layers.Conv2D(layer.units, 1, **common), kernel[None, None]
    if kernel.shape[:2] == (1, 1) and _is_vector(b.input(call)) and layer.groups == 1:
        return tf_keras.layers.Dense(layer.filters, **common), kernel[0, 0]  # half the instructions of CONV_2D
    padding = "same" if call.inputs[0] in b.as_same else layer.padding
    common.update(strides=layer.strides, padding=padding, dilation_rate=layer.dilation_rate)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return tf_keras.layers.DepthwiseConv2D(
            kernel.shape[:2], depth_multiplier=layer.depth_multiplier, **common
        ), kernel
    return tf_keras.layers.Conv2D(layer.filters, kernel.shape[:2], groups=layer.groups, **common), kernel


def _is_vector(x: Tensor) -> bool:
    """Returns whether (B, 1, 1, C) was pooled to that or is a reshaped (B, C): as (B, C) it costs no RESHAPE."""
    before = x.node.layer
    pooled = isinstance(before, tf_keras.layers.AveragePooling2D | tf_keras.layers.MaxPooling2D)
    reshaped = isinstance(before, tf_keras.layers.Reshape) and len(before.input.shape) == 2
    return tuple(x.shape[1:]) == (1, 1, x.shape[-1]) and (pooled or reshaped)


def _flat(b: Builder, x: Tensor, layer: keras.Layer) -> Tensor:
    """Returns (B, 1, 1, C) as (B, C); after a Reshape the other way round, what came before it."""
    before = x.node.layer
    if isinstance(before, tf_keras.layers.Reshape) and len(before.input.shape) == 2:
        return before.input
    return tf_keras.layers.Flatten(name=b.name(layer, "_flat"))(x)


def _batch_norm(b: Builder, call: Call) -> None:
    """A BatchNorm that has no convolution before it."""
    b.close(b.affine(b.input(call), *batch_norm_affine(call.layer), call.layer), call)


def _rescaling(b: Builder, call: Call) -> None:
    x = b.input(call)
    ones = np.ones(x.shape[-1])
    scale, offset = ones * call.layer.scale, ones * call.layer.offset
    if b.fold and (reader := reader_of_rescaled(b, call)):
        b.rescaled[reader.output] = scale, offset
        b.close(x, call)
    else:
        b.close(b.affine(x, scale, offset, call.layer), call)


def reader_of_rescaled(b: Builder, call: Call) -> Call | None:
    """Returns the convolution that a Rescaling of the image, `call`, can go into; zero padding may stand between."""
    if call.inputs[0] not in b.graph.inputs:
        return None
    pad = b.follower(call, keras.layers.ZeroPadding2D)
    reader = b.follower(pad or call, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return reader if reader and getattr(reader.layer, "groups", 1) == 1 else None


def _activation(b: Builder, call: Call) -> None:
    b.close(b.activate(b.input(call), activation_of(call.layer), call.layer), call)


def _nothing(b: Builder, call: Call) -> None:
    """A layer that does nothing in inference."""
    b.close(b.input(call), call)


def _add(b: Builder, call: Call) -> None:
    """A sum; of more than two, pairwise, because ADD has two inputs."""
    total, *rest = [b.made[number] for number in call.inputs]
    for other in rest:
        total = tf_keras.layers.Add(name=b.name(call.layer))([total, other])
    b.close(total, call)


def _multiply(b: Builder, call: Call) -> None:
    product, *rest = [b.made[number] for number in call.inputs]
    for other in rest:
        product = tf_keras.layers.Multiply(name=b.name(call.layer))([product, other])
    b.close(product, call)


def _pool(b: Builder, call: Call) -> None:
    layer = call.layer
    new = getattr(tf_keras.layers, type(layer).__name__)(
        layer.pool_size, layer.strides, layer.padding, name=b.name(layer)
    )
    b.close(new(b.input(call)), call)


def _global_pool(b: Builder, call: Call) -> None:
    """Pooling over the whole map: (B, H, W, C) -> (B, 1, 1, C), flattened where the model has (B, C)."""
    layer, x = call.layer, b.input(call)
    is_max = isinstance(layer, keras.layers.GlobalMaxPooling2D)
    kind = tf_keras.layers.MaxPooling2D if is_max else tf_keras.layers.AveragePooling2D
    y = x if tuple(x.shape[1:3]) == (1, 1) else kind(tuple(x.shape[1:3]), name=b.name(layer))(x)
    b.close(y if layer.keepdims else tf_keras.layers.Flatten(name=b.name(layer, "_flat"))(y), call)


def _resize(b: Builder, call: Call) -> None:
    """A bilinear enlargement, by a factor or to a side.

    The int8 operator counts positions in 1/1024 pixels: by 2 it is exact, by 2.5 or 3 a step off now and then.
    """
    layer = call.layer
    if layer.interpolation != "bilinear":
        raise UserError(
            f"the layer '{layer.name}' of class {type(layer).__name__} interpolates '{layer.interpolation}', which "
            "cannot be exported to int8: expected bilinear"
        )
    height, width = b.graph.shapes[call.output][1:3]
    b.close(tf_keras.layers.Resizing(height, width, "bilinear", name=b.name(layer))(b.input(call)), call)


def _zero_padding(b: Builder, call: Call) -> None:
    """Explicit zeros: none of the operators if the convolution behind them pads the same by itself, else a PAD.

    PAD takes about one instruction a value. To widen the kernel by zeros instead costs up to 0.7 of the convolution;
    one that pads by itself can only pad as "same" does.
    """
    follower = b.follower(call, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    if follower and pads_as_same(b.graph.shapes[call.inputs[0]][1:3], call.layer.padding, follower.layer):
        b.as_same.add(call.output)
        b.close(b.input(call), call)
    else:
        b.close(tf_keras.layers.ZeroPadding2D(call.layer.padding, name=b.name(call.layer))(b.input(call)), call)


def pads_as_same(size: tuple[int | None, ...], padding: tuple[tuple[int, int], ...], layer: keras.layers.Layer) -> bool:
    """Returns whether `layer`, "valid" behind `padding` of a map of `size`, is `layer` with "same" and no padding.

    On each axis "same" gives ceil(n / stride) outputs and pads (outputs - 1)·stride + kernel - n, half of it, rounded
    down, before: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2.
    """
    if layer.padding != "valid":
        return False
    for length, given, taps, stride, dilation in zip(
        size, padding, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True
    ):
        length, reach = length or 0, (taps - 1) * dilation + 1
        zeros = max((-(-length // stride) - 1) * stride + reach - length, 0)
        if given != (zeros // 2, zeros - zeros // 2):
            return False
    return True


def _reshape(b: Builder, call: Call) -> None:
    """A new shape; (B, 1, 1, C) -> (B, C) -> (B, 1, 1, C) cancels out."""
    x, shape = b.input(call), b.graph.shapes[call.output][1:]
    before = x.node.layer.input if isinstance(x.node.layer, tf_keras.layers.Flatten) else None
    if before is not None and tuple(before.shape[1:]) == shape:
        b.close(before, call)
    elif len(shape) == 1:
        b.close(tf_keras.layers.Flatten(name=b.name(call.layer))(x), call)
    else:
        b.close(tf_keras.layers.Reshape(shape, name=b.name(call.layer))(x), call)


Rule = Callable[[Builder, Call], None]
RULES: dict[str, Rule] = {
    **dict.fromkeys(["Conv2D", "DepthwiseConv2D", "Dense"], _weighted),
    **dict.fromkeys(["Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "Identity"], _nothing),
    **dict.fromkeys(["ReLU", "Activation", "Softmax"], _activation),
    **dict.fromkeys(["AveragePooling2D", "MaxPooling2D"], _pool),
    **dict.fromkeys(["GlobalAveragePooling2D", "GlobalMaxPooling2D"], _global_pool),
    **dict.fromkeys(["Flatten", "Reshape"], _reshape),
    **dict.fromkeys(["UpSampling2D", "Resizing"], _resize),
    "BatchNormalization": _batch_norm,
    "Rescaling": _rescaling,
    "ZeroPadding2D": _zero_padding,
    "Add": _add,
    "Multiply": _multiply,
}
