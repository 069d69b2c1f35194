"""What a table of 256 values computes, for firmware/kernels/lookup.c.

To add such an operator, name it in LOOKED_UP: its table is what TFLM's own interpreter gives.
"""

import math
import struct

import numpy as np

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import one_scale
from tinytrain.tflite.model import Operator

HEAD = "<2I"  # KernelLookup
LOOKED_UP = ("LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "RELU", "RELU6", "QUANTIZE", "ELU")


def check(operator: Operator) -> None:
    """Raises Refusal unless each output of the operator follows from one int8 value of one input."""
    source, target = operator.inputs[0], operator.outputs[0]
    if source is None:
        raise ValueError(f"{operator.name} without input")
    one_scale(source)
    one_scale(target)
    require(len(operator.inputs) == 1 and source.shape == target.shape, "its shapes do not fit")


def kernel(operator: Operator, table: np.ndarray) -> Kernel:
    """Returns the kernel of an operator whose output is `table` (256,) int8 for -128, -127 … 127."""
    return Kernel("lookup", struct.pack(HEAD, 0, math.prod(operator.outputs[0].shape)) + table.tobytes(), lead=0)
