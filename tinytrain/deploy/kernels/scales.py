"""Scales and bounds of an operator as TFLM computes them, and which rounding of ours is exact for them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinytrain.deploy.kernels.refusal import Refusal, require
from tinytrain.tflite.model import Tensor

SATURATE, ROUND, CLAMP = range(3)  # as in firmware/kernels/kernels.h
LOWEST, HIGHEST = -128, 127
LIMIT = 2**31 - 2  # of an accumulator: SMMLAR is exact for it, and Scale.of_channel's smallest makes 0 of it


@dataclass(frozen=True)
class Scale:
    """x·multiplier·2^(left - right - 31), rounded twice; 2^30 <= multiplier < 2^31, and left or right is 0."""

    multiplier: int
    left: int
    right: int

    @classmethod
    def of(cls, real: float) -> "Scale":
        """Returns the scale nearest to `real`, as TFLM's QuantizeMultiplier finds it.

        Raises:
            Refusal: TFLM flushes it to 0, or it is larger than any network needs.
        """
        require(math.isfinite(real) and real > 0, "a scale is not above 0")
        fraction, exponent = math.frexp(real)
        multiplier = math.floor(fraction * 2**31 + 0.5)
        if multiplier == 2**31:
            multiplier, exponent = 2**30, exponent + 1
        require(-31 <= exponent <= 30, "a scale is out of the range of int32")
        return cls(multiplier, max(exponent, 0), max(-exponent, 0))

    @classmethod
    def of_channel(cls, real: float) -> "Scale":
        """Returns the scale of a channel, which may have died in training.

        TFLM flushes a scale below 2^-32 to 0: the channel is its zero point then. 2^-32 makes 0 of all sums, too.
        """
        return cls.of(max(real, 2.0**-32) if real > 0 else real)

    @property
    def stored(self) -> int:
        """The multiplier m as SMMLAR takes it: 2m - 2^32."""
        return 2 * self.multiplier - 2**32


@dataclass(frozen=True)
class Bounds:
    """Zero point of an output, and the bounds of its activation."""

    zero: int
    low: int
    high: int

    @classmethod
    def of(cls, output: Tensor, activation: int) -> "Bounds":
        """Returns the bounds of an output for an activation, a number of the schema; raises Refusal for others."""
        scale, zero = one_scale(output), output.zero_point[0]
        limits = {0: (-np.inf, np.inf), 1: (0, np.inf), 2: (-1, 1), 3: (0, 6)}
        require(activation in limits, "its activation is none of relu, relu6 and relu_n1_to_1")
        low, high = (_quantized(limit, scale, zero) for limit in limits[activation])
        return cls(zero, max(low, LOWEST), min(high, HIGHEST))

    def mode(self, scales: Sequence[Scale]) -> int:
        """Returns the fastest rounding that is exact for these scales."""
        plain = all(scale.left == 0 and scale.right > 0 for scale in scales)
        if not plain or (self.low, self.high) != (LOWEST, HIGHEST):
            return CLAMP
        return SATURATE if self.zero == LOWEST else ROUND


def one_scale(tensor: Tensor) -> float:
    """Returns the scale of an int8 tensor; raises Refusal if it has several or none."""
    require(
        tensor.dtype == "int8" and len(tensor.scale) == 1 == len(tensor.zero_point),
        "a tensor is not int8 with one scale",
    )
    require(LOWEST <= tensor.zero_point[0] <= HIGHEST, "a zero point is not int8")
    return tensor.scale[0]


def shifts(scales: Sequence[Scale]) -> int:
    """Returns the shifts of two scales as one word: a byte each, those to the right first."""
    first, second = scales
    return first.right | second.right << 8 | first.left << 16 | second.left << 24


def require_exact(largest: int, scales: Sequence[Scale]) -> None:
    """Raises Refusal unless accumulators up to `largest` fit 32 bits after the shift to the left."""
    left = max(scale.left for scale in scales)
    require(largest << left <= LIMIT, "an accumulator could exceed 32 bits")


def _quantized(real: float, scale: float, zero: int) -> int:
    """Returns `real` in steps of `scale`, as TFLM does: divided in single precision, halves away from 0."""
    if not np.isfinite(real):
        return HIGHEST if real > 0 else LOWEST
    steps = float(np.float32(real) / np.float32(scale))
    if not abs(steps) < 2**30:
        raise Refusal("a scale is too small for its activation")
    return zero + int(math.copysign(math.floor(abs(steps) + 0.5), steps))
