"""Builds a .tflite with many independent int8 operators: each reads constants, and no other operator reads its output.

So one program in the emulator counts a hundred operators of any shapes. The first one reads the input of the model, and
the output of the last one is that of the model.
"""

import math
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

SCALE, BIAS_LIMIT = 0.05, 1000
MOST_JOINED = 8  # inputs of a CONCATENATION; TFLM takes 10


@dataclass(frozen=True)
class Case:
    """One operator: its TFLite name, the shape of its input without the batch, and its options."""

    name: str
    shape: tuple[int, ...]
    window: tuple[int, int] = (1, 1)
    filters: int = 0  # or the outputs of FULLY_CONNECTED
    stride: int = 1  # of RESIZE_NEAREST_NEIGHBOR, how many times as large the output is
    same: bool = True  # padding SAME instead of VALID
    second: tuple[
        int, ...
    ] = ()  # shape of the second input, () if as the first; or the axes of TRANSPOSE, the batch being 0
    pad: int = 0
    dilation: int = 1
    zero: int = 5  # of the output, where no other is fixed
    relu: bool = False

    @property
    def constant_bytes(self) -> int:
        """The bytes of the constants that the case needs in the model."""
        weights = math.prod(self.window) * self.filters * (self.shape[-1] if self.name != "DEPTHWISE_CONV_2D" else 1)
        return 2 * math.prod(self.shape) + weights

    def __str__(self) -> str:
        """Returns a short form, such as "CONV_2D 3x3/2 32x32x16 -> 32"."""
        window = f" {self.window[0]}x{self.window[1]}" + (f"/{self.stride}" if self.stride > 1 else "")
        suffix = f" -> {self.filters}" if self.filters else (f" + {self.pad}" if self.pad else "")
        if self.second:
            suffix = f" with {'x'.join(map(str, self.second))}"
        return f"{self.name}{window if self.window != (1, 1) else ''} {'x'.join(map(str, self.shape))}{suffix}"


def model(cases: list[Case]) -> bytes:
    """Returns the .tflite of `cases` in their order; its output is that of the last one."""
    builder = _Builder()
    for case in cases:
        builder.add(case)
    return builder.content()


def joined_model(cases: list[Case]) -> bytes:
    """Returns the .tflite of `cases` in their order; its output (1, bytes) consists of all of theirs."""
    builder = _Builder()
    for case in cases:
        builder.add(case)
    builder.join()
    return builder.content()


class _Builder:
    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []

    def add(self, case: Case) -> None:
        """Adds the operator of a case, its constants and its output."""
        source = self._activation(case.shape, constant=bool(self.graph.operators))
        if not self.graph.operators:
            self.graph.inputs = [source]
        if case.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            self._convolution(case, source)
        elif case.name == "FULLY_CONNECTED":
            weights = self._weights((case.filters, case.shape[-1]), 0)
            bias = self._bias(case.filters)
            options = {"fusedActivationFunction": int(case.relu)}
            self._operator(
                case.name,
                [source, weights, bias],
                (case.filters,),
                "FullyConnectedOptions",
                zero=case.zero,
                **options,
            )
        elif case.name in ("ADD", "MUL", "SUB"):
            second = self._activation(case.second or case.shape)
            shape = np.broadcast_shapes(case.shape, case.second or case.shape)
            kind, options = f"{case.name.capitalize()}Options", {"fusedActivationFunction": int(case.relu)}
            self._operator(case.name, [source, second], shape, kind, zero=case.zero, **options)
        elif case.name == "TRANSPOSE":
            order = self._integers([0, *case.second])
            shape = [(1, *case.shape)[axis] for axis in case.second]
            self._operator(case.name, [source, order], shape, "TransposeOptions", scale=SCALE, zero=-3)
        elif case.name == "TRANSPOSE_CONV":
            self._transposed(case, source)
        elif case.name in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
            self._pool(case, source)
        else:
            self._other(case, source)

    def join(self) -> None:
        """Adds a tree of CONCATENATION over the outputs of all operators, without requantizing any."""
        parts = []
        for output in [operator.outputs[0] for operator in self.graph.operators]:
            shape = [1, math.prod(self.graph.tensors[output].shape)]
            self._operator("RESHAPE", [output, self._integers(shape)], shape[1:], "ReshapeOptions")
            parts.append(self.graph.operators[-1].outputs[0])
        while len(parts) > 1:
            groups = [parts[i : i + MOST_JOINED] for i in range(0, len(parts), MOST_JOINED)]
            parts = [self._joined(group) if len(group) > 1 else group[0] for group in groups]

    def _joined(self, parts: list[int]) -> int:
        count = sum(self.graph.tensors[part].shape[1] for part in parts)
        self._operator("CONCATENATION", parts, (count,), "ConcatenationOptions", axis=1)
        return self.graph.operators[-1].outputs[0]

    def content(self) -> bytes:
        """Returns the bytes of the file."""
        self.graph.outputs = [self.graph.operators[-1].outputs[0]]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _convolution(self, case: Case, source: int) -> None:
        channels = case.shape[-1]
        depthwise = case.name == "DEPTHWISE_CONV_2D"
        shape = (1, *case.window, case.filters) if depthwise else (case.filters, *case.window, channels)
        weights = self._weights(shape, 3 if depthwise else 0)
        sides = [
            -(-side // case.stride) if case.same else (side - 1 - case.dilation * (tap - 1)) // case.stride + 1
            for side, tap in zip(case.shape, case.window, strict=False)
        ]
        options = {"depthMultiplier": case.filters // channels} if depthwise else {}
        options |= {"strideH": case.stride, "strideW": case.stride, "padding": 0 if case.same else 1}
        options |= {"dilationHFactor": case.dilation, "dilationWFactor": case.dilation}
        options |= {"fusedActivationFunction": int(case.relu), "zero": case.zero}
        kind = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        self._operator(case.name, [source, weights, self._bias(case.filters)], (*sides, case.filters), kind, **options)

    def _transposed(self, case: Case, source: int) -> None:
        height, width, channels = case.shape
        shape = (height * case.stride, width * case.stride, case.filters)
        weights = self._weights((case.filters, *case.window, channels), 0)
        options = {"strideH": case.stride, "strideW": case.stride, "padding": 0}
        inputs = [self._integers([1, *shape]), weights, source]
        self._operator(case.name, inputs, shape, "TransposeConvOptions", **options)

    def _pool(self, case: Case, source: int) -> None:
        sides = [(side - tap) // case.stride + 1 for side, tap in zip(case.shape, case.window, strict=False)]
        options = {"filterHeight": case.window[0], "filterWidth": case.window[1], "padding": 1}
        options |= {"strideH": case.stride, "strideW": case.stride, "fusedActivationFunction": int(case.relu)}
        shape = (*sides, case.shape[-1])
        self._operator(case.name, [source], shape, "Pool2DOptions", scale=SCALE, zero=-3, **options)

    def _other(self, case: Case, source: int) -> None:
        channels, same_range = case.shape[-1], {"scale": SCALE, "zero": -3}
        if case.name == "MEAN":
            self._operator(case.name, [source, self._integers([1, 2])], (channels,), "ReducerOptions")
        elif case.name == "PAD":
            sides = self._integers([[0, 0], [case.pad] * 2, [case.pad] * 2, [0, 0]])
            shape = (case.shape[0] + 2 * case.pad, case.shape[1] + 2 * case.pad, channels)
            self._operator(case.name, [source, sides], shape, "PadOptions", **same_range)
        elif case.name == "RESHAPE":
            shape = [1, math.prod(case.shape)]
            self._operator(case.name, [source, self._integers(shape)], shape[1:], "ReshapeOptions", **same_range)
        elif case.name == "CONCATENATION":
            shape = (*case.shape[:-1], 2 * channels)
            second = self._activation(case.shape)
            self._operator(case.name, [source, second], shape, "ConcatenationOptions", **same_range, axis=len(shape))
        elif case.name == "RESIZE_NEAREST_NEIGHBOR":
            sides = [case.stride * side for side in case.shape[:2]]
            kind, shape = "ResizeNearestNeighborOptions", (*sides, channels)
            options = {"halfPixelCenters": True, "alignCorners": False}
            self._operator(case.name, [source, self._integers(sides)], shape, kind, **same_range, **options)
        else:
            kinds = {"SOFTMAX": "SoftmaxOptions", "QUANTIZE": "QuantizeOptions", "HARD_SWISH": "HardSwishOptions"}
            fixed = {"SOFTMAX": (1 / 256, -128), "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
            scale, zero = fixed.get(case.name, (0.07 if case.name == "QUANTIZE" else SCALE, -3))
            options = {"beta": 1.0} if case.name == "SOFTMAX" else {}
            self._operator(case.name, [source], case.shape, kinds.get(case.name, ""), scale=scale, zero=zero, **options)

    def _operator(
        self,
        name: str,
        inputs: list[int],
        shape: Any,
        kind: str = "",
        scale: float = 1.0,
        zero: int = 5,
        **options: Any,
    ) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = self._code(name), inputs
        operator.outputs = [self._tensor((1, *shape), "INT8", scales=[scale], zero=zero)]
        if kind:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(schema, f"{kind}T")()
            vars(operator.builtinOptions).update(options)
        self.graph.operators.append(operator)

    def _code(self, name: str) -> int:
        number = getattr(schema.BuiltinOperator, name)
        numbers = [code.builtinCode for code in self.model.operatorCodes]
        if number in numbers:
            return numbers.index(number)
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 3
        self.model.operatorCodes.append(code)
        return len(numbers)

    def _activation(self, shape: tuple[int, ...], constant: bool = True) -> int:
        data = self.random.integers(-128, 128, (1, *shape)).astype(np.int8) if constant else None
        return self._tensor((1, *shape), "INT8", data, [SCALE], -3)

    def _weights(self, shape: tuple[int, ...], axis: int) -> int:
        data = self.random.integers(-127, 128, shape).astype(np.int8)
        number = self._tensor(shape, "INT8", data, [0.01 + 0.0001 * i for i in range(shape[axis])])
        self.graph.tensors[number].quantization.quantizedDimension = axis
        return number

    def _bias(self, count: int) -> int:
        data = self.random.integers(-BIAS_LIMIT, BIAS_LIMIT, count).astype(np.int32)
        return self._tensor((count,), "INT32", data, [SCALE * (0.01 + 0.0001 * i) for i in range(count)])

    def _integers(self, values: Any) -> int:
        data = np.array(values, np.int32)
        return self._tensor(data.shape, "INT32", data)

    def _tensor(
        self, shape: Any, kind: str, data: np.ndarray | None = None, scales: list[float] | None = None, zero: int = 0
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), getattr(schema.TensorType, kind), 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = scales, [zero] * len(scales)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1
