"""int8 at both ends: a .tflite made elsewhere often takes and gives float32 or uint8 around a network that is all int8.

TensorFlow Lite's converter does so by default: a QUANTIZE behind the input, a DEQUANTIZE or QUANTIZE before the output.
The firmware feeds and reads int8, so these operators are left out, which changes no result of the others.
"""

from typing import Any

import flatbuffers

from tinytrain.tflite.model import builtin_code

OUTSIDE = ("FLOAT32", "UINT8")  # what the converter puts around int8


def int8_ends(content: bytes) -> tuple[bytes, list[str]]:
    """Returns (the .tflite `content` with int8 ends where they can be had, what was left out: "float32 input" …).

    Where nothing can be left out, it is `content` itself.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    graph.inputs, graph.outputs = _numbers(graph.inputs), _numbers(graph.outputs)  # numpy's are read-only
    names = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    types = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}

    def kind(tensor: int) -> str:
        return types[graph.tensors[tensor].type]

    def is_conversion(node: Any, outside: int, inside: int) -> bool:
        name = names[builtin_code(model.operatorCodes[node.opcodeIndex])]
        return name in ("QUANTIZE", "DEQUANTIZE") and kind(outside) in OUTSIDE and kind(inside) == "INT8"

    left_out = []
    for place, tensor in enumerate(graph.inputs):
        readers = [node for node in graph.operators if tensor in node.inputs]
        if len(readers) == 1 and is_conversion(readers[0], tensor, readers[0].outputs[0]):
            left_out.append(f"{kind(tensor).lower()} input")
            graph.inputs[place] = readers[0].outputs[0]
            graph.operators.remove(readers[0])
    for place, tensor in enumerate(graph.outputs):
        writers = [node for node in graph.operators if tensor in node.outputs]
        read_on = any(tensor in node.inputs for node in graph.operators)
        if len(writers) == 1 and not read_on and is_conversion(writers[0], tensor, writers[0].inputs[0]):
            left_out.append(f"{kind(tensor).lower()} output")
            graph.outputs[place] = writers[0].inputs[0]
            graph.operators.remove(writers[0])
    return (_packed(model), left_out) if left_out and len(graph.operators) else (content, [])


def _packed(model: Any) -> bytes:
    model.signatureDefs = None  # they name the tensors that were input and output
    _drop_unused(model.subgraphs[0])
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _drop_unused(graph: Any) -> None:
    """Leaves out the tensors that no operator touches: TFLM would give them room in the arena."""
    owners = [graph, *graph.operators]
    used = sorted({t for owner in owners for t in _numbers(owner.inputs) + _numbers(owner.outputs) if t >= 0})
    number = {old: new for new, old in enumerate(used)} | {-1: -1}  # -1: an optional input that is left out
    for owner in owners:
        owner.inputs = [number[tensor] for tensor in _numbers(owner.inputs)]
        owner.outputs = [number[tensor] for tensor in _numbers(owner.outputs)]
    graph.tensors = [graph.tensors[old] for old in used]


def _numbers(vector: Any) -> list[int]:
    """Returns a vector of the object API, which is None or a numpy array at will, as a list."""
    return [] if vector is None else [int(number) for number in vector]
