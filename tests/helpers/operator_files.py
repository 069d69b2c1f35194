"""Builds a .tflite of many independent operators, each with constant inputs and an output of the model."""

from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

KINDS = {"int8": schema.TensorType.INT8, "int32": schema.TensorType.INT32}


class OperatorFile:
    """The operators of one file; its one input (1, 1, 1, 1) is read by nothing."""

    def __init__(self):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators, self.graph.outputs = [], [], []
        self.graph.inputs = [self.tensor((1, 1, 1, 1), scales=[1.0])]

    def tensor(self, shape, data=None, scales=None, zero=0, axis=0):
        """Adds a tensor, int8 unless `data` is something else, and returns its number."""
        tensor = schema.TensorT()
        tensor.shape, tensor.buffer = list(shape), 0
        tensor.type = KINDS["int8" if data is None else data.dtype.name]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = [float(scale) for scale in scales]
            tensor.quantization.zeroPoint = [zero] * len(scales)
            tensor.quantization.quantizedDimension = axis
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, name, inputs, output, table="", **options: Any):
        """Adds an operator with the options of the schema's `table`; its output becomes one of the model."""
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._code(name), inputs, [output]
        if table:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(schema, f"{table}T")()
            vars(operator.builtinOptions).update(options)
        self.graph.operators.append(operator)
        self.graph.outputs.append(output)

    def content(self) -> bytes:
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, name):
        number = getattr(schema.BuiltinOperator, name)
        numbers = [code.builtinCode for code in self.model.operatorCodes]
        if number not in numbers:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 3
            self.model.operatorCodes.append(code)
            numbers.append(number)
        return numbers.index(number)
