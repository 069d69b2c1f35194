"""Operators of TensorFlow Lite Micro: how the generated firmware registers each one, and the flash it takes.

The names are those of `MicroMutableOpResolver` (tensorflow/lite/micro/micro_mutable_op_resolver.h, August 2026).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

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


@dataclass(frozen=True)
class Op:
    """How to register one operator."""

    name: str
    method: str
    int8_register: str = ""  # "" where there is none
    int8_header: str = ""
    int8_inputs: tuple[int, ...] = ()


class _Tensor(Protocol):
    @property
    def dtype(self) -> str: ...


class _Use(Protocol):
    """An operator in a model, such as flatbuffer.Operator."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[_Tensor | None, ...]: ...
    @property
    def outputs(self) -> tuple[_Tensor, ...]: ...


def _op(row: str) -> Op:
    name, method = row.split()
    if name not in _INT8:
        return Op(name, f"Add{method}")
    header, inputs = _INT8[name]
    return Op(name, f"Add{method}", f"Register_{name}_INT8", f"tensorflow/lite/micro/kernels/{header}", inputs)


OPS = {op.name: op for op in map(_op, f"{_BUILTINS},{_CUSTOM}".split(","))}


def is_int8(use: _Use) -> bool:
    """Returns whether the `*_INT8` registration can run this use: it exists and input, weights and output are int8."""
    op = OPS[use.name]
    if not op.int8_register:
        return False
    inputs = [use.inputs[i] if i < len(use.inputs) else None for i in op.int8_inputs]
    return all(tensor is not None and tensor.dtype == "int8" for tensor in [*inputs, *use.outputs])


def registrations(uses: Iterable[_Use]) -> dict[str, bool]:
    """Returns the operators to register, in order of first use: {name: True where every use may be `*_INT8`}."""
    int8: dict[str, bool] = {}
    for use in uses:
        int8[use.name] = int8.get(use.name, True) and is_int8(use)
    return int8


# Flash of the runtime (TFLM with its error texts, CMSIS-NN, libc) as benchmarks/runtime_size.py measured it with gcc 12.2: without
RUNTIME_BASE_BYTES = 0
FIRMWARE_BYTES = 0
OTHER_RAM_BYTES = 0
