"""The flatbuffer that the firmware holds: a model whose operators of ours are custom ones.

Such an operator keeps its inputs and its output. One more input, the last one, is its block of constants
(kernel.Kernel); weights and bias go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tinytrain.deploy.kernels import placement
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.placement import Needs, Placement
from tinytrain.deploy.kernels.prepare import prepare
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.deploy.tflm import memory_planner
from tinytrain.tflite.model import Model, indices

PLAN = b"OfflineMemoryAllocation"
UNPLANNED = -1  # for TFLM's own planner; constants have no offset
PREFIX = "tinytrain."  # of the names of our operators, before the kernel's


@dataclass(frozen=True, eq=False)
class Derived:
    """A model for the firmware, and of each operator, in order, its kernel or why TFLM's runs it.

    placement: where its activations lie; None where TFLM plans them, as no operator is ours.
    """

    model: Model
    kernels: Sequence[Kernel | Refusal]
    placement: Placement | None = None

    @property
    def ours(self) -> set[int]:
        """The numbers of the operators, from 0, that are ours."""
        return {number for number, kernel in enumerate(self.kernels) if isinstance(kernel, Kernel)}


def has_kernels(model: Model) -> bool:
    """Returns whether an operator of `model`, as the firmware holds it, is ours."""
    return any(name.startswith(PREFIX) for name in model.counts)


@lru_cache(maxsize=2)  # an export writes its firmware several times
def derive(model: Model) -> Derived:
    """Returns the model with our kernels wherever they compute the same, as it is if they nowhere do.

    `model` has one subgraph.
    """
    kernels = [prepare(model, operator) for operator in model.operators]
    if not any(isinstance(kernel, Kernel) for kernel in kernels):
        return Derived(model, kernels)
    tree = model.copy_tree()
    graph, blocks = tree.subgraphs[0], dict[bytes, int]()
    for node, operator, kernel in zip(graph.operators, model.operators, kernels, strict=True):
        if isinstance(kernel, Kernel):
            activations = [tensor.index for tensor in operator.inputs[: _activations(operator.name)] if tensor]
            if kernel.block not in blocks:
                blocks[kernel.block] = _block_tensor(tree, kernel.block)
            node.inputs = [*activations, blocks[kernel.block]]
            node.opcodeIndex = _code(tree, PREFIX + kernel.name)
            node.builtinOptionsType, node.builtinOptions = 0, None
    numbers = _drop_unused(tree)
    planned = placement.plan(memory_planner.schedule(model), [_needs(kernel) for kernel in kernels])
    offsets = {numbers[index]: offset for index, offset in planned.offsets.items()}
    _add_plan(tree, [offsets.get(index, UNPLANNED) for index in range(len(graph.tensors))])
    return Derived(Model.pack(tree), kernels, planned)


def _needs(kernel: Kernel | Refusal) -> Needs | None:
    if isinstance(kernel, Refusal):
        return None
    return Needs((kernel.scratch_bytes,) if kernel.scratch_bytes else (), kernel.lead)


def _add_plan(tree: Any, offsets: Sequence[int]) -> None:
    """Adds the metadata from which TFLM takes the offsets of tensors: version, subgraph, count, and each offset."""
    from tensorflow.lite.python import schema_py_generated as schema

    metadata, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(np.array([1, 0, len(offsets), *offsets], "<i4").tobytes(), np.uint8)
    metadata.name, metadata.buffer = PLAN, len(tree.buffers)
    tree.buffers.append(buffer)
    tree.metadata = [metadata]


def _activations(name: str) -> int:
    """Returns how many inputs an operator has that are no constants."""
    return 2 if name == "ADD" else 1


def _block_tensor(tree: Any, block: bytes) -> int:
    """Adds a constant tensor and returns its number."""
    from tensorflow.lite.python import schema_py_generated as schema

    tensor, buffer = schema.TensorT(), schema.BufferT()
    buffer.data = np.frombuffer(block, np.uint8)
    tensor.shape, tensor.type, tensor.buffer = [len(block)], schema.TensorType.INT8, len(tree.buffers)
    tree.buffers.append(buffer)
    tensors = tree.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def _code(tree: Any, name: str) -> int:
    """Returns the number of the operator code of a custom operator, which is added if it is not there."""
    from tensorflow.lite.python import schema_py_generated as schema

    for number, code in enumerate(tree.operatorCodes):
        if code.customCode == name.encode():
            return number
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = name.encode(), 1
    tree.operatorCodes.append(code)
    return len(tree.operatorCodes) - 1


def _drop_unused(tree: Any) -> dict[int, int]:
    """Removes tensors, buffers and operator codes that nothing names; returns the new number of each old tensor."""
    graph = tree.subgraphs[0]
    vectors = [graph.inputs, graph.outputs]
    vectors += [vector for node in graph.operators for vector in (node.inputs, node.outputs, node.intermediates)]
    tensors = _numbers({index for vector in vectors for index in indices(vector) if index >= 0})
    graph.inputs, graph.outputs = (_renumbered(vector, tensors) for vector in (graph.inputs, graph.outputs))
    for node in graph.operators:
        node.inputs, node.outputs = _renumbered(node.inputs, tensors), _renumbered(node.outputs, tensors)
        node.intermediates = None if node.intermediates is None else _renumbered(node.intermediates, tensors)
    graph.tensors = [graph.tensors[index] for index in tensors]
    buffers = _numbers({0} | {tensor.buffer for tensor in graph.tensors})
    for tensor in graph.tensors:
        tensor.buffer = buffers[tensor.buffer]
    tree.buffers = [tree.buffers[index] for index in buffers]
    codes = _numbers({node.opcodeIndex for node in graph.operators})
    for node in graph.operators:
        node.opcodeIndex = codes[node.opcodeIndex]
    tree.operatorCodes = [tree.operatorCodes[index] for index in codes]
    return tensors


def _numbers(kept: set[int]) -> dict[int, int]:
    """Returns the new number of each old one, in the old order."""
    return {old: new for new, old in enumerate(sorted(kept))}


def _renumbered(vector: Any, numbers: dict[int, int]) -> list[int]:
    return [numbers.get(index, -1) for index in indices(vector)]
