"""How long one inference will take, before there is hardware: instructions by operator, then a clock.

The instruction counts are what the firmware needs on the emulated Cortex-M7, fitted to single operators and checked on
whole networks (benchmarks/cost.py prints both). A real core needs between 1.0 and 1.6 cycles for an instruction: it
issues two at a time at best, and waits for flash and RAM at worst.
"""

import math

from tinytrain.deploy.boards import Board
from tinytrain.deploy.flatbuffer import Operator, Summary

INSTRUCTIONS_PER_MAC = {"CONV_2D": 1.45, "DEPTHWISE_CONV_2D": 8.0, "FULLY_CONNECTED": 1.95}
INSTRUCTIONS_PER_OUTPUT = 40.0  # of CONV_2D: bias, scaling, clipping
INSTRUCTIONS_PER_COLUMN_VALUE = 14.0  # of CONV_2D larger than 1x1: each window is copied into a column of int16
SLOW_DEPTHWISE = 9.2  # instructions per MAC of a window other than 3x3
INSTRUCTIONS_PER_ELEMENT = {
    "ADD": 65.0,
    "MUL": 28.0,
    "AVERAGE_POOL_2D": 5.0,
    "MEAN": 132.0,
    "PAD": 1.0,
} | dict.fromkeys(("HARD_SWISH", "LOGISTIC", "TANH"), 5.5)
OTHER_INSTRUCTIONS_PER_ELEMENT = 30.0
CYCLES_PER_INSTRUCTION = (1.0, 1.25, 1.6)  # best, likely, worst


def macs(operator: Operator) -> int:
    """Returns the multiply-accumulates of one operator; 0 for one that has no weights."""
    if operator.name not in INSTRUCTIONS_PER_MAC or operator.inputs[1] is None:
        return 0
    weights, out = operator.inputs[1].shape, math.prod(operator.outputs[0].shape)
    if operator.name == "CONV_2D":  # (out, height, width, in)
        return out * math.prod(weights[1:])
    if operator.name == "DEPTHWISE_CONV_2D":  # (1, height, width, out)
        return out * math.prod(weights[1:3])
    return math.prod(out // weights[0] * side if i == 0 else side for i, side in enumerate(weights))


def total_macs(summary: Summary) -> int:
    """Returns the multiply-accumulates of one inference."""
    return sum(macs(operator) for operator in summary.operators)


def instructions(summary: Summary) -> float:
    """Returns the estimated instructions of one inference on a Cortex-M with DSP extension."""
    return sum(_instructions(operator) for operator in summary.operators)


def milliseconds(instructions: float, board: Board) -> tuple[float, float, float]:
    """Returns (best, likely, worst) milliseconds of so many instructions on `board`."""
    best, likely, worst = (instructions * cpi / board.clock_hz * 1e3 for cpi in CYCLES_PER_INSTRUCTION)
    return best, likely, worst


def _instructions(operator: Operator) -> float:
    outputs = math.prod(operator.outputs[0].shape)
    if operator.name in INSTRUCTIONS_PER_MAC and (weights := operator.inputs[1]) is not None:
        per_mac, window = INSTRUCTIONS_PER_MAC[operator.name], weights.shape[1:3]
        if operator.name == "DEPTHWISE_CONV_2D" and window != (3, 3):
            per_mac = SLOW_DEPTHWISE
        more = 0.0
        if operator.name == "CONV_2D":
            columns = 0 if window == (1, 1) else outputs // weights.shape[0] * math.prod(weights.shape[1:])
            more = outputs * INSTRUCTIONS_PER_OUTPUT + columns * INSTRUCTIONS_PER_COLUMN_VALUE
        return macs(operator) * per_mac + more
    pooled = operator.inputs[0] if operator.name in ("AVERAGE_POOL_2D", "MEAN") else None
    elements = math.prod(pooled.shape) if pooled else outputs
    return elements * INSTRUCTIONS_PER_ELEMENT.get(operator.name, OTHER_INSTRUCTIONS_PER_ELEMENT)
