"""The state while a Keras 3 graph is cloned in tf_keras, and the operators that several conversion rules share."""

from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tinytrain.errors import UserError
from tinytrain.nn.graph import Call, Graph
from tinytrain.quantize.hard_swish import HardSwish

Tensor: TypeAlias = Any


class Clip(tf_keras.layers.Layer):
    """Clips to [0, 1]. Not an operator of the int8 model: the range of the tensor before it already clips."""

    def call(self, x: Tensor) -> Tensor:
        """Returns `x` clipped."""
        return tf.clip_by_value(x, 0.0, 1.0)


class Builder:
    """Maps the tensors of a Keras 3 graph to those of its tf_keras clone, as far as the clone is built.

    Args:
        graph: the calls of the Keras 3 model.
        fold: whether a Rescaling of the image becomes part of the convolution that reads it.
    """

    def __init__(self, graph: Graph, fold: bool = False) -> None:
        self.graph = graph
        self.fold = fold
        self.tensors: dict[int, Tensor] = {}  # number of a tensor in `graph` -> tensor of the clone
        self.padded_by_reader: set[int] = set()  # outputs of dropped paddings: the convolution behind pads "same"
        self.rescaled: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # reader's output -> folded (scale, offset)
        self._readers = graph.consumers()
        self._name_counts: dict[str, int] = {}

    def input(self, call: Call) -> Tensor:
        """Returns the clone's tensor for the only input of `call`."""
        return self.tensors[call.inputs[0]]

    def record(self, result: Tensor, *calls: Call) -> None:
        """Records `result` as the output of each of `calls`, which were merged into one operator."""
        for call in calls:
            self.tensors[call.output] = result

    def channels(self, call: Call) -> int:
        """Returns the number of channels of the output of `call`."""
        return int(self.graph.shapes[call.output][-1] or 0)

    def name(self, layer: keras.Layer, suffix: str = "") -> str:
        """Returns an unused name for a layer of the clone; a layer called several times gets numbers."""
        name = layer.name + suffix
        self._name_counts[name] = self._name_counts.get(name, 0) + 1
        return name if self._name_counts[name] == 1 else f"{name}_{self._name_counts[name]}"

    def only_reader(self, call: Call, *classes: type) -> Call | None:
        """Returns the only call that reads the output of `call`, None unless its layer is one of `classes`."""
        readers = self._readers[call.output]
        is_only = len(readers) == 1 and call.output not in self.graph.outputs
        return readers[0] if is_only and isinstance(readers[0].layer, classes) else None

    def affine(self, x: Tensor, scale: np.ndarray, shift: np.ndarray, layer: keras.Layer) -> Tensor:
        """Returns x·scale + shift as a 1x1 depthwise convolution named after `layer`; `scale` and `shift` are (C,)."""
        depthwise = tf_keras.layers.DepthwiseConv2D(1, name=self.name(layer))
        y = depthwise(x)
        depthwise.set_weights([np.reshape(scale, (1, 1, -1, 1)), shift])
        return y

    def activate(self, x: Tensor, activation: str, layer: keras.Layer) -> Tensor:
        """Returns `x` after an activation that takes one or two operators of its own.

        Args:
            x: the tensor.
            activation: a name that `activation_of` returns.
            layer: the Keras layer that applies it, which names the operators and the error.

        Raises:
            UserError: if int8 has no operator for the activation.
        """
        if activation == "linear":
            return x
        if activation in ("relu", "relu6"):
            return tf_keras.layers.ReLU(6.0 if activation == "relu6" else None, name=self.name(layer))(x)
        if activation == "leaky_relu":
            return tf_keras.layers.LeakyReLU(slope_of(layer), name=self.name(layer))(x)
        if activation == "hard_silu":
            return HardSwish(name=self.name(layer))(x)
        if activation == "hard_sigmoid":
            x = self.affine(x, np.full(x.shape[-1], 1 / 6), np.full(x.shape[-1], 0.5), layer)
            return Clip(name=self.name(layer, "_clip"))(x)
        if activation in ("sigmoid", "softmax"):
            return tf_keras.layers.Activation(activation, name=self.name(layer))(x)
        if activation == "silu":
            gate = tf_keras.layers.Activation("sigmoid", name=self.name(layer, "_sigmoid"))(x)
            return tf_keras.layers.Multiply(name=self.name(layer))([x, gate])
        raise UserError(
            f"the layer '{layer.name}' of class {type(layer).__name__} applies '{activation}', which cannot be "
            "exported to int8: expected relu, relu6, leaky_relu, silu, hard_silu, sigmoid, hard_sigmoid or softmax"
        )


def activation_of(layer: keras.Layer) -> str:
    """Returns the name of the activation that `layer` is or applies to its result, such as "linear" or "relu6".

    A ReLU with a slope, a threshold or another limit than 6 gives its config, which no rule accepts.
    """
    if isinstance(layer, keras.layers.ReLU):
        names = {None: "relu", 6.0: "relu6"}  # by max_value
        is_plain = not layer.negative_slope and not layer.threshold and layer.max_value in names
        return names[layer.max_value] if is_plain else f"ReLU of {layer.get_config()}"
    if isinstance(layer, keras.layers.LeakyReLU | keras.layers.PReLU):
        return "leaky_relu"
    function = getattr(layer, "activation", None)
    return "linear" if function is None else str(keras.activations.serialize(function))


def slope_of(layer: keras.Layer) -> float:
    """Returns the slope for negative values of a layer that applies a leaky ReLU, also a learnt one.

    Raises:
        UserError: a PReLU with slopes that differ, which LEAKY_RELU has not.
    """
    if isinstance(layer, keras.layers.LeakyReLU):
        return float(layer.negative_slope)
    if not isinstance(layer, keras.layers.PReLU):
        return 0.2  # of Keras' leaky_relu
    slopes = np.asarray(layer.alpha)
    if np.ptp(slopes) > 0:
        raise UserError(
            f"the layer '{layer.name}' of class PReLU has {slopes.size} slopes, which cannot be exported to int8: "
            "expected one for all channels, shared_axes=[1, 2, 3]"
        )
    return float(slopes.flat[0])
