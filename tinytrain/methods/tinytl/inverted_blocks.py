"""Finds the inverted residual blocks of a network, beside which TinyTL puts its lite residual modules."""

from typing import NamedTuple

import keras
from keras import layers

from tinytrain.nn.graph import Call, walk

ELEMENTWISE = (layers.BatchNormalization, layers.ReLU, layers.Activation, layers.ZeroPadding2D, layers.Multiply)


class Block(NamedTuple):
    """An inverted residual block, without its shortcut.

    Attributes:
        name: of the block.
        first: the name of its first layer, the 1x1 expansion.
        last: the name of its last layer, the norm after the projection.
        filters: its output channels.
        side: the resolution of its output, in pixels.
        stride: of the block.
    """

    name: str
    first: str
    last: str
    filters: int
    side: int
    stride: int


def inverted_blocks(model: keras.Model) -> list[Block]:
    """Returns the inverted residual blocks of `model`.

    A block is a 1x1 expansion, an activation, a depthwise convolution, an optional squeeze-excite and a linear 1x1
    projection.
    """
    graph = walk(model)
    consumers = graph.consumers()
    producers = {number: call for call in graph.calls for number in call.outputs}
    blocks = []
    for call in graph.calls:
        if isinstance(call.layer, layers.DepthwiseConv2D):
            expansion = _expansion(call.inputs[0], producers)
            norm = _projection_norm(call, consumers)
            if expansion and norm:
                name = norm.layer.name.removesuffix("_project_bn")
                _, side, _, filters = graph.shapes[norm.output]
                stride = expansion.layer.strides[0] * call.layer.strides[0]
                blocks.append(Block(name, expansion.layer.name, norm.layer.name, filters or 0, side or 0, stride))
    return blocks


def _expansion(tensor: int, producers: dict[int, Call]) -> Call | None:
    """Returns the 1x1 convolution that computes `tensor` with an activation after it, if there is one."""
    linear = True
    while (call := producers.get(tensor)) and isinstance(call.layer, ELEMENTWISE):
        linear = linear and not isinstance(call.layer, (layers.ReLU, layers.Activation))
        tensor = call.inputs[0]
    return call if call and not linear and _is_pointwise(call.layer) else None


def _projection_norm(call: Call, consumers: dict[int, list[Call]]) -> Call | None:
    """Returns the norm of the linear 1x1 convolution that follows a depthwise one, if there is one."""
    while (following := _elementwise(consumers[call.output])) is not None:
        call = following
    projections = [consumer for consumer in consumers[call.output] if _is_pointwise(consumer.layer)]
    norms = consumers[projections[0].output] if projections else []
    if len(norms) != 1 or not isinstance(norms[0].layer, layers.BatchNormalization):
        return None
    after_norm = [consumer.layer for consumer in consumers[norms[0].output]]
    activated = any(isinstance(layer, (layers.ReLU, layers.Activation)) for layer in after_norm)
    return None if activated else norms[0]


def _elementwise(calls: list[Call]) -> Call | None:
    """Returns the norm, activation or multiplication among calls; others are the pooling of a squeeze-excite."""
    return next((call for call in calls if isinstance(call.layer, ELEMENTWISE)), None)


def _is_pointwise(layer: keras.Layer) -> bool:
    return isinstance(layer, layers.Conv2D) and layer.kernel_size == (1, 1)
