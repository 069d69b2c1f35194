"""A functional model as a list of layer calls in the order they run: the basis of every graph rewriting.

Keras has no public way to walk over these calls: `Model.layers` lists each layer once, without its connections. Here a
tensor is a number, a call holds the numbers of its input and output tensors, and a functional model inside another one
is unfolded. Only this module uses Keras' private graph.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import keras

from tinytrain.errors import UserError


@dataclass(frozen=True)
class Call:
    """One call of a layer, `layer(inputs) -> outputs`, with the tensors' numbers in the graph."""

    layer: keras.Layer
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def output(self) -> int:
        """The number of the only output."""
        (only,) = self.outputs
        return only


@dataclass
class Graph:
    """The calls of a functional model.

    Attributes:
        calls: in an order in which they can run.
        shapes: of each tensor, by its number, such as (None, H, W, C).
        inputs: the tensors that the model takes.
        outputs: the tensors that it returns.
    """

    calls: list[Call] = field(default_factory=list)
    shapes: list[tuple[int | None, ...]] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()

    def consumers(self) -> dict[int, list[Call]]:
        """Returns {tensor: the calls that read it}; being an output of the model does not count."""
        consumers: dict[int, list[Call]] = defaultdict(list)
        for call in self.calls:
            for tensor in dict.fromkeys(call.inputs):
                consumers[tensor].append(call)
        return consumers

    def producer(self, tensor: int) -> Call | None:
        """Returns the call that computes `tensor`, or None for an input of the model."""
        return next((call for call in self.calls if tensor in call.outputs), None)

    def shared_layers(self) -> list[keras.Layer]:
        """Returns the layers that are called more than once, in the order of their first call."""
        calls: dict[int, list[keras.Layer]] = defaultdict(list)
        for call in self.calls:
            calls[id(call.layer)].append(call.layer)
        return [layers[0] for layers in calls.values() if len(layers) > 1]


def walk(model: keras.Model) -> Graph:
    """Returns the graph of `model`, without its input layers and with functional models inside it unfolded.

    Raises:
        UserError: the model is not functional, so it has no graph.
    """
    graph = Graph()
    model = _as_functional(model)
    numbers = {id(tensor): _add_tensor(graph, tensor) for tensor in model.inputs}
    graph.inputs = tuple(numbers[id(tensor)] for tensor in model.inputs)
    graph.outputs = _unfold(graph, model, numbers)
    return graph


def _as_functional(model: keras.Model) -> keras.Model:
    model = getattr(model, "_functional", None) or model  # a Sequential model holds a functional one
    if not hasattr(model, "_nodes_by_depth"):
        raise UserError(
            f"the model '{model.name}' of class {type(model).__name__} has no graph: "
            "build it as keras.Model(inputs, outputs)"
        )
    return model


def _add_tensor(graph: Graph, tensor: keras.KerasTensor) -> int:
    """Adds a tensor to the graph and returns its number."""
    graph.shapes.append(tuple(tensor.shape))
    return len(graph.shapes) - 1


def _unfold(graph: Graph, model: keras.Model, numbers: dict[int, int]) -> tuple[int, ...]:
    """Adds the calls of `model` to the graph and returns the numbers of its outputs.

    Args:
        graph: the graph so far.
        model: a functional model.
        numbers: {id of a Keras tensor: its number}, which holds the inputs of `model` already.
    """
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer = node.operation
            inputs = tuple(numbers[id(tensor)] for tensor in node.input_tensors)
            if isinstance(layer, keras.Model):
                layer = _as_functional(layer)
                inner = {id(tensor): number for tensor, number in zip(layer.inputs, inputs, strict=True)}
                outputs = _unfold(graph, layer, inner)
            else:
                outputs = tuple(_add_tensor(graph, tensor) for tensor in node.outputs)
                graph.calls.append(Call(layer, inputs, outputs))
            numbers.update(zip([id(tensor) for tensor in node.outputs], outputs, strict=True))
    return tuple(numbers[id(tensor)] for tensor in model.outputs)
