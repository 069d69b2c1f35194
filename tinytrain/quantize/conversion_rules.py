"""Conversion rules: one for each class of Keras 3 layers adds the equivalent operators to the tf_keras clone.

A rule may merge the calls behind its own (BatchNorm, an activation, a padding) into the same operator. It then passes
all of them to `Builder.record`, so that the layers behind them find its result.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tinytrain.errors import UserError
from tinytrain.nn.graph import Call
from tinytrain.quantize.clone_builder import Builder, Clip, Tensor, activation_of

ACTIVATIONS = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.Activation)
FUSED = ("linear", "relu", "relu6")  # activations that CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED apply themselves


def convert(b: Builder, call: Call) -> None:
    """Adds the operators of `call` to the clone, unless an earlier rule merged it already.

    Raises:
        UserError: if there is no rule for the class of its layer.
    """
    if call.outputs[0] in b.tensors:
        return
    rule = RULES.get(type(call.layer).__name__)
    if rule is None:
        raise UserError(
            f"the layer '{call.layer.name}' of class {type(call.layer).__name__} cannot be exported to int8: "
            f"expected one of {', '.join(sorted(RULES))}"
        )
    rule(b, call)


def batch_norm_affine(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Returns (scale, shift), each (C,), with which a BatchNorm in inference is x·scale + shift."""
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    scale = 1 / np.sqrt(variance.astype("float64") + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma)
    shift = -mean * scale
    if layer.center:
        shift = shift + np.asarray(layer.beta)
    return scale, shift


def _weighted(b: Builder, call: Call) -> None:
    """Converts a convolution, depthwise convolution or dense layer with the BatchNorm and the activation behind it."""
    layer, merged, activation = call.layer, [call], activation_of(call.layer)
    kernel = np.asarray(layer.kernel).astype("float64")
    bias = np.asarray(layer.bias) if layer.use_bias else np.zeros(b.channels(call))
    if call.output in b.rescaled:
        kernel, bias = _fold_rescaling(layer, kernel, bias, *b.rescaled[call.output])
    if activation == "linear" and (norm := b.only_reader(call, keras.layers.BatchNormalization)):
        scale, shift = batch_norm_affine(norm.layer)
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        kernel = kernel * (scale.reshape(kernel.shape[-2:]) if depthwise else scale)
        bias = bias * scale + shift
        merged.append(norm)
    if activation == "linear" and (act := b.only_reader(merged[-1], *ACTIVATIONS)):
        activation = activation_of(act.layer)
        merged.append(act)
    if activation == "hard_sigmoid":
        kernel, bias = kernel / 6, (bias + 3) / 6
    operator, kernel = _tf_keras_layer(b, call, kernel, activation if activation in FUSED else "linear")
    x = b.input(call)
    as_vector = isinstance(operator, tf_keras.layers.Dense) and len(x.shape) == 4
    y = operator(_flatten(b, x, layer) if as_vector else x)
    operator.set_weights([kernel, bias])
    if activation == "hard_sigmoid":
        y = Clip(name=b.name(merged[-1].layer, "_clip"))(y)
    elif activation not in FUSED:
        y = b.activate(y, activation, merged[-1].layer)
    if as_vector:
        y = tf_keras.layers.Reshape((1, 1, operator.units), name=b.name(layer, "_map"))(y)
    b.record(y, *merged)


def _fold_rescaling(
    layer: keras.layers.Layer, kernel: np.ndarray, bias: np.ndarray, scale: np.ndarray, offset: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kernel (k, k, C, F) and bias (F,) that give for x what the given ones give for x·scale + offset."""
    shift = kernel * offset[:, None]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel * scale[:, None], bias + shift.sum((0, 1)).reshape(-1)
    return kernel * scale[:, None], bias + shift.sum((0, 1, 2))


def _tf_keras_layer(
    b: Builder, call: Call, kernel: np.ndarray, activation: str
) -> tuple[tf_keras.layers.Layer, np.ndarray]:
    """Returns the tf_keras layer for `call`, not yet built, and the kernel in its shape."""
    layer = call.layer
    common = {"activation": tf.nn.relu6 if activation == "relu6" else activation, "name": b.name(layer)}
    if isinstance(layer, keras.layers.Dense):
        if len(b.input(call).shape) == 2:
            return tf_keras.layers.Dense(layer.units, **common), kernel
        return tf_keras.layers.Conv2D(layer.units, 1, **common), kernel[None, None]
    if kernel.shape[:2] == (1, 1) and _is_vector(b.input(call)) and layer.groups == 1:
        return tf_keras.layers.Dense(layer.filters, **common), kernel[0, 0]  # half the instructions of CONV_2D
    padding = "same" if call.inputs[0] in b.padded_by_reader else layer.padding
    common.update(strides=layer.strides, padding=padding, dilation_rate=layer.dilation_rate)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return tf_keras.layers.DepthwiseConv2D(
            kernel.shape[:2], depth_multiplier=layer.depth_multiplier, **common
        ), kernel
    return tf_keras.layers.Conv2D(layer.filters, kernel.shape[:2], groups=layer.groups, **common), kernel


def _is_vector(x: Tensor) -> bool:
    """Returns whether `x` is (B, 1, 1, C) from a pooling or from a reshaped (B, C), which is (B, C) without RESHAPE."""
    producer = x.node.layer
    is_pooled = isinstance(producer, tf_keras.layers.AveragePooling2D | tf_keras.layers.MaxPooling2D)
    is_reshaped = isinstance(producer, tf_keras.layers.Reshape) and len(producer.input.shape) == 2
    return tuple(x.shape[1:]) == (1, 1, x.shape[-1]) and (is_pooled or is_reshaped)


def _flatten(b: Builder, x: Tensor, layer: keras.Layer) -> Tensor:
    """Returns `x` (B, 1, 1, C) as (B, C): the input of the Reshape that made it, if there is one."""
    producer = x.node.layer
    if isinstance(producer, tf_keras.layers.Reshape) and len(producer.input.shape) == 2:
        return producer.input
    return tf_keras.layers.Flatten(name=b.name(layer, "_flat"))(x)


def _batch_norm(b: Builder, call: Call) -> None:
    """Converts a BatchNorm without a convolution before it."""
    b.record(b.affine(b.input(call), *batch_norm_affine(call.layer), call.layer), call)


def _rescaling(b: Builder, call: Call) -> None:
    """Converts a Rescaling: part of the convolution that reads it if `b.fold` allows, else an operator of its own."""
    x = b.input(call)
    ones = np.ones(x.shape[-1])
    scale, offset = ones * call.layer.scale, ones * call.layer.offset
    if b.fold and (reader := _reader_of_rescaling(b, call)):
        b.rescaled[reader.output] = scale, offset
        b.record(x, call)
    else:
        b.record(b.affine(x, scale, offset, call.layer), call)


def _reader_of_rescaling(b: Builder, call: Call) -> Call | None:
    """Returns the convolution that `call`, a Rescaling of the image, can be folded into, or None.

    A zero padding may stand between them.
    """
    if call.inputs[0] not in b.graph.inputs:
        return None
    pad = b.only_reader(call, keras.layers.ZeroPadding2D)
    reader = b.only_reader(pad or call, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    return reader if reader and getattr(reader.layer, "groups", 1) == 1 else None


def _activation(b: Builder, call: Call) -> None:
    """Converts an activation that no convolution before it could apply."""
    b.record(b.activate(b.input(call), activation_of(call.layer), call.layer), call)


def _identity(b: Builder, call: Call) -> None:
    """Drops a layer that does nothing in inference."""
    b.record(b.input(call), call)


def _add(b: Builder, call: Call) -> None:
    """Converts a sum; more than two terms are added pairwise, because ADD has two inputs."""
    total, *terms = [b.tensors[number] for number in call.inputs]
    for term in terms:
        total = tf_keras.layers.Add(name=b.name(call.layer))([total, term])
    b.record(total, call)


def _multiply(b: Builder, call: Call) -> None:
    """Converts a product; more than two factors are multiplied pairwise, because MUL has two inputs."""
    product, *factors = [b.tensors[number] for number in call.inputs]
    for factor in factors:
        product = tf_keras.layers.Multiply(name=b.name(call.layer))([product, factor])
    b.record(product, call)


def _pool(b: Builder, call: Call) -> None:
    """Converts an average or max pooling with a window."""
    layer = call.layer
    pooling = getattr(tf_keras.layers, type(layer).__name__)(
        layer.pool_size, layer.strides, layer.padding, name=b.name(layer)
    )
    b.record(pooling(b.input(call)), call)


def _global_pool(b: Builder, call: Call) -> None:
    """Converts a global pooling: (B, H, W, C) -> (B, 1, 1, C), flattened to (B, C) where the model has that."""
    layer, x = call.layer, b.input(call)
    is_max = isinstance(layer, keras.layers.GlobalMaxPooling2D)
    kind = tf_keras.layers.MaxPooling2D if is_max else tf_keras.layers.AveragePooling2D
    y = x if tuple(x.shape[1:3]) == (1, 1) else kind(tuple(x.shape[1:3]), name=b.name(layer))(x)
    b.record(y if layer.keepdims else tf_keras.layers.Flatten(name=b.name(layer, "_flat"))(y), call)


def _resize(b: Builder, call: Call) -> None:
    """Converts an upsampling, bilinear by a factor or to a size, or nearest by a whole factor.

    The int8 operator of bilinear counts positions in 1/1024 pixels: it is exact for a factor of 2; for 2.5 or 3 single
    values are off by one step.

    Raises:
        UserError: if the layer interpolates in another way.
    """
    layer = call.layer
    sizes, expected = [b.graph.shapes[tensor][1:3] for tensor in (call.output, call.inputs[0])], "bilinear"
    if layer.interpolation == "nearest":
        expected = "bilinear, or nearest by a whole factor"
    whole = all((after or 0) % (before or 1) == 0 for after, before in zip(*sizes, strict=True))
    if layer.interpolation != "bilinear" and not (layer.interpolation == "nearest" and whole):
        raise UserError(
            f"the layer '{layer.name}' of class {type(layer).__name__} interpolates '{layer.interpolation}', which "
            f"cannot be exported to int8: expected {expected}"
        )
    resizing = tf_keras.layers.Resizing(*sizes[0], layer.interpolation, name=b.name(layer))
    b.record(resizing(b.input(call)), call)


def _concatenate(b: Builder, call: Call) -> None:
    """Converts a concatenation of channels; its int8 operator copies bytes, so all parts share one range (qat.py)."""
    layer, rank = call.layer, len(b.graph.shapes[call.output])
    if layer.axis not in (-1, rank - 1):
        raise UserError(
            f"the layer '{layer.name}' joins along axis {layer.axis}, which cannot be exported to int8: expected the "
            "channels, axis -1"
        )
    joined = tf_keras.layers.Concatenate(name=b.name(layer))([b.tensors[number] for number in call.inputs])
    b.record(joined, call)


def _zero_padding(b: Builder, call: Call) -> None:
    """Drops a zero padding if the convolution behind it can pad in the same way itself, else converts it to PAD.

    PAD takes about one instruction a value. Widening the kernel with zeros instead would cost up to 0.7 of the
    convolution, and a convolution that pads itself can only pad as "same" does.
    """
    reader = b.only_reader(call, keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    if reader and pads_as_same(b.graph.shapes[call.inputs[0]][1:3], call.layer.padding, reader.layer):
        b.padded_by_reader.add(call.output)
        b.record(b.input(call), call)
    else:
        b.record(tf_keras.layers.ZeroPadding2D(call.layer.padding, name=b.name(call.layer))(b.input(call)), call)


def pads_as_same(size: tuple[int | None, ...], padding: tuple[tuple[int, int], ...], layer: keras.layers.Layer) -> bool:
    """Returns whether `layer` behind a zero padding gives what it would give with padding "same" and none before it.

    On each axis "same" gives ceil(n / stride) outputs and pads (outputs - 1)·stride + kernel - n zeros, half of them,
    rounded down, at the start: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2.

    Args:
        size: height and width of the unpadded map.
        padding: ((top, bottom), (left, right)) zeros.
        layer: the convolution that reads the padded map.
    """
    if layer.padding != "valid":
        return False
    for length, zeros, kernel_size, stride, dilation in zip(
        size, padding, layer.kernel_size, layer.strides, layer.dilation_rate, strict=True
    ):
        length, dilated_size = length or 0, (kernel_size - 1) * dilation + 1
        same_total = max((-(-length // stride) - 1) * stride + dilated_size - length, 0)
        if zeros != (same_total // 2, same_total - same_total // 2):
            return False
    return True


def _reshape(b: Builder, call: Call) -> None:
    """Converts a change of shape; (B, 1, 1, C) -> (B, C) -> (B, 1, 1, C) cancels out."""
    x, shape = b.input(call), b.graph.shapes[call.output][1:]
    unflattened = x.node.layer.input if isinstance(x.node.layer, tf_keras.layers.Flatten) else None
    if unflattened is not None and tuple(unflattened.shape[1:]) == shape:
        b.record(unflattened, call)
    elif len(shape) == 1:
        b.record(tf_keras.layers.Flatten(name=b.name(call.layer))(x), call)
    else:
        b.record(tf_keras.layers.Reshape(shape, name=b.name(call.layer))(x), call)


Rule = Callable[[Builder, Call], None]
RULES: dict[str, Rule] = {
    **dict.fromkeys(["Conv2D", "DepthwiseConv2D", "Dense"], _weighted),
    **dict.fromkeys(["Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "Identity"], _identity),
    **dict.fromkeys(["ReLU", "LeakyReLU", "PReLU", "Activation", "Softmax"], _activation),
    **dict.fromkeys(["AveragePooling2D", "MaxPooling2D"], _pool),
    **dict.fromkeys(["GlobalAveragePooling2D", "GlobalMaxPooling2D"], _global_pool),
    **dict.fromkeys(["Flatten", "Reshape"], _reshape),
    **dict.fromkeys(["UpSampling2D", "Resizing"], _resize),
    "BatchNormalization": _batch_norm,
    "Rescaling": _rescaling,
    "ZeroPadding2D": _zero_padding,
    "Add": _add,
    "Multiply": _multiply,
    "Concatenate": _concatenate,
}
