"""The state of one rebuilding of a graph as its tf_keras twin, and the operators that several rules make."""

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
    """Clips to [0, 1]. No operator of the int8 model: the range of the tensor before it does this."""

    def call(self, x: Tensor) -> Tensor:
        """Returns `x` clipped."""
        return tf.clip_by_value(x, 0.0, 1.0)


class Builder:
    """Which tensor of the graph is which tensor of the twin, so far."""

    def __init__(self, graph: Graph, fold: bool = False) -> None:
        self.graph = graph
        self.fold = fold  # a Rescaling of the image into the convolution that reads it
        self.made: dict[int, Tensor] = {}
        self.as_same: set[int] = set()  # tensors that a padding left out was to make: who reads them pads "same"
        self.rescaled: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # of an absorbed Rescaling: scale, offset
        self._readers = graph.consumers()
        self._names: dict[str, int] = {}

    def input(self, call: Call) -> Tensor:
        """Returns the twin's tensor for the only input of `call`."""
        return self.made[call.inputs[0]]

    def close(self, result: Tensor, *calls: Call) -> None:
        """Records that `result` is what each of `calls`, taken into one operator, hands on."""
        for call in calls:
            self.made[call.output] = result

    def channels(self, call: Call) -> int:
        """Returns the channels of what `call` computes."""
        return int(self.graph.shapes[call.output][-1] or 0)

    def name(self, layer: keras.Layer, suffix: str = "") -> str:
        """Returns a name for a new twin layer; a shared layer becomes several, numbered."""
        name = layer.name + suffix
        self._names[name] = self._names.get(name, 0) + 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name]}"

    def follower(self, call: Call, *classes: type) -> Call | None:
        """Returns the call that alone reads the output of `call`, if its layer is one of `classes`."""
        readers = self._readers[call.output]
        alone = len(readers) == 1 and call.output not in self.graph.outputs
        return readers[0] if alone and isinstance(readers[0].layer, classes) else None

    def affine(self, x: Tensor, scale: np.ndarray, shift: np.ndarray, layer: keras.Layer) -> Tensor:
        """Returns x·scale + shift, per channel, as a 1x1 depthwise convolution."""
        new = tf_keras.layers.DepthwiseConv2D(1, name=self.name(layer))
        y = new(x)
        new.set_weights([np.reshape(scale, (1, 1, -1, 1)), shift])
        return y

    def activate(self, x: Tensor, activation: str, layer: keras.Layer) -> Tensor:
        """Returns `x` after an activation that is one or two operators of its own."""
        if activation == "linear":
            return x
        if activation in ("relu", "relu6"):
            return tf_keras.layers.ReLU(6.0 if activation == "relu6" else None, name=self.name(layer))(x)
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
            "exported to int8: expected relu, relu6, silu, hard_silu, sigmoid, hard_sigmoid or softmax"
        )


def activation_of(layer: keras.Layer) -> str:
    """Returns "linear", "relu", "relu6", "silu" …: what `layer` is, or applies to its result."""
    if isinstance(layer, keras.layers.ReLU):
        limits = {None: "relu", 6.0: "relu6"}
        plain = not layer.negative_slope and not layer.threshold and layer.max_value in limits
        return limits[layer.max_value] if plain else f"ReLU of {layer.get_config()}"
    function = getattr(layer, "activation", None)
    return "linear" if function is None else str(keras.activations.serialize(function))
