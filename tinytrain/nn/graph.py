"""A functional model as a plain list of calls in the order they run; what every graph rewriting here starts from.

Keras offers no public walk over the calls of a functional model: `Model.layers` names each layer once and says nothing
of what feeds what. Here a tensor is a number, a call names the numbers that it reads and writes, and a functional model
that is called inside another one is unfolded. Only this module reads Keras' private graph.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import keras

from tinytrain.errors import UserError


@dataclass(frozen=True)
class Call:
    """One call of a layer: `layer(inputs) -> outputs`, tensors given by their numbers in the graph."""

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
    """All calls in the order they can run, and the shapes (None, H, W, C) of all tensors, counted from 0."""

    calls: list[Call] = field(default_factory=list)
    shapes: list[tuple[int | None, ...]] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()

    def readers(self) -> dict[int, list[Call]]:
        """Returns for each tensor the calls that read it; a model output has none of its own."""
        found: dict[int, list[Call]] = defaultdict(list)
        for call in self.calls:
            for tensor in dict.fromkeys(call.inputs):
                found[tensor].append(call)
        return found

    def maker(self, tensor: int) -> Call | None:
        """Returns the call that makes `tensor`; an input of the model has none."""
        return next((call for call in self.calls if tensor in call.outputs), None)

    def shared_layers(self) -> list[keras.Layer]:
        """Returns the layers that are called more than once, in the order of their first call."""
        count: dict[int, list[keras.Layer]] = defaultdict(list)
        for call in self.calls:
            count[id(call.layer)].append(call.layer)
        return [layers[0] for layers in count.values() if len(layers) > 1]


def walk(model: keras.Model) -> Graph:
    """Returns the calls of `model`, functional models inside it unfolded, its input layers left out.

    Raises UserError for a model that is not functional: it has no graph to walk.
    """
    graph = Graph()
    model = _functional(model)
    numbers = {id(tensor): _new(graph, tensor) for tensor in model.inputs}
    graph.inputs = tuple(numbers[id(tensor)] for tensor in model.inputs)
    graph.outputs = _unfold(graph, model, numbers)
    return graph


def _functional(model: keras.Model) -> keras.Model:
    model = getattr(model, "_functional", None) or model  # what a Sequential keeps inside
    if not hasattr(model, "_nodes_by_depth"):
        raise UserError(
            f"the model '{model.name}' of class {type(model).__name__} has no graph: "
            "build it as keras.Model(inputs, outputs)"
        )
    return model


def _new(graph: Graph, tensor: keras.KerasTensor) -> int:
    graph.shapes.append(tuple(tensor.shape))
    return len(graph.shapes) - 1


def _unfold(graph: Graph, model: keras.Model, numbers: dict[int, int]) -> tuple[int, ...]:
    """Appends the calls of `model`, whose input tensors are numbered already; returns the numbers of its outputs."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer = node.operation
            inputs = tuple(numbers[id(tensor)] for tensor in node.input_tensors)
            if isinstance(layer, keras.Model):
                layer = _functional(layer)
                inner = {id(tensor): number for tensor, number in zip(layer.inputs, inputs, strict=True)}
                outputs = _unfold(graph, layer, inner)
            else:
                outputs = tuple(_new(graph, tensor) for tensor in node.outputs)
                graph.calls.append(Call(layer, inputs, outputs))
            numbers.update(zip([id(tensor) for tensor in node.outputs], outputs, strict=True))
    return tuple(numbers[id(tensor)] for tensor in model.outputs)
