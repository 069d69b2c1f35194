"""Which kernel runs each operator of a model that is compiled.

To add an operator: its kernel in firmware/kernels (a struct and a function in kernels.h, a file of its own), what that
reads in tinytrain/deploy/kernels (a function that returns a Kernel or raises Refusal), a row in OTHERS here, a row in
CALLS of c_source.py if its function takes other arguments, and random ones in tests/helpers, which
tests/kernels/test_kernels.py holds against TFLM's interpreter. One that maps an int8 value to another needs only its
name in kernels/lookup.py.
"""

import math
from collections.abc import Callable, Sequence

from tinytrain.deploy.kernels import (
    broadcast,
    concatenation,
    conv_any,
    lookup,
    max_pool,
    mean,
    pad,
    prepare,
    resize,
    softmax,
    transpose,
)
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import Refusal, require
from tinytrain.deploy.tflm import lookup_tables
from tinytrain.tflite.model import Model, Operator

ALIAS = Kernel("", bytes(4), lead=0)  # nothing to run: the output is the input with another shape
Prepare = Callable[[Model, Operator], Kernel]


def prepare_all(model: Model) -> list[Kernel]:
    """Returns the kernel of each operator of `model`, in order.

    Raises:
        Refusal: some operators have none; the message names each with its shape, and why.
    """
    kernels = prepare_each(model)
    pairs = zip(model.operators, kernels, strict=True)
    missing = {f"{_described(operator)}: {kernel}": None for operator, kernel in pairs if isinstance(kernel, Refusal)}
    if missing:
        raise Refusal("; ".join(missing))
    return [kernel for kernel in kernels if isinstance(kernel, Kernel)]


def prepare_each(model: Model) -> list[Kernel | Refusal]:
    """Returns the kernel of each operator of `model`, in order, or why it has none."""
    found = [_prepared(model, operator) for operator in model.operators]
    looked_up = [use for use, kernel in zip(model.operators, found, strict=True) if kernel is None]
    tables = iter(lookup_tables.tables_of(model, looked_up))
    pairs = zip(model.operators, found, strict=True)
    return [lookup.kernel(use, next(tables)) if kernel is None else kernel for use, kernel in pairs]


def _prepared(model: Model, operator: Operator) -> Kernel | Refusal | None:
    """Returns the kernel of an operator, why it has none, or None if it is looked up in a table."""
    first = prepare.prepare(model, operator)
    if isinstance(first, Kernel):
        return first
    try:
        if operator.name in lookup.LOOKED_UP:
            lookup.check(operator)
            return None
        if operator.name in OTHERS:
            return OTHERS[operator.name](model, operator)
    except Refusal as refusal:
        return refusal
    except ValueError:
        return Refusal("its constants do not fit its shapes")
    return first


def _alias(_model: Model, operator: Operator) -> Kernel:
    source, target = operator.inputs[0], operator.outputs[0]
    if source is None:
        raise ValueError(f"{operator.name} without input")
    require(source.dtype == target.dtype == "int8", "a tensor is not int8")
    require(math.prod(source.shape) == math.prod(target.shape), "its shapes do not fit")
    return ALIAS


def _described(operator: Operator) -> str:
    """Returns the operator with its shapes, such as "CONV_2D of (1, 8, 8, 3) and (4, 3, 3, 3)"."""
    shapes: Sequence[str] = [str(tensor.shape) for tensor in operator.inputs if tensor is not None]
    return f"{operator.name} of {' and '.join(shapes)}"


OTHERS: dict[str, Prepare] = {
    "CONV_2D": conv_any.prepare,
    "DEPTHWISE_CONV_2D": conv_any.prepare,
    "ADD": broadcast.prepare_sum,
    "SUB": broadcast.prepare_sum,
    "MUL": broadcast.prepare_multiply,
    "MAX_POOL_2D": max_pool.prepare,
    "MEAN": mean.prepare,
    "PAD": pad.prepare,
    "PADV2": pad.prepare,
    "SOFTMAX": softmax.prepare,
    "CONCATENATION": concatenation.prepare,
    "RESIZE_NEAREST_NEIGHBOR": resize.prepare,
    "TRANSPOSE": transpose.prepare,
    "RESHAPE": _alias,
    "SQUEEZE": _alias,
    "EXPAND_DIMS": _alias,
}
