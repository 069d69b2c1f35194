"""Random operators beside those of random_operators.py: pools, sums and products of any shape, tables, copies."""

import numpy as np
from operator_files import OperatorFile
from random_operators import (
    CHANNELS,
    activation,
    biases,
    output_scale,
    padded,
    values,
    weight_scales,
    weight_values,
    zero_point,
)


def add_max_pool(file: OperatorFile, random):
    """Adds a MAX_POOL_2D."""
    height, width = (int(side) for side in random.integers(1, 9, 2))
    same = bool(random.random() < 0.5)
    sides = tuple(int(random.integers(1, side + 1)) for side in (height, width))
    strides = tuple(int(stride) for stride in random.integers(1, 4, 2))
    shape = (1, height, width, int(random.choice(CHANNELS)))
    zero, scale = zero_point(random), output_scale(random)
    source = file.tensor(shape, values(random, shape), [scale], zero)
    outputs = [padded(side, *rest, same) for side, *rest in zip((height, width), sides, strides, strict=True)]
    target = file.tensor((1, *outputs, shape[3]), None, [scale], zero)
    settings = {"filterHeight": sides[0], "filterWidth": sides[1], "strideH": strides[0], "strideW": strides[1]}
    settings |= {"padding": 0 if same else 1, "fusedActivationFunction": activation(random)}
    file.operator("MAX_POOL_2D", [source], target, "Pool2DOptions", **settings)


def add_conv_any(file: OperatorFile, random):
    """Adds a CONV_2D with dilation or groups."""
    groups = int(random.integers(1, 4))
    depth, filters = int(random.choice((1, 2, 3, 5, 8))), groups * int(random.integers(1, 5))
    _add_window(file, random, "CONV_2D", groups * depth, filters, depth)


def add_depthwise_any(file: OperatorFile, random):
    """Adds a DEPTHWISE_CONV_2D with dilation, any window or a multiplier."""
    channels = int(random.choice(CHANNELS[:8]))
    _add_window(file, random, "DEPTHWISE_CONV_2D", channels, channels * int(random.integers(1, 4)), 1)


def _add_window(file, random, name, channels, filters, depth):
    sides = tuple(int(side) for side in random.integers(1, 5, 2))
    strides = (int(random.integers(1, 4)),) * 2 if name == "DEPTHWISE_CONV_2D" else tuple(random.integers(1, 4, 2))
    dilations = tuple(int(each) for each in random.integers(1, 4, 2))
    same = bool(random.random() < 0.5)
    reach = [(side - 1) * dilation + 1 for side, dilation in zip(sides, dilations, strict=True)]
    height, width = (int(random.integers(1 if same else each, 12)) for each in reach)
    scale, shape = output_scale(random), (1, height, width, channels)
    source = file.tensor(shape, values(random, shape), [1.0], zero_point(random))
    scales = weight_scales(random, filters, 5000 * np.sqrt(sides[0] * sides[1] * depth)) * np.float32(scale)
    is_depthwise = name == "DEPTHWISE_CONV_2D"
    weights_shape = (1, *sides, filters) if is_depthwise else (filters, *sides, depth)
    weights = file.tensor(weights_shape, weight_values(random, weights_shape), scales, axis=3 if is_depthwise else 0)
    bias = file.tensor((filters,), biases(random, filters))
    outputs = [padded(side, *rest, same) for side, *rest in zip((height, width), reach, strides, strict=True)]
    target = file.tensor((1, *outputs, filters), None, [scale], zero_point(random))
    settings = {"strideH": int(strides[0]), "strideW": int(strides[1]), "padding": 0 if same else 1}
    settings |= {"dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}
    settings |= {"depthMultiplier": filters // channels} if is_depthwise else {}
    table = "DepthwiseConv2DOptions" if is_depthwise else "Conv2DOptions"
    file.operator(name, [source, weights, bias], target, table, **settings, fusedActivationFunction=activation(random))


def add_vectors(file: OperatorFile, random):
    """Adds a FULLY_CONNECTED of several vectors."""
    count, depth, filters = (int(each) for each in (random.integers(2, 5), *random.choice(CHANNELS, 2)))
    source = file.tensor((1, count, depth), values(random, (1, count, depth)), [0.3], zero_point(random))
    scales = weight_scales(random, filters, 1500 * np.sqrt(depth))[:1]
    weights = file.tensor((filters, depth), weight_values(random, (filters, depth)), scales)
    target = file.tensor((1, count, filters), None, [1.0], zero_point(random))
    settings = {"keepNumDims": True, "fusedActivationFunction": activation(random)}
    file.operator("FULLY_CONNECTED", [source, weights], target, "FullyConnectedOptions", **settings)


def add_pad(file: OperatorFile, random):
    """Adds a PAD of height, width and sometimes channels."""
    shape = (1, *(int(side) for side in random.integers(1, 7, 3)))
    paddings = np.zeros((4, 2), np.int32)
    paddings[1 : 4 if random.random() < 0.3 else 3] = random.integers(0, 4, 2)
    scale, zero = output_scale(random), zero_point(random)
    source = file.tensor(shape, values(random, shape), [scale], zero)
    table = file.tensor((4, 2), paddings)
    padded_shape = tuple(int(side) for side in np.array(shape) + paddings.sum(axis=1))
    file.operator("PAD", [source, table], file.tensor(padded_shape, None, [scale], zero), "PadOptions")


def add_transpose(file: OperatorFile, random):
    """Adds a TRANSPOSE of all but the first dimension."""
    shape = (1, *(int(side) for side in random.integers(1, 7, 3)))
    order = np.array([0, *(1 + random.permutation(3))], np.int32)
    scale, zero = output_scale(random), zero_point(random)
    inputs = [file.tensor(shape, values(random, shape), [scale], zero), file.tensor((4,), order)]
    target = file.tensor(tuple(shape[axis] for axis in order), None, [scale], zero)
    file.operator("TRANSPOSE", inputs, target, "TransposeOptions")


def add_mean(file: OperatorFile, random):
    """Adds a MEAN over height and width, over channels, or over one of them."""
    shape = (1, *(int(side) for side in random.integers(1, 9, 2)), int(random.choice(CHANNELS)))
    axes = [(1, 2), (2, 1), (-2, -3), (1,), (2,), (3,), (2, 3)][int(random.integers(0, 7))]
    keeps = bool(random.random() < 0.5)
    source = file.tensor(shape, values(random, shape), [1.0], zero_point(random))
    table = file.tensor((len(axes),), np.array(axes, np.int32))
    reduced = {axis % 4 for axis in axes}
    kept = [1 if axis in reduced else side for axis, side in enumerate(shape) if keeps or axis not in reduced]
    scale = float(np.float32(2.0 ** random.uniform(-6, 3)))
    target = file.tensor(tuple(kept), None, [scale], zero_point(random))
    file.operator("MEAN", [source, table], target, "ReducerOptions", keepDims=keeps)


def add_softmax(file: OperatorFile, random):
    """Adds a SOFTMAX of one row or some."""
    shape = (1, int(random.integers(1, 4)), int(random.choice((1, 2, 10, 33, 100))))
    source = file.tensor(shape, values(random, shape), [2.0 ** random.uniform(-9, 2)], zero_point(random))
    beta = float(random.choice((1.0, 0.5)))
    file.operator("SOFTMAX", [source], file.tensor(shape, None, [1 / 256], -128), "SoftmaxOptions", beta=beta)


def add_concatenation(file: OperatorFile, random):
    """Adds a CONCATENATION along any axis but the first."""
    axis = int(random.integers(1, 4))
    shape = [1, *(int(side) for side in random.integers(1, 6, 3))]
    scale, zero, inputs, total = output_scale(random), zero_point(random), [], 0
    for _ in range(int(random.integers(2, 5))):
        shape[axis] = int(random.integers(1, 6))
        total += shape[axis]
        inputs.append(file.tensor(shape, values(random, shape), [scale], zero))
    shape[axis] = total
    target = file.tensor(shape, None, [scale], zero)
    file.operator("CONCATENATION", inputs, target, "ConcatenationOptions", axis=axis - 4 * int(random.integers(0, 2)))


def add_resize(file: OperatorFile, random):
    """Adds a RESIZE_NEAREST_NEIGHBOR to any size."""
    shape = (1, *(int(side) for side in random.integers(1, 7, 2)), int(random.choice(CHANNELS)))
    sides = random.integers(1, 14, 2).astype(np.int32) if random.random() < 0.5 else 2 * np.array(shape[1:3], np.int32)
    scale, zero = output_scale(random), zero_point(random)
    inputs = [file.tensor(shape, values(random, shape), [scale], zero), file.tensor((2,), sides)]
    target = file.tensor((1, *(int(side) for side in sides), shape[3]), None, [scale], zero)
    corners = bool(random.random() < 0.3)
    settings = {"alignCorners": corners, "halfPixelCenters": bool(random.random() < 0.5 and not corners)}
    file.operator("RESIZE_NEAREST_NEIGHBOR", inputs, target, "ResizeNearestNeighborOptions", **settings)


def add_product(file: OperatorFile, random):
    """Adds a MUL of any two shapes."""
    first, second = (float(np.float32(2.0 ** random.uniform(-6, 2))) for _ in range(2))
    output = float(np.float32(first * second * 128 * 2.0 ** random.uniform(-9, 3)))
    _add_broadcast(file, random, "MUL", first, second, output)


def add_broadcast_sum(file: OperatorFile, random):
    """Adds an ADD or SUB of any two shapes."""
    first = float(np.float32(2.0 ** random.uniform(-6, 2)))
    second = float(np.float32(first * (1.0 if random.random() < 0.2 else 2.0 ** random.uniform(-12, 12))))
    output = float(np.float32(max(first, second) * 2.0 ** random.uniform(-5, 3)))
    _add_broadcast(file, random, str(random.choice(("ADD", "SUB"))), first, second, output)


def _add_broadcast(file, random, name, first, second, output):
    whole = (1, *(int(side) for side in random.integers(1, 7, 2)), int(random.choice(CHANNELS)))
    shapes = [whole, whole]
    if random.random() < 0.8:
        shapes = [tuple(side if random.random() < 0.6 else 1 for side in whole) for _ in range(2)]
    if random.random() < 0.2:
        shapes[int(random.integers(0, 2))] = whole[-1:]
    inputs = [
        file.tensor(shape, values(random, shape), [scale], zero_point(random))
        for shape, scale in zip(shapes, (first, second), strict=True)
    ]
    shape = np.broadcast_shapes(*shapes)
    target = file.tensor((1,) * (4 - len(shape)) + shape, None, [output], zero_point(random))
    table = f"{name.capitalize()}Options"
    file.operator(name, inputs, target, table, fusedActivationFunction=activation(random))


def add_lookup(file: OperatorFile, random):
    """Adds an operator whose output is looked up, for all 256 values."""
    name = str(random.choice(("LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "RELU", "RELU6", "QUANTIZE")))
    source = file.tensor(
        (1, 256), np.arange(-128, 128).astype(np.int8), [2.0 ** random.uniform(-7, -3)], zero_point(random)
    )
    scale, zero = (
        (1 / 256, -128) if name == "LOGISTIC" else (1 / 128, 0) if name == "TANH" else (1 / 64, zero_point(random))
    )
    options = {"alpha": float(random.choice((0.1, 0.3)))} if name == "LEAKY_RELU" else {}
    table = {"LEAKY_RELU": "LeakyReluOptions", "HARD_SWISH": "HardSwishOptions", "QUANTIZE": "QuantizeOptions"}
    file.operator(name, [source], file.tensor((1, 256), None, [scale], zero), table.get(name, ""), **options)
