"""CONCATENATION for firmware/kernels/concatenation.c."""

import math
import struct

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import one_scale
from tinytrain.tflite.model import Model, Operator

MOST_INPUTS = 10  # as TFLM
BLOCK = f"<3I{MOST_INPUTS}I"  # KernelConcatenation


def prepare(_model: Model, operator: Operator) -> Kernel:
    """Prepares a CONCATENATION; raises Refusal if it is none of ours."""
    target = operator.outputs[0]
    require(len(operator.inputs) <= MOST_INPUTS, f"it has more than {MOST_INPUTS} inputs")
    require(operator.options.get("fusedActivationFunction", 0) == 0, "it has an activation")
    axis = operator.options.get("axis", 0) % max(len(target.shape), 1)
    sizes = []
    for source in operator.inputs:
        if source is None:
            raise ValueError("CONCATENATION without an input")
        same = one_scale(source) == one_scale(target) and source.zero_point == target.zero_point
        require(same, "input and output have other scales")
        require(source.shape[:axis] == target.shape[:axis], "its shapes do not fit")
        sizes.append(math.prod(source.shape[axis:]))
    require(sum(sizes) == math.prod(target.shape[axis:]), "its shapes do not fit")
    padded = sizes + [0] * (MOST_INPUTS - len(sizes))
    return Kernel("concatenation", struct.pack(BLOCK, 0, len(sizes), math.prod(target.shape[:axis]), *padded))
