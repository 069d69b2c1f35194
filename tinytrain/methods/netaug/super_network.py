"""A network whose weights hold many narrower ones: each uses the first channels of everything (NetAug, A.2 and A.3).

It is made from the graph of the tiny network: every group of channels gets as wide as the largest network that can be
drawn. A network in it is a list of widths, one for each group. Widths are factors times those of the tiny network:
- outer channels: base·f, f from the width factors;
- inner ones: e·f times the width that their block reads in this very network, e = inner / read in the tiny network;
- squeezed ones: in proportion to the channels that they scale, at least 16 (or as many as the tiny network has), by the
  reduction of the largest network.
All are rounded to 1, not to 8 (methods.md A.2).

A network is computed with its own channels and with some of zeros behind them, up to a multiple of 16: oneDNN's
BatchNorm takes four times as long on 83 channels as on 96. Their kernels, γ and β are zero, so they stay zero behind
every layer and change nothing (benchmarks/netaug.py).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tinytrain.errors import UserError
from tinytrain.methods.netaug.channels import Group, groups
from tinytrain.methods.netaug.search_space import Width, choices, draw
from tinytrain.nn.graph import Call, walk

VECTOR = 16  # float32 values that the CPU computes at once


class Grouped(NamedTuple):
    """A side of a variable that has an entry for each channel of the group of this number."""

    group: int


Side = int | Grouped


class SuperNetwork:
    """The widened copy of a functional model and the networks in it.

    Args:
        tiny: the functional model that is to be the smallest network.
        width_factors, expansion_factors: ascending, the first one 1.

    Raises:
        UserError: a graph that cannot be widened; it names the layer.
    """

    def __init__(self, tiny: keras.Model, width_factors: Sequence, expansion_factors: Sequence) -> None:
        for layer in tiny.layers:
            if isinstance(layer, keras.Model):
                raise UserError(f"the layer '{layer.name}' is a model of its own: expected its layers in its place")
        self.graph = walk(tiny)
        by_tensor = groups(self.graph)
        self.choices = choices(list(by_tensor.values()), width_factors, expansion_factors)
        number = {id(choice.group): index for index, choice in enumerate(self.choices)}
        self.group_of = {tensor: number[id(group)] for tensor, group in by_tensor.items()}
        self.model = _widened(
            tiny, {call.layer.name: self.largest[self.group_of[call.output]] for call in self.graph.calls}
        )
        self._layers = {layer.name: layer for layer in self.model.layers}
        self._sides = {id(v): sides for call in self.graph.calls for v, sides in self._sides_of(call)}

    @property
    def smallest(self) -> list[int]:
        """The widths of the tiny network."""
        return [choice.widths[0] for choice in self.choices]

    @property
    def largest(self) -> list[int]:
        """The widths of the largest network, which is `model`."""
        return [max(choice.widths) for choice in self.choices]

    def draw(self, seed: tf.Tensor, outer: tf.Tensor) -> list[Width]:
        """Returns the widths of a network in which every group draws its own factor, all with equal probability.

        seed: (2,) integers that say which network; outer: a boolean scalar, whether outer channels are widened too.
        """
        return draw(self.choices, seed, outer)

    def macs(self, widths: Sequence[int]) -> int:
        """Returns the multiply-adds of one image through the network of these widths (without BatchNorm)."""
        return sum(self._macs(call, widths) for call in self.graph.calls)

    def _macs(self, call: Call, widths: Sequence[int]) -> int:
        if not hasattr(call.layer, "kernel"):
            return 0
        sides = [side or 1 for side in self.graph.shapes[call.output][1:-1]]
        places = math.prod(sides) * math.prod(getattr(call.layer, "kernel_size", ()))
        depthwise = isinstance(call.layer, layers.DepthwiseConv2D)
        return places * widths[self.group_of[call.output]] * (1 if depthwise else widths[self.group_of[call.inputs[0]]])

    def _sides_of(self, call: Call) -> Iterator[tuple[keras.Variable, list["Side"]]]:
        """Yields each variable of a layer with its sides: a fixed number, or a group that says how many are used."""
        layer = self._layers[call.layer.name]
        read, written = (Grouped(self.group_of[tensor]) for tensor in (call.inputs[0], call.output))
        for variable in () if isinstance(layer, layers.Dropout) else layer.variables:
            if variable is not getattr(layer, "kernel", None):
                yield variable, [written]
            elif isinstance(layer, layers.DepthwiseConv2D):
                yield variable, [*layer.kernel_size, written, 1]
            else:
                yield variable, [*getattr(layer, "kernel_size", ()), read, written]

    def carriers(self) -> list[list[tuple[keras.Variable, int]]]:
        """Returns for each group the variables, with the axis, that hold something for each of its channels."""
        found: list[list[tuple[keras.Variable, int]]] = [[] for _ in self.choices]
        for variable in self.model.variables:
            for axis, side in enumerate(self._sides.get(id(variable), [])):
                if isinstance(side, Grouped):
                    found[side.group].append((variable, axis))
        return found

    def cut(self, widths: Sequence[Width]) -> list[tf.Tensor]:
        """Returns what the network of these widths uses of each trainable variable of `model`, filled up with zeros."""
        return [self._cut(variable, widths) for variable in self.model.trainable_variables]

    def _cut(self, variable: keras.Variable, widths: Sequence[Width]) -> tf.Tensor:
        used, filled = self._used(variable, widths), self._filled(variable, widths)
        return _fill(_first(tf.convert_to_tensor(variable.value), variable.shape, used), used, filled)

    def _used(self, variable: keras.Variable, widths: Sequence[Width]) -> list[Width]:
        return [widths[side.group] if isinstance(side, Grouped) else side for side in self._sides[id(variable)]]

    def _filled(self, variable: keras.Variable, widths: Sequence[Width]) -> list[Width]:
        return [
            self._filled_width(side.group, widths) if isinstance(side, Grouped) else side
            for side in self._sides[id(variable)]
        ]

    def _filled_width(self, number: int, widths: Sequence[Width]) -> Width:
        if self.choices[number].group.kind == "fixed":
            return widths[number]
        return (widths[number] + VECTOR - 1) // VECTOR * VECTOR

    def sum_gradients(self, tiny: list[tf.Tensor], wider: list[tf.Tensor], widths: Sequence[Width]) -> list[tf.Tensor]:
        """Returns for each trainable variable the sum of its gradients in two networks, zero where neither uses it.

        tiny, wider: gradients of what `cut` returned for the smallest network and for the one of `widths`.
        """
        found = []
        for variable, first, second in zip(self.model.trainable_variables, tiny, wider, strict=True):
            least, used = self._used(variable, self.smallest), self._used(variable, widths)
            first = _first(first, self._filled(variable, self.smallest), least)
            second = _first(second, self._filled(variable, widths), used)
            found.append(_fill(second + _fill(first, least, used), used, list(variable.shape)))
        return found

    def __call__(
        self, x: tf.Tensor, widths: Sequence[Width], training: bool, weights: list[tf.Tensor] | None = None
    ) -> Any:
        """Returns the outputs for images (B, H, W, C) by the network of these widths.

        In training BatchNorm uses the statistics of the batch and updates the first channels of the running ones.
        `weights` are what `cut` returned for these widths, if gradients with respect to them are wanted.
        """
        weights = self.cut(widths) if weights is None else weights
        own = {id(variable): value for variable, value in zip(self.model.trainable_variables, weights, strict=True)}
        tensors = {self.graph.inputs[0]: x}
        for call in self.graph.calls:
            inputs = [tensors[number] for number in call.inputs]
            tensors[call.output] = self._run(call, inputs, widths, own, training)
        return tf.nest.pack_sequence_as(self.model.output, [tensors[number] for number in self.graph.outputs])

    def _run(
        self, call: Call, inputs: list[tf.Tensor], widths: Sequence[Width], own: dict[int, tf.Tensor], training: bool
    ) -> tf.Tensor:
        layer = self._layers[call.layer.name]
        if isinstance(layer, layers.BatchNormalization):
            return self._batch_norm(layer, inputs[0], widths, own, training)
        if isinstance(layer, layers.DepthwiseConv2D | layers.Conv2D | layers.Dense):
            bias = None if layer.bias is None else own[id(layer.bias)]
            return _weighted(layer, inputs[0], own[id(layer.kernel)], bias)
        if isinstance(layer, layers.Flatten):
            width = self._filled_width(self.group_of[call.output], widths)
            return tf.reshape(inputs[0], [-1, width])
        options = {"training": training} if isinstance(layer, layers.Dropout) else {}
        return layer(inputs if len(inputs) > 1 else inputs[0], **options)

    def _batch_norm(
        self,
        layer: keras.Layer,
        x: tf.Tensor,
        widths: Sequence[Width],
        own: dict[int, tf.Tensor],
        training: bool,
    ) -> tf.Tensor:
        running = [layer.moving_mean, layer.moving_variance]
        y, *statistics = tf.compat.v1.nn.fused_batch_norm(
            x,
            own[id(layer.gamma)],
            own[id(layer.beta)],
            *([] if training else [self._cut(variable, widths) for variable in running]),
            epsilon=layer.epsilon,
            is_training=training,
        )
        for variable, value in zip(running, statistics, strict=True) if training else ():
            (used,) = self._used(variable, widths)
            before = variable.value[:used]
            variable.value[:used].assign(before * layer.momentum + value[:used] * (1 - layer.momentum))
        return y

    def importance(self, group: Group) -> np.ndarray:
        """Returns the L1 norm of what reads each channel of an inner or squeezed group, of all channels there are.

        Inner channels are read by the projection (and by a squeeze-excite, which does not count).
        """
        squeezed = {name for choice in self.choices if choice.group.kind == "squeezed" for name in _names(choice.group)}
        (reader,) = [layer.name for layer in group.readers if group.kind == "squeezed" or layer.name not in squeezed]
        kernel = np.abs(self._layers[reader].kernel.numpy())
        return kernel.sum(axis=(0, 1, 3), dtype=np.float64)

    def copy_weights(self, tiny: keras.Model, to_tiny: bool) -> None:
        """Copies the first channels into the layers of the same name of the network `tiny`, or from there."""
        for small in (layer for layer in tiny.layers if layer.variables):
            for own, variable in zip(self._layers[small.name].variables, small.variables, strict=True):
                first = tuple(slice(0, side) for side in variable.shape)
                if to_tiny:
                    variable.assign(own.value[first])
                else:
                    values = own.numpy()
                    values[first] = variable.numpy()
                    own.assign(values)


def _names(group: Group) -> list[str]:
    return [layer.name for layer in (*group.writers, *group.readers)]


def _widened(tiny: keras.Model, widths: dict[str, int]) -> keras.Model:
    """Returns `tiny` with `widths` channels behind each convolution and dense layer, initialised as NetAug's code does.

    That is PyTorch's uniform(±1/√fan-in) for convolutions and a normal of deviation 0.02 for dense layers (A.5).
    """

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, layers.DepthwiseConv2D):
            bound = 1 / np.sqrt(np.prod(layer.kernel_size))
            config["depthwise_initializer"] = keras.initializers.RandomUniform(-bound, bound)
        elif isinstance(layer, layers.Conv2D):
            config["filters"] = widths[layer.name]
            config["kernel_initializer"] = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        elif isinstance(layer, layers.Dense):
            config["units"] = widths[layer.name]
            config["kernel_initializer"] = keras.initializers.RandomNormal(stddev=0.02)
        return type(layer).from_config(config)

    return keras.models.clone_model(tiny, clone_function=clone)


def _first(value: tf.Tensor, sides: Sequence[Width], widths: Sequence[Width]) -> tf.Tensor:
    """Returns the first `widths` of each axis of a tensor that has `sides`."""
    return value if _equal(widths, sides) else tf.strided_slice(value, [0] * len(widths), tf.stack(widths))


def _fill(value: tf.Tensor, widths: Sequence[Width], sides: Sequence[Width]) -> tf.Tensor:
    """Returns a tensor of `widths` with zeros behind on each axis, up to `sides`."""
    if _equal(widths, sides):
        return value
    return tf.pad(value, [[0, side - width] for width, side in zip(widths, sides, strict=True)])


def _equal(widths: Sequence[Width], sides: Sequence[Width]) -> bool:
    """Returns whether both are known when the graph is made, and the same."""
    return all(isinstance(side, int) for side in (*widths, *sides)) and tuple(widths) == tuple(sides)


def _weighted(layer: keras.Layer, x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    x, kernel = tf.cast(x, layer.compute_dtype), tf.cast(kernel, layer.compute_dtype)
    if isinstance(layer, layers.Dense):
        y = tf.matmul(x, kernel)
    elif isinstance(layer, layers.DepthwiseConv2D):
        y = tf.nn.depthwise_conv2d(x, kernel, [1, *layer.strides, 1], layer.padding.upper())
    else:
        y = tf.nn.conv2d(x, kernel, layer.strides, layer.padding.upper())
    if bias is not None:
        y = tf.nn.bias_add(y, tf.cast(bias, layer.compute_dtype))
    return keras.activations.get(layer.activation)(y) if layer.activation else y
