"""The super-network: its weights hold many narrower networks, each with the first channels of every layer.

See methods.md A.2 and A.3. It has the graph of the tiny network, with every group of channels as wide as in the largest
network that can be drawn. A network in it is a list of widths, one for each group:
- outer channels: the tiny network's times f, one of the width factors;
- inner channels: e·f times the input channels of their block, f one of the expansion factors, e = inner / input
  channels in the tiny network;
- squeezed channels: the channels that they scale divided by the reduction of the largest network, but at least 16 (or
  as many as in the tiny network).
Widths are rounded to whole numbers, not to multiples of 8.

A network is computed with channels of zeros after its own, up to a multiple of 16: oneDNN's BatchNorm takes four times
as long on 83 channels as on 96 (benchmarks/netaug.py). Their kernels, γ and β are zero, so that they stay zero after
every layer and change nothing.
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
from tinytrain.nn.fused_batch_norm import normalize
from tinytrain.nn.graph import Call, walk

CHANNEL_MULTIPLE = 16  # float32 values in a vector of the CPU


class GroupSize(NamedTuple):
    """The size of an axis that has an entry for each channel of a group, by the number of the group."""

    group: int


Size = int | GroupSize


class SuperNetwork:
    """The widened copy of a functional model, and the networks in it.

    Args:
        tiny: the functional model that is the smallest network.
        width_factors: ascending from 1.
        expansion_factors: ascending from 1.

    Raises:
        UserError: a layer cannot be widened, which it names.
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
        self._shapes = {id(variable): shape for call in self.graph.calls for variable, shape in self._shapes_of(call)}

    @property
    def smallest(self) -> list[int]:
        """The widths of the tiny network."""
        return [choice.widths[0] for choice in self.choices]

    @property
    def largest(self) -> list[int]:
        """The widths of the largest network, which is `model`."""
        return [max(choice.widths) for choice in self.choices]

    def draw(self, seed: tf.Tensor, outer: tf.Tensor) -> list[Width]:
        """Returns the widths of a network for which each group draws one of its factors, all equally likely.

        Args:
            seed: (2,) integers; the same ones give the same network.
            outer: () bool, whether outer groups draw a factor, too.
        """
        return draw(self.choices, seed, outer)

    def macs(self, widths: Sequence[int]) -> int:
        """Returns the multiply-accumulates of one image in the network of these widths, without BatchNorm."""
        return sum(self._macs(call, widths) for call in self.graph.calls)

    def _macs(self, call: Call, widths: Sequence[int]) -> int:
        if not hasattr(call.layer, "kernel"):
            return 0
        sides = [side or 1 for side in self.graph.shapes[call.output][1:-1]]
        macs = math.prod(sides) * math.prod(getattr(call.layer, "kernel_size", ()))  # of one pair of channels
        depthwise = isinstance(call.layer, layers.DepthwiseConv2D)
        return macs * widths[self.group_of[call.output]] * (1 if depthwise else widths[self.group_of[call.inputs[0]]])

    def _shapes_of(self, call: Call) -> Iterator[tuple[keras.Variable, list["Size"]]]:
        """Yields (variable, its shape) of a layer; a size is a number or that of a group."""
        layer = self._layers[call.layer.name]
        inputs, outputs = (GroupSize(self.group_of[tensor]) for tensor in (call.inputs[0], call.output))
        for variable in () if isinstance(layer, layers.Dropout) else layer.variables:
            if variable is not getattr(layer, "kernel", None):
                yield variable, [outputs]
            elif isinstance(layer, layers.DepthwiseConv2D):
                yield variable, [*layer.kernel_size, outputs, 1]
            else:
                yield variable, [*getattr(layer, "kernel_size", ()), inputs, outputs]

    def channel_axes(self) -> list[list[tuple[keras.Variable, int]]]:
        """Returns for each group the (variable, axis) pairs with an entry for each of its channels."""
        axes: list[list[tuple[keras.Variable, int]]] = [[] for _ in self.choices]
        for variable in self.model.variables:
            for axis, size in enumerate(self._shapes.get(id(variable), [])):
                if isinstance(size, GroupSize):
                    axes[size.group].append((variable, axis))
        return axes

    def slice_weights(self, widths: Sequence[Width]) -> list[tf.Tensor]:
        """Returns the part of each trainable variable that the network of these widths uses, padded with zeros."""
        return [self._slice_variable(variable, widths) for variable in self.model.trainable_variables]

    def _slice_variable(self, variable: keras.Variable, widths: Sequence[Width]) -> tf.Tensor:
        used, padded = self._used_shape(variable, widths), self._padded_shape(variable, widths)
        return _pad(_slice(tf.convert_to_tensor(variable.value), variable.shape, used), used, padded)

    def _used_shape(self, variable: keras.Variable, widths: Sequence[Width]) -> list[Width]:
        return [widths[size.group] if isinstance(size, GroupSize) else size for size in self._shapes[id(variable)]]

    def _padded_shape(self, variable: keras.Variable, widths: Sequence[Width]) -> list[Width]:
        return [
            self._padded_width(size.group, widths) if isinstance(size, GroupSize) else size
            for size in self._shapes[id(variable)]
        ]

    def _padded_width(self, group: int, widths: Sequence[Width]) -> Width:
        if self.choices[group].group.kind == "fixed":
            return widths[group]
        return (widths[group] + CHANNEL_MULTIPLE - 1) // CHANNEL_MULTIPLE * CHANNEL_MULTIPLE

    def sum_gradients(self, networks: Sequence[tuple[list[tf.Tensor], Sequence[Width]]]) -> list[tf.Tensor]:
        """Returns, for each trainable variable, the sum of the gradients of networks; 0 where none uses it.

        The tiny network's, which are first, are added to the second's before they are padded to the largest.

        Args:
            networks: (gradients of what `slice_weights` returned for the widths, these widths), the smallest first.
        """
        sums = []
        for index, variable in enumerate(self.model.trainable_variables):
            parts = []
            for gradients, widths in networks:
                used = self._used_shape(variable, widths)
                parts.append((_slice(gradients[index], self._padded_shape(variable, widths), used), used))
            (tiny, tiny_shape), (second, shape), *others = parts
            total = _pad(second + _pad(tiny, tiny_shape, shape), shape, list(variable.shape))
            for gradient, other_shape in others:
                total += _pad(gradient, other_shape, list(variable.shape))
            sums.append(total)
        return sums

    def __call__(
        self, x: tf.Tensor, widths: Sequence[Width], training: bool, weights: list[tf.Tensor] | None = None
    ) -> Any:
        """Returns the outputs of the network of these widths.

        In training, BatchNorm uses the statistics of the batch and updates the first channels of the running ones.

        Args:
            x: images (B, H, W, C).
            widths: one for each group of channels.
            training: whether BatchNorm and Dropout work as in training.
            weights: what `slice_weights` returned for `widths`, to take gradients with respect to it.
        """
        weights = self.slice_weights(widths) if weights is None else weights
        values = {id(variable): value for variable, value in zip(self.model.trainable_variables, weights, strict=True)}
        tensors = {self.graph.inputs[0]: x}
        for call in self.graph.calls:
            inputs = [tensors[number] for number in call.inputs]
            tensors[call.output] = self._run(call, inputs, widths, values, training)
        return tf.nest.pack_sequence_as(self.model.output, [tensors[number] for number in self.graph.outputs])

    def _run(
        self, call: Call, inputs: list[tf.Tensor], widths: Sequence[Width], values: dict[int, tf.Tensor], training: bool
    ) -> tf.Tensor:
        """Runs one layer; `values` are the sliced weights by the id of their variable."""
        layer = self._layers[call.layer.name]
        if isinstance(layer, layers.BatchNormalization):
            return self._batch_norm(layer, inputs[0], widths, values, training)
        if isinstance(layer, layers.DepthwiseConv2D | layers.Conv2D | layers.Dense):
            bias = None if layer.bias is None else values[id(layer.bias)]
            return _apply_kernel(layer, inputs[0], values[id(layer.kernel)], bias)
        if isinstance(layer, layers.Flatten):
            width = self._padded_width(self.group_of[call.output], widths)
            return tf.reshape(inputs[0], [-1, width])
        options = {"training": training} if isinstance(layer, layers.Dropout) else {}
        return layer(inputs if len(inputs) > 1 else inputs[0], **options)

    def _batch_norm(
        self,
        layer: keras.Layer,
        x: tf.Tensor,
        widths: Sequence[Width],
        values: dict[int, tf.Tensor],
        training: bool,
    ) -> tf.Tensor:
        running = [layer.moving_mean, layer.moving_variance]
        known = None if training else [self._slice_variable(variable, widths) for variable in running]
        y, *statistics = normalize(layer, x, values[id(layer.gamma)], values[id(layer.beta)], known)
        for variable, value in zip(running, statistics, strict=True) if training else ():
            (used,) = self._used_shape(variable, widths)
            before = variable.value[:used]
            variable.value[:used].assign(before * layer.momentum + value[:used] * (1 - layer.momentum))
        return y

    def importance(self, group: Group) -> np.ndarray:
        """Returns the L1 norms of the weights that read each channel of an inner or squeezed group, (channels,).

        The channels are those of the largest network. Inner channels are read by the projection; a squeeze-excite that
        reads them, too, does not count.
        """
        squeezing = {
            name for choice in self.choices if choice.group.kind == "squeezed" for name in _names(choice.group)
        }
        (reader,) = [layer.name for layer in group.readers if group.kind == "squeezed" or layer.name not in squeezing]
        kernel = np.abs(self._layers[reader].kernel.numpy())
        return kernel.sum(axis=(0, 1, 3), dtype=np.float64)

    def copy_weights(self, tiny: keras.Model, to_tiny: bool) -> None:
        """Copies the first channels of each layer to the layer of that name in `tiny`, or from there."""
        for tiny_layer in (layer for layer in tiny.layers if layer.variables):
            variables = self._layers[tiny_layer.name].variables
            for variable, tiny_variable in zip(variables, tiny_layer.variables, strict=True):
                first = tuple(slice(0, size) for size in tiny_variable.shape)
                if to_tiny:
                    tiny_variable.assign(variable.value[first])
                else:
                    values = variable.numpy()
                    values[first] = tiny_variable.numpy()
                    variable.assign(values)


def _names(group: Group) -> list[str]:
    return [layer.name for layer in (*group.writers, *group.readers)]


def _widened(tiny: keras.Model, widths: dict[str, int]) -> keras.Model:
    """Returns a wider copy of `tiny`, whose weights `nn.initializers` is to draw.

    Args:
        tiny: the tiny network.
        widths: {layer name: its output channels}.
    """

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, layers.Conv2D) and not isinstance(layer, layers.DepthwiseConv2D):
            config["filters"] = widths[layer.name]
        elif isinstance(layer, layers.Dense):
            config["units"] = widths[layer.name]
        return type(layer).from_config(config)

    return keras.models.clone_model(tiny, clone_function=clone)


def _slice(value: tf.Tensor, shape: Sequence[Width], part: Sequence[Width]) -> tf.Tensor:
    """Returns the first entries of each axis of a tensor of `shape`, as many as `part` has."""
    return value if _known_equal(part, shape) else tf.strided_slice(value, [0] * len(part), tf.stack(part))


def _pad(value: tf.Tensor, part: Sequence[Width], shape: Sequence[Width]) -> tf.Tensor:
    """Returns a tensor of the shape `part` with zeros at the end of each axis, up to `shape`."""
    if _known_equal(part, shape):
        return value
    return tf.pad(value, [[0, full - size] for size, full in zip(part, shape, strict=True)])


def _known_equal(one: Sequence[Width], other: Sequence[Width]) -> bool:
    """Returns whether two shapes are equal and known when the graph is traced."""
    return all(isinstance(size, int) for size in (*one, *other)) and tuple(one) == tuple(other)


def _apply_kernel(layer: keras.Layer, x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
    """Returns the output of a convolution or dense layer with another kernel and bias than its own."""
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
