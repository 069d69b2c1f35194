"""The flatbuffer that goes into the firmware: the converter's, without what TFLM never reads.

TFLM reads no tensor names, signatures, metadata, minima, maxima or shape signatures, takes a single zero point for
per-channel weights, and does not read the quantization of biases (FULLY_CONNECTED with one scale for all its weights
checks that of its bias: there it stays). The converter also gives every activation a buffer of its own and aligns every
buffer to 16 bytes, where CMSIS-NN wants 4. The result computes the same; TensorFlow's own interpreter refuses it.
"""

from typing import Any

import numpy as np

from tinytrain.tflite.macs import WEIGHTED
from tinytrain.tflite.model import Model, indices, operator_name

WEIGHTS, BIAS = 1, 2  # their positions among the inputs


def strip(model: Model) -> Model:
    """Returns the model without what TFLM never reads: the same operators, weights and arena."""
    tree = model.copy_tree()
    tree.description = tree.metadata = tree.metadataBuffer = tree.signatureDefs = None
    for graph in tree.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            _strip_tensor(tensor)
        for bias in _biases(tree, graph):
            bias.quantization = None
    _share_buffers(tree)
    return Model.pack(tree)


def _strip_tensor(tensor: Any) -> None:
    tensor.name = tensor.shapeSignature = None
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or not len(quantization.scale):
        tensor.quantization = None
        return
    quantization.min = quantization.max = quantization.details = None
    if len(quantization.scale) > 1:
        quantization.zeroPoint = np.zeros(1, np.int64)


def _biases(tree: Any, graph: Any) -> list[Any]:
    """Returns the biases whose quantization is not read."""
    biases = []
    for node in graph.operators:
        name, inputs = operator_name(node, tree), indices(node.inputs)
        if name in WEIGHTED and len(inputs) > BIAS and inputs[BIAS] >= 0:
            scales = graph.tensors[inputs[WEIGHTS]].quantization.scale
            if name != "FULLY_CONNECTED" or len(scales) > 1:
                biases.append(graph.tensors[inputs[BIAS]])
    return biases


def _share_buffers(tree: Any) -> None:
    """Gives equal buffers one number; all that are empty become number 0, as TFLM demands."""
    empty = type(tree.buffers[0])()
    numbers: dict[bytes, int] = {b"": 0}
    kept = [empty]
    for graph in tree.subgraphs:
        for tensor in graph.tensors:
            data = tree.buffers[tensor.buffer].data
            key = b"" if data is None else bytes(np.asarray(data, np.uint8))
            if key not in numbers:
                numbers[key] = len(kept)
                kept.append(tree.buffers[tensor.buffer])
            tensor.buffer = numbers[key]
    tree.buffers = kept
