"""A .tflite made elsewhere: read, and refused with a reason or made ready for the firmware."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tinytrain.deploy.tflm import supported
from tinytrain.errors import UserError
from tinytrain.tflite.int8_io import CONVERSIONS, with_int8_io
from tinytrain.tflite.model import Model, Operator, Tensor

_QUANTIZE = "quantize it to int8 throughout, with a representative dataset and supported_ops TFLITE_BUILTINS_INT8"
# What would help where the converter leaves an operator in float since TensorFlow Lite has no int8 kernel of it.
_INSTEAD = {
    "ELU": "ReLU6 or hard-swish",
    "GELU": "ReLU6 or hard-swish",
    "NEG": "BatchNormalization (it becomes part of the convolutions), if it comes from LayerNormalization,",
    "RSQRT": "BatchNormalization (it becomes part of the convolutions), if it comes from LayerNormalization,",
    "EXP": "a softmax after the network, or ReLU6 within it,",
    "LOG": "ReLU6, if it is part of an activation such as softplus or mish,",
}


def read(path: Path) -> tuple[Model, list[str]]:
    """Reads the .tflite file at `path` and removes what keeps its input or its output from being int8.

    Returns:
        (the model, of one int8 input and int8 outputs; those that were of another type, such as "uint8 input").

    Raises:
        UserError: no readable .tflite, or one that the firmware cannot feed: several inputs, a batch, no
            fixed size, operators that do not compute in int8, an operator that TFLM lacks.
    """
    content, file = path.read_bytes(), f"'{path}'"
    if not content:
        raise UserError(f"{file} is empty: expected a .tflite file")
    model, made_int8 = with_int8_io(supported.parse(content, file))
    _refuse(model, file)
    return model, made_int8


def _refuse(model: Model, file: str) -> None:
    if len(model.inputs) != 1:
        received = ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in model.inputs)
        raise UserError(
            f"{file} has {len(model.inputs)} inputs ({received}): the firmware needs exactly one int8 input"
        )
    if not model.outputs:
        raise UserError(f"{file} has no output: the firmware needs at least one, int8")
    _refuse_other_types(model, file)
    for name, tensor in (("input", model.inputs[0]), *(("output", tensor) for tensor in model.outputs)):
        if tensor.dtype != "int8" or len(tensor.scale) != 1:
            quantized = "" if tensor.scale else " without a scale"
            raise UserError(
                f"{file} has an {name} of {tensor.dtype}{quantized}: the firmware needs int8 with a scale; convert it "
                f"with inference_{name}_type int8"
            )
    source = model.inputs[0]
    if -1 in source.signature[1:]:
        sides = ", ".join("?" if side == -1 else str(side) for side in source.signature)
        fixed = ", ".join(["1", *("96" if side == -1 else str(side) for side in source.signature[1:])])
        raise UserError(
            f"{file} takes an input without a fixed size ({sides}): the firmware needs one; convert it with one, such "
            f"as keras.Input(({fixed[3:]})) instead of None, or a concrete function of tf.TensorSpec(({fixed}))"
        )
    if any(tensor.shape[:1] != (1,) for tensor in (source, *model.outputs)):
        output_shapes = " and ".join(str(output.shape) for output in model.outputs)
        raise UserError(
            f"{file} takes {source.shape} and gives {output_shapes}: expected one input at a time, (1, …); convert it "
            "with a batch of 1"
        )


def _refuse_other_types(model: Model, file: str) -> None:
    """Raises UserError if an operator computes in another type than int8, and says what would help."""
    if wide := _computing(model, lambda tensor: tensor.dtype == "int16" and not tensor.constant):
        raise UserError(
            f"{file} computes in int16 ({_counted(wide)}), the 16x8 quantization: the firmware computes in int8; "
            "convert it with supported_ops TFLITE_BUILTINS_INT8, without EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16"
        )
    if old := _computing(model, lambda tensor: tensor.dtype == "uint8" and bool(tensor.scale)):
        raise UserError(
            f"{file} computes in uint8 ({_counted(old)}), the quantization of TensorFlow 1: the firmware computes in "
            "int8; convert the float network again with TensorFlow 2 and supported_ops TFLITE_BUILTINS_INT8"
        )
    floats = _computing(model, lambda tensor: tensor.dtype == "float32")
    if not floats:
        return
    if not any(_is_int8(operator) for operator in model.operators):
        raise UserError(f"{file} computes in float32 ({_counted(floats)}): {_QUANTIZE}")
    names = dict.fromkeys(operator.name for operator in floats)
    instead = [f"use {_INSTEAD[name]} instead of {name}" for name in names if name in _INSTEAD]
    raise UserError(
        f"{file} computes in int8 except for {_counted(floats)}, which the converter left in float32 because "
        "TensorFlow Lite has no int8 kernel for it; converting it again will not help: "
        + ("; ".join(instead) if instead else "build the network without it, and train it again")
    )


def _computing(model: Model, test: Callable[[Tensor], bool]) -> list[Operator]:
    """Returns the operators that read or write a tensor of which `test` is true; conversions only if no other does."""
    computing = [
        operator
        for operator in model.operators
        if any(tensor is not None and test(tensor) for tensor in (*operator.inputs, *operator.outputs))
    ]
    return [operator for operator in computing if operator.name not in CONVERSIONS] or computing


def _is_int8(operator: Operator) -> bool:
    """Returns whether an operator computes in int8."""
    return operator.name not in CONVERSIONS and any(tensor.dtype == "int8" for tensor in operator.outputs)


def _counted(operators: list[Operator]) -> str:
    """Returns such as "3 CONV_2D, 1 ADD"."""
    counts = Counter(operator.name for operator in operators)
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def is_image(tensor: Tensor) -> bool:
    """Returns whether the input can be an image: (1, H, W, 1 or 3)."""
    return len(tensor.shape) == 4 and tensor.shape[3] in (1, 3)
