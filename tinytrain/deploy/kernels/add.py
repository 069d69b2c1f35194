"""ADD for firmware/kernels/add.c."""

import math
import struct

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import Bounds, Scale, one_scale
from tinytrain.tflite.model import Model, Operator

BLOCK = "<2I4i2I3bBB3x"  # KernelAdd
LEFT = 20  # how far TFLM shifts both inputs
HALF = Scale.of(0.5)
ONE = 0  # a multiplier of 1 as SMMLAR takes it


def prepare(_model: Model, operator: Operator) -> Kernel:
    """Prepares an ADD; raises Refusal if it is none of ours."""
    first, second, target = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if first is None or second is None:
        raise ValueError("ADD without two inputs")
    require(first.shape == second.shape == target.shape, "it broadcasts")
    scales = [one_scale(first), one_scale(second)]
    require(min(*scales, one_scale(target)) > 0, "a scale is not above 0")
    twice = 2 * max(scales)
    swapped = scales[1] > scales[0]
    larger, smaller = (second, first) if swapped else (first, second)
    require(Scale.of(one_scale(larger) / twice) == HALF, "a scale is out of range")
    scaled = Scale.of(one_scale(smaller) / twice)
    scale = Scale.of(twice / (2**LEFT * one_scale(target)))
    require(scale.left == 0, "its scale would be above 1")
    # Half of what is even: the rounding of a shift by 1 changes nothing, and the loop needs no case without a shift.
    multiplier, right = (scaled.stored, scaled.right) if scaled.right else (ONE, 1)
    bounds = Bounds.of(target, operator.options.get("fusedActivationFunction", 0))
    return Kernel(
        "add",
        struct.pack(
            BLOCK,
            0,
            math.prod(target.shape),
            -larger.zero_point[0] << (LEFT - 1),
            -smaller.zero_point[0] << LEFT,
            multiplier,
            scale.stored,
            right,
            scale.right,
            bounds.zero,
            bounds.low,
            bounds.high,
            bounds.mode([scale]),
            swapped,
        ),
        lead=0,
    )
