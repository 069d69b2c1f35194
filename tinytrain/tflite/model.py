"""What a .tflite file says about itself: operators in the order they run, tensors, quantization.

The format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
"""

import struct
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.errors import UserError

IDENTIFIER = b"TFL3"  # at bytes 4 to 8
SCHEMA_VERSION = 3
VELA = "ethos-u"  # the custom operator that Vela puts in place of those that it compiled
_SMALL = 16  # values of a constant that are kept
_OTHER_FILES = {
    b"version https://git-lfs.github.com/spec/": "it is a Git LFS pointer, the address of the file: `git lfs pull` "
    "fetches the file itself",
    b"PK\x03\x04": "it is a zip file, such as a .keras: convert the network with tf.lite.TFLiteConverter",
    b"\x89HDF": "it is an HDF5 file, such as Keras' .h5: convert the network with tf.lite.TFLiteConverter",
    b"<": "it is a web page or XML: the download went wrong",
    b"\x1f\x8b": "it is compressed by gzip: unpack it",
}

# Inputs of an operator at least, and the rank of its weights, the second one; other operators have an input.
_LEAST_INPUTS = {"VAR_HANDLE": 0, "CALL_ONCE": 0, "ADD": 2, "SUB": 2, "MUL": 2}
_WEIGHTS_RANK = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "TRANSPOSE_CONV": 4, "FULLY_CONNECTED": 2}
_WITHOUT_OUTPUT = ("ASSIGN_VARIABLE", "CALL_ONCE")

# What reading offsets out of damaged bytes can raise.
_DAMAGE = (
    struct.error,
    IndexError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
)


@dataclass(frozen=True)
class Tensor:
    """One tensor. `scale` and `zero_point` have one entry, one for each channel, or none where it is not quantized.

    signature: the shape with -1 for a size that is not fixed, where the file tells; values: of a small constant of
    int32, such as axes and paddings.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str  # "int8", "int32", "float32" …
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    constant: bool
    signature: tuple[int, ...] = ()
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Operator:
    """One operator: its TFLite name (or custom name), inputs (None where an optional one is left out), outputs.

    `options` are those of the schema's table for it, such as {"filterHeight": 3, …}.
    """

    name: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Summary:
    """A model of one subgraph: its operators in the order they run, its inputs and outputs."""

    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How often each operator occurs, in order of first use."""
        return dict(Counter(operator.name for operator in self.operators))


def read(model: bytes, what: str = "the model") -> Summary:
    """Returns the summary of the .tflite file `model`; `what` names it in errors.

    Raises:
        UserError: `model` is no TFLite flatbuffer, is damaged, has several subgraphs, or holds an operator that TFLM
            lacks.
    """
    if model[4:8] != IDENTIFIER:
        known = next((text for start, text in _OTHER_FILES.items() if model.startswith(start)), "")
        raise UserError(
            f"{what} is no TFLite flatbuffer: "
            + (known or f"bytes 4 to 8 are {model[4:8]!r} (of {len(model)} bytes); they should be {IDENTIFIER!r}")
        )
    try:
        summary, subgraphs = _summarize(model)
    except _DAMAGE as error:
        raise UserError(
            f"{what} is a damaged TFLite flatbuffer: it has {len(model)} bytes and cannot be read to its end "
            f"({type(error).__name__}); convert or download it again"
        ) from None
    _refuse_lacking(summary, what)
    if subgraphs > 1:
        raise UserError(
            f"{what} has {subgraphs} subgraphs, as IF, WHILE and CALL_ONCE need them: the firmware runs and measures "
            "networks of one; build the network without control flow and variables"
        )
    return summary


def _refuse_lacking(summary: Summary, what: str) -> None:
    lacking = [name for name in summary.counts if name not in tflm_ops.OPS]
    if VELA in lacking:
        raise UserError(
            f"{what} was compiled by Vela for Arm's Ethos-U NPU (operator {VELA}), which no Cortex-M runs by itself: "
            "take the .tflite that Vela was given"
        )
    if flex := [name for name in lacking if name.startswith("Flex")]:
        raise UserError(
            f"{what} uses {', '.join(flex)} of TensorFlow itself (SELECT_TF_OPS), which TensorFlow Lite Micro does not "
            "have; build the model from operators it has (tinytrain/deploy/tflm/operators.py lists them)"
        )
    if lacking:
        raise UserError(
            f"{what} uses {', '.join(lacking)}, which TensorFlow Lite Micro does not have"
            "; build the model from operators it has (tinytrain/deploy/tflm/operators.py lists them)"
        )


def _summarize(model: bytes) -> tuple[Summary, int]:
    """Returns (the summary, how many subgraphs there are); with several, the summary has the operators of all."""
    from tensorflow.lite.python import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    if tree.version != SCHEMA_VERSION:
        raise ValueError(f"schema version {tree.version}")
    names = [_operator_name(code, schema) for code in tree.operatorCodes]
    operators: list[Operator] = []
    for graph in tree.subgraphs:
        tensors = [_tensor(tensor, tree.buffers, schema) for tensor in _list(graph.tensors)]
        operators += [_operator(node, names, tensors) for node in _list(graph.operators)]
    first = tree.subgraphs[0]
    tensors = [_tensor(tensor, tree.buffers, schema) for tensor in _list(first.tensors)]
    summary = Summary(tuple(operators), _pick(first.inputs, tensors), _pick(first.outputs, tensors))
    return summary, len(tree.subgraphs)


def _list(vector: Any) -> list[Any]:
    """Returns a vector of the object API, which is None or a numpy array at will, as a list."""
    return [] if vector is None else list(vector)


def _pick(indices: Any, tensors: list[Tensor]) -> tuple[Tensor, ...]:
    if any(not 0 <= index < len(tensors) for index in _list(indices)):
        raise IndexError("a tensor index outside the model")
    return tuple(tensors[index] for index in _list(indices))


def _operator(node: Any, names: list[str], tensors: list[Tensor]) -> Operator:
    inputs = tuple(None if index == -1 else _pick([index], tensors)[0] for index in _list(node.inputs))
    if not 0 <= node.opcodeIndex < len(names):
        raise IndexError("an operator code outside the model")
    options = vars(node.builtinOptions) if node.builtinOptions else {}
    return _whole(Operator(names[node.opcodeIndex], inputs, _pick(node.outputs, tensors), options))


def _whole(operator: Operator) -> Operator:
    """Returns `operator`; raises ValueError if it lacks an input, its output or the sides of its weights."""
    name, rank = operator.name, _WEIGHTS_RANK.get(operator.name)
    if len(operator.inputs) < _LEAST_INPUTS.get(name, 2 if rank else 1):
        raise ValueError(f"{name} has {len(operator.inputs)} inputs")
    if not operator.outputs and name not in _WITHOUT_OUTPUT:
        raise ValueError(f"{name} has no output")
    weights = operator.inputs[1] if rank else None
    if weights is not None and (len(weights.shape) != rank or min(weights.shape) < 1):
        raise ValueError(f"{name} has weights {weights.shape}")
    return operator


def builtin_code(code: Any) -> int:
    """Returns the number of an operator: above 127 it stands in a newer field, older files have only the first one."""
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _operator_name(code: Any, schema: Any) -> str:
    name = _enum(schema.BuiltinOperator, builtin_code(code))
    return code.customCode.decode() if name == "CUSTOM" else name


def _enum(enum: Any, value: int) -> str:
    return _names(enum)[value]


@cache
def _names(enum: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enum).items() if isinstance(number, int)}


def _tensor(tensor: Any, buffers: list[Any], schema: Any) -> Tensor:
    quantization = tensor.quantization
    return Tensor(
        name=(tensor.name or b"").decode(),
        shape=tuple(int(size) for size in _list(tensor.shape)),
        dtype=_enum(schema.TensorType, tensor.type).lower(),
        scale=tuple(float(scale) for scale in _list(quantization and quantization.scale)),
        zero_point=tuple(int(zero) for zero in _list(quantization and quantization.zeroPoint)),
        constant=buffers[tensor.buffer].data is not None,
        signature=tuple(int(size) for size in _list(tensor.shapeSignature)),
        values=_small_integers(tensor, buffers[tensor.buffer].data, schema),
    )


def _small_integers(tensor: Any, data: Any, schema: Any) -> tuple[int, ...]:
    if tensor.type != schema.TensorType.INT32 or data is None or len(data) > 4 * _SMALL:
        return ()
    return tuple(int(value) for value in np.frombuffer(bytes(bytearray(data)), "<i4"))
