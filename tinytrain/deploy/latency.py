"""How long one inference will take, before there is hardware: instructions by operator, then a clock.

The instruction counts per multiply-accumulate or element are what TFLM with CMSIS-NN needs on the emulated Cortex-M7
(ResNet-8 30.0 M, MobileNetV1 0.25 at 96 pixels 24.0 M, MobileNetV2 0.35 at 96 pixels 45.9 M). A real core needs between
1.0 and 1.6 cycles for an instruction: it issues two at a time at best, and waits for flash and RAM at worst.
"""

import math

from tinytrain.deploy.boards import Board
from tinytrain.deploy.flatbuffer import Operator, Summary

INSTRUCTIONS_PER_MAC = {"CONV_2D": 2.5, "DEPTHWISE_CONV_2D": 8.2, "FULLY_CONNECTED": 2.0}
INSTRUCTIONS_PER_ELEMENT = {"ADD": 20.0, "MUL": 20.0, "AVERAGE_POOL_2D": 8.0, "MEAN": 132.0}
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
    if operator.name in INSTRUCTIONS_PER_MAC:
        return macs(operator) * INSTRUCTIONS_PER_MAC[operator.name]
    tensor = operator.inputs[0] if operator.name in ("AVERAGE_POOL_2D", "MEAN") else operator.outputs[0]
    elements = math.prod(tensor.shape) if tensor else 0
    return elements * INSTRUCTIONS_PER_ELEMENT.get(operator.name, OTHER_INSTRUCTIONS_PER_ELEMENT)
