"""The flatbuffer that goes into the firmware: the converter's, without what TFLM never reads.

TFLM reads no tensor names, signatures, metadata, minima, maxima or shape signatures, takes a single zero point for
per-channel weights, and does not read the quantization of biases (FULLY_CONNECTED with one scale for all its weights
checks that of its bias: there it stays). The converter also gives every activation a buffer of its own and aligns every
buffer to 16 bytes, where CMSIS-NN wants 4. The result computes the same; TensorFlow's own interpreter refuses it.
"""

from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from tinytrain.tflite.model import builtin_code

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
WEIGHTS, BIAS = 1, 2  # their places among the inputs


def compact(content: bytes) -> bytes:
    """Returns the .tflite `content` without what TFLM never reads; the same operators, weights and arena."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    model.description = model.metadata = model.metadataBuffer = model.signatureDefs = None
    for graph in model.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            _strip(tensor)
        for bias in _biases(model, graph):
            bias.quantization = None
    _share_buffers(model)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _strip(tensor: Any) -> None:
    tensor.name = tensor.shapeSignature = None
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        tensor.quantization = None
        return
    quantization.min = quantization.max = quantization.details = None
    if len(quantization.scale) > 1:
        quantization.zeroPoint = np.zeros(1, np.int64)


def _biases(model: Any, graph: Any) -> list[Any]:
    """Returns the biases whose quantization is not read."""
    codes = {getattr(schema.BuiltinOperator, name): name for name in WEIGHTED}
    found = []
    for node in graph.operators:
        name = codes.get(builtin_code(model.operatorCodes[node.opcodeIndex]), "")
        if name and len(node.inputs) > BIAS and node.inputs[BIAS] >= 0:
            scales = graph.tensors[node.inputs[WEIGHTS]].quantization.scale
            if name != "FULLY_CONNECTED" or len(scales) > 1:
                found.append(graph.tensors[node.inputs[BIAS]])
    return found


def _share_buffers(model: Any) -> None:
    """Gives equal buffers one number; all that are empty become number 0, as TFLM demands."""
    numbers: dict[bytes, int] = {b"": 0}
    kept = [schema.BufferT()]
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            key = b"" if data is None else bytes(np.asarray(data, np.uint8))
            if key not in numbers:
                numbers[key] = len(kept)
                kept.append(model.buffers[tensor.buffer])
            tensor.buffer = numbers[key]
    model.buffers = kept
