"""MAX_POOL_2D for firmware/kernels/max_pool.c."""

import struct

from tinytrain.deploy.kernels import average_pool
from tinytrain.deploy.kernels.average_pool import BLOCK
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.scales import Bounds
from tinytrain.tflite.model import Model, Operator


def prepare(_model: Model, operator: Operator) -> Kernel:
    """Prepares a MAX_POOL_2D; raises Refusal if it is none of ours."""
    window = average_pool.window_of(operator)
    bounds = Bounds.of(operator.outputs[0], operator.options.get("fusedActivationFunction", 0))
    return Kernel("max_pool", struct.pack(BLOCK, 0, *window.numbers, bounds.low, bounds.high), window.lead(1))
