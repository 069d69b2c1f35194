"""Finds the groups of channels of a network that must be widened together.

All tensors between two convolutions have the same channels, and so have tensors that are added or multiplied: a
`Group`. Widening a network means choosing a width for each group. There are four kinds, which follow from the graph:

fixed      the channels of the image and the classes
inner      the hidden channels of an inverted bottleneck: 1x1 convolution, depthwise convolution, linear 1x1 convolution
squeezed   the hidden channels of a squeeze-excite: from pooled channels through two 1x1 convolutions back to them
outer      everything else: stem, block outputs (a shortcut makes blocks share one group), head
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import keras
import numpy as np
from keras import layers

from tinytrain.errors import UserError
from tinytrain.nn.graph import Call, Graph

Kind = Literal["fixed", "outer", "inner", "squeezed"]
JOINING = (layers.Add, layers.Multiply)
NONLINEAR = (layers.ReLU, layers.Activation)
CHANNELWISE = (  # each output channel depends on one input channel
    layers.BatchNormalization,
    layers.DepthwiseConv2D,
    layers.GlobalAveragePooling2D,
    layers.AveragePooling2D,
    layers.MaxPooling2D,
    layers.ZeroPadding2D,
    layers.Dropout,
    layers.Rescaling,
    *NONLINEAR,
)
MIXING = (layers.Conv2D, layers.Dense)  # each output channel depends on all input channels


@dataclass(eq=False)
class Group:
    """Channels that share one width.

    Attributes:
        width: the number of channels.
        kind: one of the four kinds above.
        source: for inner channels, the group that the first convolution of the block reads; for squeezed channels, the
            group that the squeeze-excite scales.
        writers: the convolutions and dense layers that compute the channels.
        readers: the convolutions and dense layers that read them.
    """

    width: int
    kind: Kind = "outer"
    source: "Group | None" = None
    writers: list[keras.Layer] = field(default_factory=list)
    readers: list[keras.Layer] = field(default_factory=list)


def groups(graph: Graph) -> dict[int, Group]:
    """Returns {tensor: its group} of `graph`.

    Raises:
        UserError: a layer cannot be widened, or is called more than once; it names the layer.
    """
    for layer in graph.shared_layers():
        raise UserError(f"the layer '{layer.name}' is called more than once: expected a network without shared layers")
    parent = list(range(len(graph.shapes)))

    def root(tensor: int) -> int:
        while parent[tensor] != tensor:
            tensor = parent[tensor]
        return tensor

    for call in graph.calls:
        for tensor in _same_channels(call, graph):
            parent[root(tensor)] = root(call.output)
    by_root = {number: Group(_width(graph, number)) for number in {root(tensor) for tensor in range(len(parent))}}
    by_tensor = {tensor: by_root[root(tensor)] for tensor in range(len(parent))}
    for call in graph.calls:
        if isinstance(call.layer, MIXING) and not isinstance(call.layer, layers.DepthwiseConv2D):
            by_tensor[call.inputs[0]].readers.append(call.layer)
            by_tensor[call.output].writers.append(call.layer)
    _classify(graph, by_tensor)
    _refuse_mixing_of_channels(graph, by_tensor)
    return by_tensor


def _width(graph: Graph, tensor: int) -> int:
    width = graph.shapes[tensor][-1]
    return int(width or 0)


def _same_channels(call: Call, graph: Graph) -> tuple[int, ...]:
    """Returns the inputs of `call` that have the same channels as its output; raises UserError for an unknown layer."""
    layer = call.layer
    for name, value, expected in _requirements(call, graph):
        if value != expected:
            raise UserError(f"the layer '{layer.name}' has {name} {value}: expected {expected} for netaug to widen it")
    if isinstance(layer, MIXING):
        return ()
    pooled = isinstance(layer, layers.Flatten) and all(side in (None, 1) for side in graph.shapes[call.inputs[0]][:-1])
    if pooled or isinstance(layer, (*CHANNELWISE, *JOINING)):
        return call.inputs
    raise UserError(
        f"the layer '{layer.name}' of class {type(layer).__name__} cannot be widened by netaug: expected "
        "convolutions, BatchNormalization, activations, pooling, Add, Multiply, Dropout and Dense"
    )


def _requirements(call: Call, graph: Graph) -> Iterator[tuple[str, Any, Any]]:
    """Yields (name, value, required value) of each option of a layer that the super-network does not support."""
    layer, shapes = call.layer, [graph.shapes[tensor] for tensor in call.inputs]
    if isinstance(layer, layers.DepthwiseConv2D):
        yield "depth_multiplier", layer.depth_multiplier, 1
    if isinstance(layer, (*MIXING, layers.DepthwiseConv2D)):
        yield "groups", getattr(layer, "groups", 1), 1
        yield "dilation_rate", tuple(getattr(layer, "dilation_rate", (1, 1))), (1, 1)
        yield "data_format", getattr(layer, "data_format", "channels_last"), "channels_last"
    if isinstance(layer, layers.BatchNormalization):
        yield "center and scale", (layer.center, layer.scale), (True, True)
        yield "an input with this many axes:", len(shapes[0]), 4
    if isinstance(layer, JOINING):
        yield (
            "inputs with these numbers of channels:",
            sorted({shape[-1] for shape in shapes}),
            [graph.shapes[call.output][-1]],
        )


def _refuse_mixing_of_channels(graph: Graph, by_tensor: dict[int, Group]) -> None:
    """Raises UserError for a softmax over widened channels, and for a Rescaling with a number for each of them."""
    for call in graph.calls:
        layer, widened = call.layer, by_tensor[call.output].kind != "fixed"
        softmax = getattr(layer, "activation", None) is keras.activations.softmax
        per_channel = isinstance(layer, layers.Rescaling) and np.ndim(layer.scale) + np.ndim(layer.offset) > 0
        if widened and (softmax or per_channel):
            what = "a softmax over channels" if softmax else "a number for each channel"
            raise UserError(f"the layer '{layer.name}' has {what} that netaug widens: expected it before or after them")


def _classify(graph: Graph, by_tensor: dict[int, Group]) -> None:
    """Sets the kind and the source of each group."""
    for tensor in (*graph.inputs, *graph.outputs):
        by_tensor[tensor].kind = "fixed"
    read, written = {}, {}  # layer name -> the group that it reads, writes
    for call in graph.calls:
        read[call.layer.name], written[call.layer.name] = by_tensor[call.inputs[0]], by_tensor[call.output]
    unique = list({id(group): group for group in by_tensor.values()}.values())
    for group in unique:
        if len(group.writers) == len(group.readers) == 1 and group.kind == "outer":
            writer, reader = group.writers[0], group.readers[0]
            source = read[writer.name]
            returns = source is written[reader.name] and _reads_pooled(graph, writer)
            # On a 1x1 map, an inverted bottleneck with a shortcut looks like a squeeze-excite.
            if returns and not _is_bottleneck(graph, writer, reader):
                group.kind, group.source = "squeezed", source
    squeezing = {layer.name for group in unique if group.kind == "squeezed" for layer in group.writers + group.readers}
    for group in unique:
        writers = [layer for layer in group.writers if layer.name not in squeezing]
        readers = [layer for layer in group.readers if layer.name not in squeezing]
        if group.kind == "outer" and len(writers) == len(readers) == 1 and _is_bottleneck(graph, *writers, *readers):
            group.kind, group.source = "inner", read[writers[0].name]


def _reads_pooled(graph: Graph, layer: keras.Layer) -> bool:
    """Returns whether a convolution reads a 1x1 map."""
    call = next(call for call in graph.calls if call.layer is layer)
    return tuple(graph.shapes[call.inputs[0]][1:-1]) == (1, 1)


def _is_bottleneck(graph: Graph, first: keras.Layer, last: keras.Layer) -> bool:
    """Returns whether `first` and `last` are the first and the last convolution of an inverted bottleneck."""
    if any(not isinstance(layer, layers.Conv2D) or layer.kernel_size != (1, 1) for layer in (first, last)):
        return False
    consumers = graph.consumers()
    following = {call.layer.name: [c.layer for c in consumers[call.output]] for call in graph.calls}
    between = _reachable(first, following, lambda layer: not isinstance(layer, MIXING) or _is_depthwise(layer))
    if not any(_is_depthwise(layer) for layer in between) or any(isinstance(layer, layers.Add) for layer in between):
        return False
    norms = _reachable(last, following, lambda layer: isinstance(layer, layers.BatchNormalization))
    after = [layer for norm in [last, *norms] for layer in following[norm.name]]
    return not any(isinstance(layer, NONLINEAR) for layer in after)


def _is_depthwise(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.DepthwiseConv2D)


def _reachable(
    start: keras.Layer, following: dict[str, list[keras.Layer]], passes: Callable[[keras.Layer], bool]
) -> list[keras.Layer]:
    """Returns the layers that can be reached from `start` through layers for which `passes` is true."""
    reached: dict[str, keras.Layer] = {}
    pending = list(following[start.name])
    while pending:
        layer = pending.pop()
        if layer.name not in reached and passes(layer):
            reached[layer.name] = layer
            pending += following[layer.name]
    return list(reached.values())
