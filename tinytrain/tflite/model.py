"""A .tflite file: its operators in the order they run, its tensors and their quantization, and edits of it.

The format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs
"""

import copy
import struct
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import flatbuffers
import numpy as np

from tinytrain.errors import UserError

IDENTIFIER = b"TFL3"  # at bytes 4 to 8
SCHEMA_VERSION = 3
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

    signature: the shape with -1 for a size that is not fixed, where the file has one; values: of a small constant of
    int32, such as axes and paddings; index: its number in the subgraph.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str  # "int8", "int32", "float32" …
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    constant: bool
    signature: tuple[int, ...] = ()
    values: tuple[int, ...] = ()
    index: int = field(default=-1, compare=False)


@dataclass(frozen=True)
class Operator:
    """One operator: its TFLite name (or custom name), inputs (None where an optional one is left out), outputs.

    `options` are those of the schema's table for it, such as {"filterHeight": 3, …}.
    """

    name: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A .tflite file, parsed once. It is never changed: an edit makes another Model out of `copy_tree` with `pack`.

    content: the bytes of the file; operators: in the order they run, of all subgraphs; inputs, outputs: of the first
    subgraph; subgraphs: how many there are.
    """

    content: bytes
    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    subgraphs: int
    _tree: Any  # the schema's ModelT

    @classmethod
    def parse(cls, content: bytes, name: str = "the model") -> "Model":
        """Parses the bytes of a .tflite file; `name` stands for it in errors.

        Raises:
            UserError: `content` is no TFLite flatbuffer, or is damaged.
        """
        from tensorflow.lite.python import schema_py_generated as schema

        if content[4:8] != IDENTIFIER:
            known = next((text for start, text in _OTHER_FILES.items() if content.startswith(start)), "")
            raise UserError(
                f"{name} is not a TFLite flatbuffer: "
                + (
                    known
                    or f"bytes 4 to 8 are {content[4:8]!r} (of {len(content)} bytes); they should be {IDENTIFIER!r}"
                )
            )
        try:
            return cls._of_tree(content, schema.ModelT.InitFromPackedBuf(content, 0))
        except _DAMAGE as error:
            raise UserError(
                f"{name} is a damaged TFLite flatbuffer: it has {len(content)} bytes and cannot be read to its end "
                f"({type(error).__name__}); convert or download it again"
            ) from None

    @classmethod
    def pack(cls, tree: Any) -> "Model":
        """Returns the model of an edited object tree (ModelT), which must not be changed any more."""
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(tree.Pack(builder), file_identifier=IDENTIFIER)
        return cls._of_tree(bytes(builder.Output()), tree)

    @classmethod
    def _of_tree(cls, content: bytes, tree: Any) -> "Model":
        if tree.version != SCHEMA_VERSION:
            raise ValueError(f"schema version {tree.version}")
        operators: list[Operator] = []
        for graph in tree.subgraphs:
            tensors = _tensors(graph, tree)
            operators += [_operator(node, tensors, tree) for node in _list(graph.operators)]
        first = tree.subgraphs[0]
        tensors = _tensors(first, tree)
        inputs, outputs = _pick(first.inputs, tensors), _pick(first.outputs, tensors)
        return cls(content, tuple(operators), inputs, outputs, len(tree.subgraphs), tree)

    @property
    def counts(self) -> dict[str, int]:
        """How often each operator occurs, in order of first use."""
        return dict(Counter(operator.name for operator in self.operators))

    def constant(self, tensor: Tensor) -> np.ndarray:
        """Returns the values of a constant int8 or int32 tensor of the first subgraph, in its shape.

        Raises:
            ValueError: it is no such constant, or its buffer has another size than its shape.
        """
        data = self._tree.buffers[self._tree.subgraphs[0].tensors[tensor.index].buffer].data
        if data is None or tensor.dtype not in ("int8", "int32"):
            raise ValueError(f"tensor {tensor.index} is not a constant of int8 or int32")
        kind = {"int8": "<i1", "int32": "<i4"}[tensor.dtype]
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), kind).reshape(tensor.shape)

    def copy_tree(self) -> Any:
        """Returns a copy of the schema's object tree (ModelT), to be edited; constants share their bytes with it."""
        constants = {id(buffer.data): buffer.data for buffer in self._tree.buffers}
        return copy.deepcopy(self._tree, constants)


def indices(vector: Any) -> list[int]:
    """Returns a vector of tensor numbers of the object tree, which may be None or a read-only array, as a list."""
    return [int(index) for index in _list(vector)]


def operator_name(node: Any, tree: Any) -> str:
    """Returns the TFLite name of an operator of the object tree `tree`, such as "CONV_2D", or its custom name."""
    from tensorflow.lite.python import schema_py_generated as schema

    if not 0 <= node.opcodeIndex < len(tree.operatorCodes):
        raise IndexError("an operator code outside the model")
    code = tree.operatorCodes[node.opcodeIndex]
    # Numbers above 127 stand in a newer field; older files have only the first one.
    name = _names(schema.BuiltinOperator)[max(code.builtinCode, code.deprecatedBuiltinCode)]
    return code.customCode.decode() if name == "CUSTOM" else name


def type_name(tensor: Any) -> str:
    """Returns the type of a tensor of the object tree, such as "int8"."""
    from tensorflow.lite.python import schema_py_generated as schema

    return _names(schema.TensorType)[tensor.type].lower()


def _list(vector: Any) -> list[Any]:
    """Returns a vector of the object API, which is None or a numpy array at will, as a list."""
    return [] if vector is None else list(vector)


def _pick(numbers: Any, tensors: list[Tensor]) -> tuple[Tensor, ...]:
    if any(not 0 <= index < len(tensors) for index in _list(numbers)):
        raise IndexError("a tensor index outside the model")
    return tuple(tensors[index] for index in _list(numbers))


def _operator(node: Any, tensors: list[Tensor], tree: Any) -> Operator:
    inputs = tuple(None if index == -1 else _pick([index], tensors)[0] for index in _list(node.inputs))
    options = vars(node.builtinOptions) if node.builtinOptions else {}
    return _complete(Operator(operator_name(node, tree), inputs, _pick(node.outputs, tensors), options))


def _complete(operator: Operator) -> Operator:
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


@cache
def _names(enum: Any) -> dict[int, str]:
    return {number: name for name, number in vars(enum).items() if isinstance(number, int)}


def _tensors(graph: Any, tree: Any) -> list[Tensor]:
    return [_tensor(index, tensor, tree.buffers) for index, tensor in enumerate(_list(graph.tensors))]


def _tensor(index: int, tensor: Any, buffers: list[Any]) -> Tensor:
    quantization, dtype, data = tensor.quantization, type_name(tensor), buffers[tensor.buffer].data
    return Tensor(
        name=(tensor.name or b"").decode(),
        shape=tuple(indices(tensor.shape)),
        dtype=dtype,
        scale=tuple(float(scale) for scale in _list(quantization and quantization.scale)),
        zero_point=tuple(indices(quantization and quantization.zeroPoint)),
        constant=data is not None,
        signature=tuple(indices(tensor.shapeSignature)),
        values=_small_integers(dtype, data),
        index=index,
    )


def _small_integers(dtype: str, data: Any) -> tuple[int, ...]:
    if dtype != "int32" or data is None or len(data) > 4 * _SMALL:
        return ()
    return tuple(int(value) for value in np.frombuffer(bytes(bytearray(data)), "<i4"))
