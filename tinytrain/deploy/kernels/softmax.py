"""SOFTMAX for firmware/kernels/softmax.c: a table of exponentials in TFLM's fixed point."""

import math
import struct

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import one_scale
from tinytrain.tflite.model import Model, Operator

HEAD = "<4I"  # KernelSoftmax
INTEGER_BITS = 5  # of what TFLM takes the exponential
FRACTION_BITS = 31 - INTEGER_BITS
ONE = 2**31 - 1
# exp(-2^n) in 0.31 bits, n from -2 on.
POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
EXP_OF_AN_EIGHTH, THIRD = 1895147668, 715827883  # exp(-1/8) and 1/3 in 0.31 bits


def prepare(_model: Model, operator: Operator) -> Kernel:
    """Prepares a SOFTMAX; raises Refusal if it is none of ours."""
    source, target = operator.inputs[0], operator.outputs[0]
    if source is None:
        raise ValueError("SOFTMAX without input")
    require((one_scale(target), target.zero_point[0]) == (1 / 256, -128), "its output is not in steps of 1/256")
    require(source.shape == target.shape and math.prod(source.shape) > 0, "its shapes do not fit")
    real = min(operator.options.get("beta", 1.0) * one_scale(source) * 2**FRACTION_BITS, 2.0**31 - 1)
    require(real > 1, "its scale is too small")
    fraction, left = math.frexp(real)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, left = 2**30, left + 1
    largest = math.floor((2**INTEGER_BITS - 1) * 2.0**FRACTION_BITS / 2.0**left)  # difference whose exponential counts
    table = [_exp(_high_product(-difference << left, multiplier)) for difference in range(min(largest, 255) + 1)]
    depth = source.shape[-1]
    head = struct.pack(HEAD, 0, math.prod(source.shape) // depth, depth, len(table))
    return Kernel("softmax", head + struct.pack(f"<{len(table)}i", *table), lead=0)


def _exp(x: int) -> int:
    """Returns e to the power of x <= 0 of 5.26 bits in 0.31 bits, as gemmlowp computes it."""
    if x == 0:
        return ONE
    quarter = 1 << (FRACTION_BITS - 2)
    rest = (x & (quarter - 1)) - quarter  # from -1/4 on
    result, whole = _exp_of_a_quarter(rest << INTEGER_BITS), rest - x
    for place, power in enumerate(POWERS, FRACTION_BITS - 2):
        if whole >> place & 1:
            result = _high_product(result, power)
    return result


def _exp_of_a_quarter(x: int) -> int:
    """Returns e to the power of x, from -1/4 to 0, of 0.31 bits: a polynomial around -1/8."""
    x += 1 << 28
    square = _high_product(x, x)
    cube, fourth = _high_product(square, x), _high_product(square, square)
    rest = _halved(_high_product(_halved(fourth, 2) + cube, THIRD) + square, 1)
    return EXP_OF_AN_EIGHTH + _high_product(EXP_OF_AN_EIGHTH, x + rest)


def _high_product(x: int, y: int) -> int:
    return (x * y + 2**30) >> 31


def _halved(x: int, times: int) -> int:
    """Returns x / 2^times, halves away from 0."""
    half = 1 << (times - 1)
    return (abs(x) + half >> times) * (1 if x >= 0 else -1)
