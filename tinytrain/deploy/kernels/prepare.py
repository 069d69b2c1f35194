"""Which operators of a model are ours, and what their kernels read."""

import struct
from collections.abc import Callable

from tinytrain.deploy.kernels import add, average_pool, conv, depthwise, fully_connected
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.tflite.model import Model, Operator

_DAMAGE = (ValueError, IndexError, ArithmeticError, struct.error)
PREPARE: dict[str, Callable[[Model, Operator], Kernel]] = {
    "CONV_2D": conv.prepare,
    "DEPTHWISE_CONV_2D": depthwise.prepare,
    "FULLY_CONNECTED": fully_connected.prepare,
    "ADD": add.prepare,
    "AVERAGE_POOL_2D": average_pool.prepare,
}


def prepare(model: Model, operator: Operator) -> Kernel | Refusal:
    """Returns the kernel of an operator of `model`, or why TFLM's runs it."""
    if operator.name not in PREPARE:
        return Refusal("there is no kernel of ours for it")
    try:
        return PREPARE[operator.name](model, operator)
    except Refusal as refusal:
        return refusal
    except _DAMAGE:  # buffers or scales that do not fit the shapes: TFLM says what it makes of them
        return Refusal("its constants do not fit its shapes")
