"""Multiply-accumulates of a .tflite, from the shapes of its operators."""

import math
from collections.abc import Iterable

from tinytrain.tflite.model import Operator

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def macs(operator: Operator) -> int:
    """Returns the multiply-accumulates of one operator; 0 for one that has no weights."""
    if operator.name not in WEIGHTED or operator.inputs[1] is None:
        return 0
    weights, out = operator.inputs[1].shape, math.prod(operator.outputs[0].shape)
    if operator.name == "CONV_2D":  # (out, height, width, in)
        return out * math.prod(weights[1:])
    if operator.name == "DEPTHWISE_CONV_2D":  # (1, height, width, out)
        return out * math.prod(weights[1:3])
    return math.prod(out // weights[0] * side if i == 0 else side for i, side in enumerate(weights))


def total_macs(operators: Iterable[Operator]) -> int:
    """Returns the multiply-accumulates of one inference."""
    return sum(macs(operator) for operator in operators)
