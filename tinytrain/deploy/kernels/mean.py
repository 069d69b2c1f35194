"""MEAN for firmware/kernels/mean.c."""

import math
import struct

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import Scale, one_scale
from tinytrain.tflite.model import Model, Operator

BLOCK = "<4I2i2BbB"  # KernelMean
LARGEST = 2**31 - 1


def prepare(_model: Model, operator: Operator) -> Kernel:
    """Prepares a MEAN; raises Refusal if it is none of ours."""
    source, axes, target = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if source is None or axes is None:
        raise ValueError("MEAN without input or axes")
    require(axes.constant and axes.dtype == "int32" and len(axes.values) > 0, "its axes are not constant int32")
    rank = len(source.shape)
    require(all(-rank <= axis < rank for axis in axes.values), "an axis is out of range")
    reduced = {axis % rank for axis in axes.values}
    large = [axis for axis in range(rank) if axis in reduced and source.shape[axis] > 1]
    first, last = (large[0], large[-1] + 1) if large else (rank, rank)
    require(all(axis in reduced or source.shape[axis] == 1 for axis in range(first, last)), "its axes are apart")
    outer, count, inner = (
        math.prod(each) for each in (source.shape[:first], source.shape[first:last], source.shape[last:])
    )
    require(0 < outer * count * inner < 2**31 and math.prod(target.shape) == outer * inner, "its shapes do not fit")
    scale = Scale.of(one_scale(source) / one_scale(target))
    # The division by `count` goes into the multiplier, as TFLM has it.
    shift = min(count.bit_length() - 1, 32, 31 + scale.left - scale.right)
    multiplier, exponent = (scale.multiplier << shift) // count, scale.left - scale.right - shift
    zero = source.zero_point[0]
    left = max(exponent, 0)
    require(count * max(zero + 128, 127 - zero) << left <= LARGEST, "a sum could exceed 32 bits")
    numbers = (outer, count, inner, -zero * count, multiplier, left, max(-exponent, 0), target.zero_point[0], 0)
    return Kernel("mean", struct.pack(BLOCK, 0, *numbers))
