"""AVERAGE_POOL_2D for firmware/kernels/average_pool.c."""

import struct

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import Bounds, one_scale
from tinytrain.deploy.kernels.windows import Window
from tinytrain.tflite.model import Model, Operator

BLOCK = "<I6H6B2b"  # KernelPool
MOST_DIFFERENCE = 1e-6  # of the scales of input and output, as TFLM allows


def prepare(_model: Model, operator: Operator) -> Kernel:
    """Prepares an AVERAGE_POOL_2D; raises Refusal if it is none of ours."""
    window, target = window_of(operator), operator.outputs[0]
    bounds = Bounds.of(target, operator.options.get("fusedActivationFunction", 0))
    return Kernel("average_pool", struct.pack(BLOCK, 0, *window.numbers, bounds.low, bounds.high))


def window_of(operator: Operator) -> Window:
    """Returns the window of a pool; raises Refusal if shapes or scales do not fit."""
    source, target = operator.inputs[0], operator.outputs[0]
    if source is None:
        raise ValueError(f"{operator.name} without input")
    sides = (operator.options.get("filterHeight", 0), operator.options.get("filterWidth", 0))
    require(min(sides) > 0, "its window is empty")
    window = Window.of(operator, sides)
    require(source.shape[3] == target.shape[3], "its output has another number of channels than its input")
    same = abs(one_scale(source) - one_scale(target)) <= MOST_DIFFERENCE and source.zero_point == target.zero_point
    require(same, "input and output have other scales")
    return window
