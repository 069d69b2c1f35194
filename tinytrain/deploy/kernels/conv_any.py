"""CONV_2D and DEPTHWISE_CONV_2D for firmware/kernels/conv_any.c: any window, dilation, groups, depth multiplier."""

import struct

import numpy as np

from tinytrain.deploy.kernels.conv import bias_of, channel_scales, int8_weights, shifted_bias
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import Bounds
from tinytrain.deploy.kernels.windows import Window
from tinytrain.tflite.model import Model, Operator

BLOCK = "<I6H4B6H4b2I"  # KernelConvAny
CHANNEL = "<2iI"  # KernelChannel


def prepare(model: Model, operator: Operator) -> Kernel:
    """Prepares a CONV_2D or DEPTHWISE_CONV_2D; raises Refusal if it is none of ours."""
    source, filters, target = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if source is None or filters is None:
        raise ValueError(f"{operator.name} without input or weights")
    window = Window.of(operator, filters.shape[1:3])
    weights, channels, count = int8_weights(model, filters), source.shape[3], target.shape[3]
    if operator.name == "DEPTHWISE_CONV_2D":
        require(filters.shape[0] == 1 and filters.shape[3] == count, "its weights have another shape than its output")
        weights = weights[0].transpose(2, 0, 1)[..., np.newaxis]
    depth = weights.shape[3]
    groups = channels // depth
    require(len(weights) == count and groups * depth == channels, "its weights do not fit its channels")
    require(count % groups == 0, "its filters are not a multiple of its groups")
    scales = channel_scales(source, filters, target, count)
    bias = bias_of(model, operator, count)
    shifted_bias(weights.reshape(count, -1), bias, source.zero_point[0], scales)  # for its proof
    bounds = Bounds.of(target, operator.options.get("fusedActivationFunction", 0))
    table = b"".join(
        struct.pack(CHANNEL, int(start), scale.stored, scale.right | scale.left << 16)
        for start, scale in zip(bias, scales, strict=True)
    )
    first = struct.calcsize(BLOCK)
    head = struct.pack(
        BLOCK,
        0,
        *window.source,
        *window.target,
        *window.sides,
        *window.strides,
        *window.padding,
        *window.dilations,
        depth,
        count // groups,
        source.zero_point[0],
        bounds.zero,
        bounds.low,
        bounds.high,
        first,
        first + len(table),
    )
    return Kernel("conv_any", head + table + np.ascontiguousarray(weights).tobytes(), window.lead(1))
