"""TRANSPOSE for firmware/kernels/transpose.c."""

import math
import struct

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import one_scale
from tinytrain.tflite.model import Model, Operator

DIMENSIONS = 4
BLOCK = f"<I{2 * DIMENSIONS}I"  # KernelTranspose


def prepare(_model: Model, operator: Operator) -> Kernel:
    """Prepares a TRANSPOSE; raises Refusal if it is none of ours."""
    source, order, target = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if source is None or order is None:
        raise ValueError("TRANSPOSE without input or order")
    one_scale(source)
    one_scale(target)
    rank = len(source.shape)
    require(rank <= DIMENSIONS, "a shape has more than 4 dimensions")
    require(order.constant and sorted(order.values) == list(range(rank)), "its order is not a constant permutation")
    require(target.shape == tuple(source.shape[axis] for axis in order.values), "its shapes do not fit")
    missing = [1] * (DIMENSIONS - rank)
    steps = [math.prod(source.shape[axis + 1 :]) for axis in order.values]
    return Kernel("transpose", struct.pack(BLOCK, 0, *missing, *target.shape, *missing, *steps))
