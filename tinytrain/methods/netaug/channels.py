"""Which channels of a network belong together: what must get wider with what.

All tensors between two convolutions carry the same channels, tensors that are added or multiplied do too: a `Group`.
Widening a network means choosing a width for each of its groups. A group is one of four kinds, told from the graph:

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
KEEPING = (
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
MIXING = (layers.Conv2D, layers.Dense)  # what makes new channels out of all it reads


@dataclass(eq=False)
class Group:
    """Channels that share one width.

    `source` is, of inner channels, the group that their first convolution reads; of squeezed ones, the group that is
    scaled. `writers` and `readers` are the convolutions and dense layers that make the channels and that read them.
    """

    width: int
    kind: Kind = "outer"
    source: "Group | None" = None
    writers: list[keras.Layer] = field(default_factory=list)
    readers: list[keras.Layer] = field(default_factory=list)


def groups(graph: Graph) -> dict[int, Group]:
    """Returns the group of each tensor of `graph`.

    Raises UserError, naming the layer, for a layer whose channels are unknown or one that is called more than once.
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
    found = {r: Group(_width(graph, r)) for r in {root(tensor) for tensor in range(len(parent))}}
    by_tensor = {tensor: found[root(tensor)] for tensor in range(len(parent))}
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
    """Returns the inputs of `call` whose channels are those of its output; refuses a layer that it does not know."""
    layer = call.layer
    for what, found, expected in _demands(call, graph):
        if found != expected:
            raise UserError(f"the layer '{layer.name}' has {what} {found}: expected {expected} for netaug to widen it")
    if isinstance(layer, MIXING):
        return ()
    flat = isinstance(layer, layers.Flatten) and all(side in (None, 1) for side in graph.shapes[call.inputs[0]][:-1])
    if flat or isinstance(layer, (*KEEPING, *JOINING)):
        return call.inputs
    raise UserError(
        f"the layer '{layer.name}' of class {type(layer).__name__} is none whose channels can be widened: expected "
        "convolutions, BatchNormalization, activations, pooling, Add, Multiply, Dropout and Dense"
    )


def _demands(call: Call, graph: Graph) -> Iterator[tuple[str, Any, Any]]:
    """Yields (what, what `call` has, what it must have) of all that a wider network does not compute otherwise."""
    layer, shapes = call.layer, [graph.shapes[tensor] for tensor in call.inputs]
    if isinstance(layer, layers.DepthwiseConv2D):
        yield "depth_multiplier", layer.depth_multiplier, 1
    if isinstance(layer, (*MIXING, layers.DepthwiseConv2D)):
        yield "groups", getattr(layer, "groups", 1), 1
        yield "dilation_rate", tuple(getattr(layer, "dilation_rate", (1, 1))), (1, 1)
        yield "data_format", getattr(layer, "data_format", "channels_last"), "channels_last"
    if isinstance(layer, layers.BatchNormalization):
        yield "center and scale", (layer.center, layer.scale), (True, True)
        yield "an input of so many axes:", len(shapes[0]), 4
    if isinstance(layer, JOINING):
        yield "inputs of so many channels:", sorted({shape[-1] for shape in shapes}), [graph.shapes[call.output][-1]]


def _refuse_mixing_of_channels(graph: Graph, by_tensor: dict[int, Group]) -> None:
    """Refuses what computes a channel from the others, or has a number for each, where channels are widened."""
    for call in graph.calls:
        layer, widened = call.layer, by_tensor[call.output].kind != "fixed"
        softmax = getattr(layer, "activation", None) is keras.activations.softmax
        listed = isinstance(layer, layers.Rescaling) and np.ndim(layer.scale) + np.ndim(layer.offset) > 0
        if widened and (softmax or listed):
            what = "a softmax over channels" if softmax else "a number for each channel"
            raise UserError(
                f"the layer '{layer.name}' has {what} that netaug widens: expected it before or behind them"
            )


def _classify(graph: Graph, by_tensor: dict[int, Group]) -> None:
    for tensor in (*graph.inputs, *graph.outputs):
        by_tensor[tensor].kind = "fixed"
    read, written = {}, {}  # by the name of a convolution: the groups that it reads and writes
    for call in graph.calls:
        read[call.layer.name], written[call.layer.name] = by_tensor[call.inputs[0]], by_tensor[call.output]
    unique = list({id(group): group for group in by_tensor.values()}.values())
    for group in unique:
        if len(group.writers) == len(group.readers) == 1 and group.kind == "outer":
            source = read[group.writers[0].name]
            back = source is written[group.readers[0].name] and _pooled(graph, group.writers[0])
            if back and not _bottleneck(graph, group.writers[0], group.readers[0]):  # one with a shortcut on a 1x1 map
                group.kind, group.source = "squeezed", source
    squeezing = {layer.name for group in unique if group.kind == "squeezed" for layer in group.writers + group.readers}
    for group in unique:
        writers = [layer for layer in group.writers if layer.name not in squeezing]
        readers = [layer for layer in group.readers if layer.name not in squeezing]
        if group.kind == "outer" and len(writers) == len(readers) == 1 and _bottleneck(graph, *writers, *readers):
            group.kind, group.source = "inner", read[writers[0].name]


def _pooled(graph: Graph, layer: keras.Layer) -> bool:
    """Returns whether a convolution reads a map of 1x1."""
    call = next(call for call in graph.calls if call.layer is layer)
    return tuple(graph.shapes[call.inputs[0]][1:-1]) == (1, 1)


def _bottleneck(graph: Graph, writer: keras.Layer, reader: keras.Layer) -> bool:
    """Returns whether `writer` is the first and `reader` the last convolution of an inverted bottleneck."""
    if any(not isinstance(layer, layers.Conv2D) or layer.kernel_size != (1, 1) for layer in (writer, reader)):
        return False
    after = {call.layer.name: [r.layer for r in graph.readers()[call.output]] for call in graph.calls}
    between = _reached(writer, after, lambda layer: not isinstance(layer, MIXING) or _depthwise(layer))
    if not any(_depthwise(layer) for layer in between) or any(isinstance(layer, layers.Add) for layer in between):
        return False
    behind = _reached(reader, after, lambda layer: isinstance(layer, layers.BatchNormalization))
    ends = [following for layer in [reader, *behind] for following in after[layer.name]]
    return not any(isinstance(layer, NONLINEAR) for layer in ends)


def _depthwise(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.DepthwiseConv2D)


def _reached(
    start: keras.Layer, after: dict[str, list[keras.Layer]], enters: Callable[[keras.Layer], bool]
) -> list[keras.Layer]:
    """Returns the layers behind `start`, as far as all layers on the way are such as `enters` says."""
    found: dict[str, keras.Layer] = {}
    waiting = list(after[start.name])
    while waiting:
        layer = waiting.pop()
        if layer.name not in found and enters(layer):
            found[layer.name] = layer
            waiting += after[layer.name]
    return list(found.values())
