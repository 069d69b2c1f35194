"""Operators of TensorFlow Lite Micro: how the generated firmware registers each one, and the flash it takes.

The names are those of `MicroMutableOpResolver` (tensorflow/lite/micro/micro_mutable_op_resolver.h, August 2026).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

# TFLite's builtin operator and the method `Add…` of the resolver.
_BUILTINS = """
ABS Abs, ADD Add, ADD_N AddN, ARG_MAX ArgMax, ARG_MIN ArgMin, ASSIGN_VARIABLE AssignVariable,
AVERAGE_POOL_2D AveragePool2D, BATCH_MATMUL BatchMatMul, BATCH_TO_SPACE_ND BatchToSpaceNd, BROADCAST_ARGS BroadcastArgs,
BROADCAST_TO BroadcastTo, CALL_ONCE CallOnce, CAST Cast, CEIL Ceil, CONCATENATION Concatenation, CONV_2D Conv2D,
COS Cos, CUMSUM CumSum, DEPTH_TO_SPACE DepthToSpace, DEPTHWISE_CONV_2D DepthwiseConv2D, DEQUANTIZE Dequantize, DIV Div,
DYNAMIC_UPDATE_SLICE DynamicUpdateSlice, EMBEDDING_LOOKUP EmbeddingLookup, ELU Elu, EQUAL Equal, EXP Exp,
EXPAND_DIMS ExpandDims, FILL Fill, FLOOR Floor, FLOOR_DIV FloorDiv, FLOOR_MOD FloorMod, FULLY_CONNECTED FullyConnected,
GATHER Gather, GATHER_ND GatherNd, GREATER Greater, GREATER_EQUAL GreaterEqual, HARD_SWISH HardSwish, IF If,
L2_NORMALIZATION L2Normalization, L2_POOL_2D L2Pool2D, LEAKY_RELU LeakyRelu, LESS Less, LESS_EQUAL LessEqual, LOG Log,
LOGICAL_AND LogicalAnd, LOGICAL_NOT LogicalNot, LOGICAL_OR LogicalOr, LOGISTIC Logistic, LOG_SOFTMAX LogSoftmax,
MAXIMUM Maximum, MAX_POOL_2D MaxPool2D, MIRROR_PAD MirrorPad, MEAN Mean, MINIMUM Minimum, MUL Mul, NEG Neg,
NOT_EQUAL NotEqual, PACK Pack, PAD Pad, PADV2 PadV2, PRELU Prelu, QUANTIZE Quantize, READ_VARIABLE ReadVariable,
REDUCE_ALL ReduceAll, REDUCE_MAX ReduceMax, REDUCE_MIN ReduceMin, RELU Relu, RELU6 Relu6, RESHAPE Reshape,
RESIZE_BILINEAR ResizeBilinear, RESIZE_NEAREST_NEIGHBOR ResizeNearestNeighbor, REVERSE_V2 ReverseV2, ROUND Round,
RSQRT Rsqrt, SELECT_V2 SelectV2, SHAPE Shape, SIN Sin, SLICE Slice, SOFTMAX Softmax, SPACE_TO_BATCH_ND SpaceToBatchNd,
SPACE_TO_DEPTH SpaceToDepth, SPLIT Split, SPLIT_V SplitV, SQUEEZE Squeeze, SQRT Sqrt, SQUARE Square,
SQUARED_DIFFERENCE SquaredDifference, STRIDED_SLICE StridedSlice, SUB Sub, SUM Sum, SVDF Svdf, TANH Tanh,
TRANSPOSE_CONV TransposeConv, TRANSPOSE Transpose, UNPACK Unpack,
UNIDIRECTIONAL_SEQUENCE_LSTM UnidirectionalSequenceLSTM, VAR_HANDLE VarHandle, WHILE While, ZEROS_LIKE ZerosLike
"""

# Custom operators by the name in the file. (`AddEthosU` is left out: it adds nothing on a Cortex-M without that NPU.)
_CUSTOM = """
CIRCULAR_BUFFER CircularBuffer, TFLM_DECODE Decode, TFLite_Detection_PostProcess DetectionPostprocess,
SignalDelay Delay, SignalEnergy Energy, SignalFftAutoScale FftAutoScale, SignalFilterBank FilterBank,
SignalFilterBankLog FilterBankLog, SignalFilterBankSquareRoot FilterBankSquareRoot,
SignalFilterBankSpectralSubtraction FilterBankSpectralSubtraction, SignalFramer Framer, SignalIrfft Irfft,
SignalOverlapAdd OverlapAdd, SignalPCAN PCAN, SignalRfft Rfft, SignalStacker Stacker, SignalWindow Window
"""

# Operators with a `Register_…_INT8()`: the header under tensorflow/lite/micro/kernels, and the inputs that must be int8
# for it (the others, such as biases and paddings, are int32 in every int8 model). With CMSIS-NN these leave out the
# float and int16 kernels; with the reference kernels they are the general ones. UNIDIRECTIONAL_SEQUENCE_LSTM has one,
# which asserts int16 weights: not used.
_INT8 = {
    "ADD": ("add.h", (0, 1)),
    "AVERAGE_POOL_2D": ("pooling.h", (0,)),
    "BATCH_MATMUL": ("batch_matmul.h", (0, 1)),
    "CONV_2D": ("conv.h", (0, 1)),
    "DEPTHWISE_CONV_2D": ("depthwise_conv.h", (0, 1)),
    "FULLY_CONNECTED": ("fully_connected.h", (0, 1)),
    "MAXIMUM": ("maximum_minimum.h", (0, 1)),
    "MAX_POOL_2D": ("pooling.h", (0,)),
    "MINIMUM": ("maximum_minimum.h", (0, 1)),
    "MUL": ("mul.h", (0, 1)),
    "PAD": ("pad.h", (0,)),
    "SOFTMAX": ("softmax.h", (0,)),
    "SVDF": ("svdf.h", (0, 1)),
    "TRANSPOSE": ("transpose.h", (0,)),
    "TRANSPOSE_CONV": ("transpose_conv.h", (1, 2)),
}

# Operators that the firmware computes itself (firmware/app/operators_tflm.h) and the flash that each then adds.
_OWN = {
    "HARD_SWISH": ("Lookup", 536),
    "LOGISTIC": ("Lookup", 536),
    "TANH": ("Lookup", 536),
    "ADD": ("AddSameShape", 2_156),
    "MUL": ("MulByChannel", 1_928),
    "AVERAGE_POOL_2D": ("GlobalAveragePool", 648),
}
TABLE_BYTES = 256  # of each operator that is looked up
LOOKED_UP = tuple(name for name, (own, _) in _OWN.items() if own == "Lookup")

# Bytes of flash that an operator adds, as benchmarks/runtime_size.py measured them (gcc 12.2, TFLM of August 2026 with
# CMSIS-NN and its error texts): the `*_INT8` registration, then the general one where there are both. Operators share
# code, so the sum is an estimate: 0.0 to 0.3 % above the link for six networks, 4.3 % for FULLY_CONNECTED alone. A
# library without its error texts is smaller by about a quarter.
_FLASH_BYTES = """
ABS 1980, ADD 6158 11630, ADD_N 2016, ARG_MAX 1432, ARG_MIN 1432, ASSIGN_VARIABLE 1280, AVERAGE_POOL_2D 2730 3350,
BATCH_MATMUL 6616 9272, BATCH_TO_SPACE_ND 1672, BROADCAST_ARGS 1320, BROADCAST_TO 2104, CALL_ONCE 444, CAST 1752, CEIL
812, CONCATENATION 4288, CONV_2D 7774 24866, COS 4800, CUMSUM 2272, DEPTH_TO_SPACE 1972, DEPTHWISE_CONV_2D 8490 17194,
DEQUANTIZE 1148, DIV 6172, DYNAMIC_UPDATE_SLICE 3144, EMBEDDING_LOOKUP 2072, ELU 2272, EQUAL 7124, EXP 1528,
EXPAND_DIMS 1296, FILL 1328, FLOOR 312, FLOOR_DIV 2368, FLOOR_MOD 2396, FULLY_CONNECTED 11642 16170, GATHER 2300,
GATHER_ND 1960, GREATER 8596, GREATER_EQUAL 6068, HARD_SWISH 1376, IF 2000, L2_NORMALIZATION 2160, L2_POOL_2D 2412,
LEAKY_RELU 1432, LESS 6068, LESS_EQUAL 6068, LOG 1300, LOGICAL_AND 1188, LOGICAL_NOT 656, LOGICAL_OR 1188, LOGISTIC
5268, LOG_SOFTMAX 5916, MAXIMUM 1408 6264, MAX_POOL_2D 1896 2516, MIRROR_PAD 1076, MEAN 5016, MINIMUM 1408 6264, MUL
5080 8544, NEG 196, NOT_EQUAL 7060, PACK 1288, PAD 2684 5124, PADV2 5124, PRELU 3944, QUANTIZE 2616, READ_VARIABLE
424, REDUCE_ALL 2912, REDUCE_MAX 3188, REDUCE_MIN 3188, RELU 1176, RELU6 920, RESHAPE 1556, RESIZE_BILINEAR 2960,
RESIZE_NEAREST_NEIGHBOR 3032, REVERSE_V2 4988, ROUND 876, RSQRT 2840, SELECT_V2 6380, SHAPE 436, SIN 4800, SLICE 2568,
SOFTMAX 7852 8876, SPACE_TO_BATCH_ND 1832, SPACE_TO_DEPTH 2012, SPLIT 1764, SPLIT_V 1868, SQUEEZE 1116, SQRT 756,
SQUARE 656, SQUARED_DIFFERENCE 6436, STRIDED_SLICE 12264, SUB 9796, SUM 5296, SVDF 6564 9060, TANH 5640,
TRANSPOSE_CONV 5892 8356, TRANSPOSE 1848 2836, UNPACK 1100, UNIDIRECTIONAL_SEQUENCE_LSTM 17228, VAR_HANDLE 576, WHILE
2356, ZEROS_LIKE 632, CIRCULAR_BUFFER 1134, TFLM_DECODE 21514, TFLite_Detection_PostProcess 10321, SignalDelay 1458,
SignalEnergy 925, SignalFftAutoScale 1055, SignalFilterBank 1805, SignalFilterBankLog 1394, SignalFilterBankSquareRoot
1291, SignalFilterBankSpectralSubtraction 1574, SignalFramer 2097, SignalIrfft 21226, SignalOverlapAdd 4049,
SignalPCAN 1651, SignalRfft 21195, SignalStacker 1784, SignalWindow 1253
"""
RUNTIME_BASE_BYTES = 30_516  # TFLM, CMSIS-NN and libc without operators
FIRMWARE_BYTES = 13_730  # this project's own code on stm32f746g_disco
OTHER_RAM_BYTES = 3_016  # .data and .bss
TAKEN_BYTES = 16  # beside a copy of the output, where the input is not kept: what is known of it (inference.cc)


@dataclass(frozen=True)
class Op:
    """How to register one operator."""

    name: str
    method: str
    int8_register: str = ""  # "" where there is none
    int8_header: str = ""
    int8_inputs: tuple[int, ...] = ()
    int8_flash_bytes: int = 0
    flash_bytes: int = 0
    own: str = ""  # the firmware's own, "" where there is none
    own_flash_bytes: int = 0


class _Tensor(Protocol):
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


class _Use(Protocol):
    """An operator in a model, such as tflite.model.Operator."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[_Tensor | None, ...]: ...
    @property
    def outputs(self) -> tuple[_Tensor, ...]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


def _op(row: str) -> Op:
    name, method = row.split()
    int8_flash, flash = _FLASH[name]
    own, own_flash = _OWN.get(name, ("", 0))
    header, inputs = _INT8.get(name, ("", ()))
    return Op(
        name,
        f"Add{method}",
        f"Register_{name}_INT8" if header else "",
        f"tensorflow/lite/micro/kernels/{header}" if header else "",
        inputs,
        int8_flash,
        flash,
        own,
        own_flash,
    )


def _flash(row: str) -> tuple[str, tuple[int, int]]:
    name, *sizes = row.split()
    return name, (int(sizes[0]), int(sizes[-1]))


_FLASH = dict(map(_flash, _FLASH_BYTES.split(",")))
OPS = {op.name: op for op in map(_op, f"{_BUILTINS},{_CUSTOM}".split(","))}


def is_int8(use: _Use) -> bool:
    """Returns whether the `*_INT8` registration can run this use: it exists and input, weights and output are int8."""
    op = OPS[use.name]
    if not op.int8_register:
        return False
    inputs = [use.inputs[i] if i < len(use.inputs) else None for i in op.int8_inputs]
    return all(tensor is not None and tensor.dtype == "int8" for tensor in [*inputs, *use.outputs])


def is_own(use: _Use) -> bool:
    """Returns whether the firmware's own operator can run this use: the conditions of firmware/app/operators_tflm.h."""
    tensors = [*use.inputs, *use.outputs]
    if not OPS[use.name].own or any(tensor is None or tensor.dtype != "int8" for tensor in tensors):
        return False
    shapes = [tensor.shape for tensor in tensors if tensor is not None]
    expected = 3 if use.name in ("ADD", "MUL") else 2
    return len(shapes) == expected and _OWN_SHAPES[use.name](shapes, use.options)


def _is_whole_map(shapes: list[tuple[int, ...]], options: Mapping[str, Any]) -> bool:
    """AVERAGE_POOL_2D: one image, a window as large as the map, one value for each channel, no activation."""
    source, target = shapes
    window = (options.get("filterHeight"), options.get("filterWidth"))
    one_map = len(source) == 4 and source[0] == 1 and window == source[1:3] and target == (1, 1, 1, source[3])
    return one_map and options.get("fusedActivationFunction") == 0


def _is_by_channel(shapes: list[tuple[int, ...]], _: Mapping[str, Any]) -> bool:
    """MUL: two tensors of one shape, or one by a vector (…, 1, C) with a factor for each of its C channels."""
    first, second, target = shapes
    if first == second:
        return target == first
    larger, smaller = sorted((first, second), key=math.prod, reverse=True)
    is_vector = bool(smaller) and math.prod(smaller) == smaller[-1]
    return is_vector and bool(larger) and larger[-1] == smaller[-1] and target == larger


def _is_same_shape(shapes: list[tuple[int, ...]], _: Mapping[str, Any]) -> bool:
    """ADD, and what is looked up: all tensors of one shape."""
    return all(shape == shapes[0] for shape in shapes)


_OWN_SHAPES: dict[str, Callable[[list[tuple[int, ...]], Mapping[str, Any]], bool]] = {
    **dict.fromkeys(_OWN, _is_same_shape),
    "MUL": _is_by_channel,
    "AVERAGE_POOL_2D": _is_whole_map,
}


def registrations(uses: Iterable[_Use]) -> dict[str, str]:
    """Returns the operators to register, in order of first use, {name: kind}.

    The kind is the best that every use of the operator allows: "own" (this firmware's), "int8" (TFLM's `*_INT8`) or
    "general".
    """
    kinds: dict[str, list[str]] = {}
    for use in uses:
        possible = [kind for kind, test in (("own", is_own), ("int8", is_int8)) if test(use)]
        kinds[use.name] = [kind for kind in kinds.get(use.name, KINDS) if kind in (*possible, "general")]
    return {name: possible[0] for name, possible in kinds.items()}


KINDS = ["own", "int8", "general"]


def flash_bytes(name: str, kind: str) -> int:
    """Returns the flash that the operator `name`, registered as `kind`, adds."""
    op = OPS[name]
    return {"own": op.own_flash_bytes, "int8": op.int8_flash_bytes, "general": op.flash_bytes}[kind]


def runtime_bytes(kinds: Mapping[str, str]) -> int:
    """Returns the estimated flash of TFLM, CMSIS-NN and libc with these registrations; see the table for its error."""
    return RUNTIME_BASE_BYTES + sum(flash_bytes(name, kind) for name, kind in kinds.items())
