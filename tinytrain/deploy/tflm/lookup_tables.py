"""Tables of the operators that map one int8 value to another: what the firmware looks up instead of computing.

An int8 HARD_SWISH or LOGISTIC has 256 different inputs. TFLM computes every element, in 86 and 449 instructions on
a Cortex-M7; a table takes 4, and 256 bytes of flash. The tables are what TFLM's own interpreter gives: they are exact.
"""

import copy
from collections.abc import Sequence

import numpy as np

from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model, Operator

VALUES = np.arange(-128, 128, dtype=np.int8)


def operators(model: Model) -> list[Operator]:
    """Returns the operators that the firmware looks up, in the order of the model."""
    uses = [use for use in model.operators if use.name in tflm_ops.LOOKED_UP]
    kinds = tflm_ops.registrations(uses)
    return [use for use in uses if kinds[use.name] == "own"]


def tables(model: Model) -> np.ndarray:
    """Returns (n, 256) int8: what each of the n `operators` of the model gives for -128, -127 … 127."""
    return tables_of(model, operators(model))


def tables_of(model: Model, uses: Sequence[Operator]) -> np.ndarray:
    """Returns (n, 256) int8: what each of n operators of the model, of one int8 input, gives for -128, -127 … 127."""
    numbers = [number for number, use in enumerate(model.operators) if any(use is each for each in uses)]
    return ReferenceInterpreter(_only(model, numbers).content).each(VALUES) if numbers else np.empty((0, 256), np.int8)


def _only(model: Model, numbers: Sequence[int]) -> Model:
    """Returns a model of some operators alone, each with an input and an output of its own, (1, 256)."""
    tree = model.copy_tree()
    graph = tree.subgraphs[0]
    uses = [graph.operators[number] for number in numbers]
    tensors = [copy.copy(graph.tensors[index]) for node in uses for index in (node.inputs[0], node.outputs[0])]
    for tensor in tensors:
        tensor.shape, tensor.shapeSignature, tensor.buffer = [1, 256], None, 0
    for number, node in enumerate(uses):
        node.inputs, node.outputs = [2 * number], [2 * number + 1]
    graph.tensors, graph.operators = tensors, uses
    graph.inputs, graph.outputs = list(range(0, len(tensors), 2)), list(range(1, len(tensors), 2))
    tree.buffers = [type(tree.buffers[0])()]  # an empty one
    tree.metadata = tree.signatureDefs = tree.metadataBuffer = None
    return Model.pack(tree)
