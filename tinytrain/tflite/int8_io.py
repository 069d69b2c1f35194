"""int8 input and output: a .tflite made elsewhere often takes and gives float32 or uint8 around an int8 network.

TensorFlow Lite's converter does so by default: a QUANTIZE behind the input, a DEQUANTIZE or QUANTIZE before the output.
The firmware feeds and reads int8, so these operators are removed, which changes no result of the others.
"""

from typing import Any

from tinytrain.tflite.model import Model, indices, operator_name, type_name

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
OUTER_TYPES = ("float32", "uint8")  # what the converter puts around int8


def with_int8_io(model: Model) -> tuple[Model, list[str]]:
    """Removes the conversions between int8 and the inputs and outputs of a model.

    Returns:
        (the model, what became int8: "float32 input" …). Where there is nothing to remove, it is `model` itself.
    """
    tree = model.copy_tree()
    graph = tree.subgraphs[0]
    for owner in (graph, *graph.operators):
        owner.inputs, owner.outputs = indices(owner.inputs), indices(owner.outputs)

    def dtype(tensor: int) -> str:
        return type_name(graph.tensors[tensor])

    def is_conversion(node: Any, outer: int, inner: int) -> bool:
        return operator_name(node, tree) in CONVERSIONS and dtype(outer) in OUTER_TYPES and dtype(inner) == "int8"

    removed = []
    for position, tensor in enumerate(graph.inputs):
        readers = [node for node in graph.operators if tensor in node.inputs]
        if len(readers) == 1 and is_conversion(readers[0], tensor, readers[0].outputs[0]):
            removed.append(f"{dtype(tensor)} input")
            graph.inputs[position] = readers[0].outputs[0]
            graph.operators.remove(readers[0])
    for position, tensor in enumerate(graph.outputs):
        writers = [node for node in graph.operators if tensor in node.outputs]
        is_read = any(tensor in node.inputs for node in graph.operators)
        if len(writers) == 1 and not is_read and is_conversion(writers[0], tensor, writers[0].inputs[0]):
            removed.append(f"{dtype(tensor)} output")
            graph.outputs[position] = writers[0].inputs[0]
            graph.operators.remove(writers[0])
    if not removed or not graph.operators:
        return model, []
    tree.signatureDefs = None  # they name the tensors that were input and output
    _drop_unused_tensors(graph)
    return Model.pack(tree), removed


def _drop_unused_tensors(graph: Any) -> None:
    """Removes the tensors that no operator touches: TFLM would give them room in the arena."""
    owners = [graph, *graph.operators]
    used = sorted({tensor for owner in owners for tensor in (*owner.inputs, *owner.outputs) if tensor >= 0})
    number = {old: new for new, old in enumerate(used)} | {-1: -1}  # -1: an optional input that is left out
    for owner in owners:
        owner.inputs = [number[tensor] for tensor in owner.inputs]
        owner.outputs = [number[tensor] for tensor in owner.outputs]
    graph.tensors = [graph.tensors[old] for old in used]
