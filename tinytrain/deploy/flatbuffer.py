"""What a .tflite file says about itself: operators in the order they run, tensors, quantization.

The format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
"""

import struct
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tinytrain.deploy import tflm_ops
from tinytrain.errors import UserError

IDENTIFIER = b"TFL3"  # at bytes 4 to 8
SCHEMA_VERSION = 3

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
    """One tensor. `scale` and `zero_point` have one entry, one for each channel, or none where it is not quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # "int8", "int32", "float32" …
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    constant: bool


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
    """A model: the operators of all subgraphs in order, inputs and outputs of the first subgraph."""

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
        UserError: `model` is no TFLite flatbuffer, is damaged, or holds an operator that TFLM lacks.

    """
    if model[4:8] != IDENTIFIER:
        raise UserError(
            f"{what} is no TFLite flatbuffer: bytes 4 to 8 are {model[4:8]!r} (of {len(model)} bytes); "
            f"they should be {IDENTIFIER!r}"
        )
    try:
        summary = _summarize(model)
    except _DAMAGE as error:
        raise UserError(
            f"{what} is a damaged TFLite flatbuffer: it has {len(model)} bytes and cannot be read to its end "
            f"({type(error).__name__}); convert or download it again"
        ) from None
    _refuse_lacking(summary, what)
    return summary


def _refuse_lacking(summary: Summary, what: str) -> None:
    lacking = [name for name in summary.counts if name not in tflm_ops.OPS]
    if lacking:
        raise UserError(
            f"{what} uses {', '.join(lacking)}, which TensorFlow Lite Micro does not have"
            "; build the model from operators it has (tinytrain/deploy/tflm_ops.py lists them)"
        )


def _summarize(model: bytes) -> Summary:
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
    return Summary(tuple(operators), _pick(first.inputs, tensors), _pick(first.outputs, tensors))


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
    return Operator(names[node.opcodeIndex], inputs, _pick(node.outputs, tensors), options)


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
    )
