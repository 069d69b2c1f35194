"""FULLY_CONNECTED for firmware/kernels/fully_connected.c: a 1x1 convolution, of one pixel or of several vectors."""

import math

import numpy as np

from tinytrain.deploy.kernels.conv import bias_of, block, channel_scales, int8_weights
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import Bounds, Scale, one_scale
from tinytrain.deploy.kernels.windows import Window
from tinytrain.tflite.model import Model, Operator

MOST_DIFFERENCE = 0.02  # between the bias' scale and that of the products, in steps of the output; TFLM refuses more


def prepare(model: Model, operator: Operator) -> Kernel:
    """Prepares a FULLY_CONNECTED; raises Refusal if it is none of ours."""
    source, filters, target = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if source is None or filters is None:
        raise ValueError("FULLY_CONNECTED without input or weights")
    count, depth = filters.shape
    vectors = math.prod(source.shape) // depth
    fits = math.prod(source.shape) == vectors * depth and math.prod(target.shape) == vectors * count
    require(fits, "its shapes do not fit")
    require(vectors > 0 and max(vectors, count, depth) < 2**15, "a dimension is 0, or 32768 or more")
    require(operator.options.get("weightsFormat", 0) == 0, "its weights are shuffled")
    scales = channel_scales(source, filters, target, count)
    if len(filters.scale) == 1:  # TFLM multiplies these two in single precision
        product = float(np.float32(one_scale(source)) * np.float32(filters.scale[0]))
        scales = [Scale.of_channel(product / one_scale(target))] * count
        bias = operator.inputs[2] if len(operator.inputs) > 2 else None
        if bias is not None and bias.scale:
            difference = abs(one_scale(source) * filters.scale[0] - bias.scale[0]) / one_scale(target)
            require(difference <= MOST_DIFFERENCE, "its bias has another scale than its products")
    bounds = Bounds.of(target, operator.options.get("fusedActivationFunction", 0))
    window = Window((1, vectors, depth), (1, vectors, count), (1, 1), (1, 1), (0, 0))
    weights, bias_values = int8_weights(model, filters), bias_of(model, operator, count)
    scratch = 16 * -(-depth // 4)
    constants = block(window, scratch, source.zero_point[0], weights, bias_values, scales, bounds)
    return Kernel("fully_connected" if vectors == 1 else "conv_1x1", constants)
