"""MUL, and ADD and SUB of any shapes, for firmware/kernels/multiply.c and sum.c."""

import struct

import numpy as np

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import LIMIT, Bounds, Scale, one_scale
from tinytrain.tflite.model import Model, Operator, Tensor

DIMENSIONS = 4
SHAPE = f"<{3 * DIMENSIONS}I"  # KernelBroadcast
MULTIPLY = "<iI5bB2x"  # KernelMultiply from its multiplier on
SUM = "<3i4B5b3x"  # KernelSum from its multipliers on
LEFT = 20  # how far TFLM shifts both inputs of a sum
Shape = tuple[int, ...]


def prepare_multiply(_model: Model, operator: Operator) -> Kernel:
    """Prepares a MUL; raises Refusal if it is none of ours."""
    first, second, target = _tensors(operator)
    scale = Scale.of(one_scale(first) * one_scale(second) / one_scale(target))
    bounds = Bounds.of(target, operator.options.get("fusedActivationFunction", 0))
    largest = max(_most(first) * _most(second), 1)
    require(largest << scale.left <= LIMIT, "a product could exceed 32 bits")
    numbers = (scale.stored, scale.right | scale.left << 16, first.zero_point[0], second.zero_point[0])
    packed = struct.pack(MULTIPLY, *numbers, bounds.zero, bounds.low, bounds.high, bounds.mode([scale]))
    return Kernel("multiply", bytes(4) + shape_of(first.shape, second.shape, target.shape) + packed, _lead(operator))


def prepare_sum(_model: Model, operator: Operator) -> Kernel:
    """Prepares an ADD or SUB; raises Refusal if it is none of ours."""
    first, second, target = _tensors(operator)
    subtract = operator.name == "SUB"
    kind = np.float32 if subtract else np.float64  # TFLM divides the scales of SUB in single precision
    one, other, last = (kind(one_scale(tensor)) for tensor in (first, second, target))
    twice = kind(2) * max(one, other)
    reals = (one / twice, other / twice, twice / (kind(2**LEFT) * last))
    require(all(real < 1 for real in reals), "its scale would be above 1")
    scales = [Scale.of(float(real)) for real in reals]
    require(all(scale.left == 0 for scale in scales), "its scale would be above 1")
    bounds = Bounds.of(target, operator.options.get("fusedActivationFunction", 0))
    packed = struct.pack(
        SUM,
        *(scale.multiplier for scale in scales),
        *(scale.right for scale in scales),
        subtract,
        first.zero_point[0],
        second.zero_point[0],
        bounds.zero,
        bounds.low,
        bounds.high,
    )
    return Kernel("sum", bytes(4) + shape_of(first.shape, second.shape, target.shape) + packed, _lead(operator))


def shape_of(first: Shape, second: Shape, target: Shape) -> bytes:
    """Returns KernelBroadcast for two inputs; raises Refusal if it takes more dimensions than the kernels have.

    Neighbouring dimensions along which both inputs go on alike become one.
    """
    require(np.broadcast_shapes(first, second) == target and min(target, default=1) > 0, "its shapes do not fit")
    rank = len(target)
    one, other = ((1,) * (rank - len(shape)) + shape for shape in (first, second))
    counts: list[int] = []
    kinds: list[tuple[bool, bool]] = []  # of each dimension, which inputs go on along it
    for size, *sizes in zip(target, one, other, strict=True):
        if size == 1:
            continue
        kind = (sizes[0] == size, sizes[1] == size)
        if kinds and kinds[-1] == kind:
            counts[-1] *= size
        else:
            counts.append(size)
            kinds.append(kind)
    require(len(counts) <= DIMENSIONS, "it broadcasts along too many dimensions")
    missing = DIMENSIONS - len(counts)
    counts, kinds = [1] * missing + counts, [(False, False)] * missing + kinds
    steps = []
    for which in range(2):
        strides, size = [], 1
        for count, kind in zip(reversed(counts), reversed(kinds), strict=True):
            strides.append(size if kind[which] else 0)
            size *= count if kind[which] else 1
        steps += strides[::-1]
    return struct.pack(SHAPE, *counts, *steps)


def _tensors(operator: Operator) -> tuple[Tensor, Tensor, Tensor]:
    first, second, target = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if first is None or second is None:
        raise ValueError(f"{operator.name} without two inputs")
    require(min(one_scale(tensor) for tensor in (first, second, target)) > 0, "a scale is not above 0")
    return first, second, target


def _most(tensor: Tensor) -> int:
    return max(tensor.zero_point[0] + 128, 127 - tensor.zero_point[0])


def _lead(operator: Operator) -> int | None:
    """Returns 0 where the output may take the place of an input: both inputs then have its shape."""
    shapes = {tensor.shape for tensor in (*operator.inputs, *operator.outputs) if tensor}
    return 0 if len(shapes) == 1 else None
