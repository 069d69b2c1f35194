"""The network as the compiler sees it: operators with kernels, and the buffers that they read and write."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tinytrain.deploy.compiled.prepare import ALIAS, prepare_all
from tinytrain.deploy.compiled.rows import Reach, reaches
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.tflite.model import Model, Operator


@dataclass(frozen=True)
class Node:
    """An operator that runs.

    number: of the operator in the model; inputs: buffers, or constants as negative numbers, -1 - the tensor; output:
    a buffer; reaches: which rows of each input a row of the output needs, None if it cannot go row by row.
    """

    number: int
    operator: Operator
    kernel: Kernel
    inputs: tuple[int, ...]
    output: int
    reaches: Sequence[Reach] | None


@dataclass(frozen=True)
class Network:
    """The nodes in order, bytes of each buffer, and which buffers are the model's input and outputs."""

    model: Model
    nodes: Sequence[Node]
    sizes: Mapping[int, int]
    source: int
    outputs: Sequence[int]

    @cached_property
    def readers(self) -> dict[int, list[int]]:
        """The places of the nodes that read each buffer, in order."""
        places: dict[int, list[int]] = {buffer: [] for buffer in self.sizes}
        for place, node in enumerate(self.nodes):
            for buffer in node.inputs:
                if buffer >= 0:
                    places[buffer].append(place)
        return places

    @property
    def source_shape(self) -> tuple[int, ...]:
        """The shape of the model's input as the first node that reads it has it."""
        node = self.nodes[self.readers[self.source][0]]
        tensor = node.operator.inputs[node.inputs.index(self.source)]
        if tensor is None:
            raise AssertionError("an input that is left out is no buffer")
        return tensor.shape

    @cached_property
    def made(self) -> dict[int, int]:
        """The place of the node that writes each buffer, -1 for the model's input."""
        return {self.source: -1} | {node.output: place for place, node in enumerate(self.nodes)}

    @cached_property
    def last(self) -> dict[int, int]:
        """The place of the last node that needs each buffer, the number of nodes for outputs of the model."""
        last = {buffer: max([self.made[buffer], *places]) for buffer, places in self.readers.items()}
        return last | dict.fromkeys(self.outputs, len(self.nodes))


def network(model: Model) -> Network:
    """Returns the network of `model`, of one int8 input and int8 outputs.

    Raises:
        Refusal: an operator has no kernel, as `prepare_all` says.
    """
    buffers: dict[int, int] = {}  # of each tensor: an operator that only changes the shape has one for both
    nodes: list[Node] = []
    for number, (operator, kernel) in enumerate(zip(model.operators, prepare_all(model), strict=True)):
        read = operator.inputs[: inputs_of(operator)]
        inputs = tuple(
            -1 - tensor.index if tensor.constant else buffers.get(tensor.index, tensor.index)
            for tensor in read
            if tensor is not None
        )
        output = operator.outputs[0].index
        if kernel is ALIAS and inputs[0] >= 0:
            buffers[output] = inputs[0]
        else:
            nodes.append(Node(number, operator, kernel, inputs, output, reaches(kernel, operator, len(inputs))))
    tensors = {tensor.index: tensor for tensor in (*model.inputs, *(node.operator.outputs[0] for node in nodes))}
    return Network(
        model,
        nodes,
        {index: math.prod(tensor.shape) for index, tensor in tensors.items()},
        model.inputs[0].index,
        [buffers.get(tensor.index, tensor.index) for tensor in model.outputs],
    )


def inputs_of(operator: Operator) -> int:
    """Returns how many inputs of an operator are activations, or constants in the place of one."""
    return {"ADD": 2, "SUB": 2, "MUL": 2, "CONCATENATION": len(operator.inputs)}.get(operator.name, 1)
