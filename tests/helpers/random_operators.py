"""Random operators for the kernels: small ones of every shape, with quantization at its extremes."""

import numpy as np
from operator_files import OperatorFile

EXTREMES = (-128, 127)
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 24)


def zero_point(random):
    return int(random.choice(EXTREMES)) if random.random() < 0.5 else int(random.integers(-128, 128))


def values(random, shape):
    """Returns int8 values, sometimes all at one end."""
    if random.random() < 0.1:
        return np.full(shape, random.choice(EXTREMES), np.int8)
    return random.integers(-128, 128, shape).astype(np.int8)


def weight_values(random, shape):
    if random.random() < 0.1:
        return np.full(shape, random.choice((-127, 127)), np.int8)
    return random.integers(-127, 128, shape).astype(np.int8)


def biases(random, channels):
    """Returns biases about as large as sums of products, or near the limit of 32 bits."""
    most = int(random.choice((10, 30_000, 2**20, 2**30)))
    return random.integers(-most, most + 1, channels).astype(np.int32)


def weight_scales(random, channels, sums):
    """Returns scales of weights for input and output scales of 1: outputs of about int8's range, and multipliers of any
    size, up to shifts to the left."""
    kind = random.random()
    if kind < 0.6:
        scales = random.uniform(20, 200, channels) / sums
    elif kind < 0.8:
        scales = 2.0 ** random.integers(-12, 1, channels)  # multipliers at their lowest
        scales = scales * (1 if random.random() < 0.5 else 1 - 2.0**-23)  # or near their highest
    else:
        scales = 2.0 ** random.uniform(-36, 4, channels)  # TFLM flushes some to 0
    return scales.astype(np.float32)[: 1 if random.random() < 0.1 else channels]


def activation(random):
    return int(random.choice((0, 1, 2, 3)))


def output_scale(random):
    return float(np.float32(random.choice((1.0, 6 / 255, 0.1))))


def padded(side, window, stride, same):
    return -(-side // stride) if same else (side - window) // stride + 1


def add_conv(file: OperatorFile, random, plain=False):
    """Adds a CONV_2D, of 1x1 without stride if `plain`."""
    height, width = (int(side) for side in random.integers(1, 8, 2))
    channels, filters = (int(count) for count in random.choice(CHANNELS, 2))
    same = bool(random.random() < 0.5)
    sides, strides = (1, 1), (1, 1)
    if not plain:
        most = (5, 5) if same else (min(height, 5), min(width, 5))
        sides = tuple(int(random.integers(1, side + 1)) for side in most)
        strides = tuple(int(stride) for stride in random.integers(1, 4, 2))
    scale = output_scale(random)
    source = file.tensor(
        (1, height, width, channels), values(random, (1, height, width, channels)), [1.0], zero_point(random)
    )
    count = sides[0] * sides[1] * channels
    scales = weight_scales(random, filters, 5000 * np.sqrt(count)) * np.float32(scale)
    weights = file.tensor((filters, *sides, channels), weight_values(random, (filters, *sides, channels)), scales)
    inputs = [source, weights]
    if random.random() < 0.9:
        inputs.append(file.tensor((filters,), biases(random, filters)))
    shape = [padded(side, *rest, same) for side, *rest in zip((height, width), sides, strides, strict=True)]
    target = file.tensor((1, *shape, filters), None, [scale], zero_point(random))
    file.operator(
        "CONV_2D",
        inputs,
        target,
        "Conv2DOptions",
        strideH=strides[0],
        strideW=strides[1],
        padding=0 if same else 1,
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=activation(random),
    )


def add_depthwise(file: OperatorFile, random, window=None, sides=None):
    """Adds a DEPTHWISE_CONV_2D of 3x3, 5x5 or 7x7, stride 1 or 2; `window`: side and stride, `sides`: of the input."""
    side, stride = window or (int(random.choice((3, 5, 7))), int(random.integers(1, 3)))
    same = bool(random.random() < 0.6) or (sides is not None and min(sides) < side)
    height, width = sides or (int(each) for each in random.integers(1 if same else side, 12, 2))
    if sides is None and random.random() < 0.05:
        height = 60  # several bands
        width = 40
    channels = int(random.choice(CHANNELS[:8]))
    scale = output_scale(random)
    shape = (1, height, width, channels)
    source = file.tensor(shape, values(random, shape), [1.0], zero_point(random))
    scales = weight_scales(random, channels, 5000 * side) * np.float32(scale)
    weights = file.tensor((1, side, side, channels), weight_values(random, (1, side, side, channels)), scales, axis=3)
    inputs = [source, weights]
    if random.random() < 0.9:
        inputs.append(file.tensor((channels,), biases(random, channels)))
    sides = [padded(each, side, stride, same) for each in (height, width)]
    target = file.tensor((1, *sides, channels), None, [scale], zero_point(random))
    file.operator(
        "DEPTHWISE_CONV_2D",
        inputs,
        target,
        "DepthwiseConv2DOptions",
        strideH=stride,
        strideW=stride,
        padding=0 if same else 1,
        depthMultiplier=1,
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=activation(random),
    )


def add_dense(file: OperatorFile, random):
    """Adds a FULLY_CONNECTED."""
    depth, count = int(random.choice((*CHANNELS, 64, 130))), int(random.choice(CHANNELS))
    scale = output_scale(random)
    source = file.tensor((1, depth), values(random, (1, depth)), [0.3], zero_point(random))
    scales = weight_scales(random, count, 1500 * np.sqrt(depth)) * np.float32(scale)
    scales = scales[:1] if random.random() < 0.5 else scales
    weights = file.tensor((count, depth), weight_values(random, (count, depth)), scales)
    inputs = [source, weights]
    if random.random() < 0.9:
        products = [np.float32(0.3) * each for each in scales]
        inputs.append(file.tensor((count,), biases(random, count), products))
    target = file.tensor((1, count), None, [scale], zero_point(random))
    file.operator(
        "FULLY_CONNECTED", inputs, target, "FullyConnectedOptions", fusedActivationFunction=activation(random)
    )


def add_sum(file: OperatorFile, random):
    """Adds an ADD of two tensors of one shape; sometimes their scales are equal or far apart."""
    shape = (1, *(int(side) for side in random.integers(1, 7, 2)), int(random.choice(CHANNELS)))
    first = float(np.float32(2.0 ** random.uniform(-6, 2)))
    ratio = 1.0 if random.random() < 0.2 else 2.0 ** random.uniform(-12, 12)
    second = float(np.float32(first * ratio))
    output = float(np.float32(max(first, second) * 2.0 ** random.uniform(-5, 3)))
    arrays = [values(random, shape) for _ in range(2)]
    if random.random() < 0.1:  # all pairs of values
        shape = (1, 256, 256, 1)
        every = np.arange(-128, 128).astype(np.int8)
        arrays = [np.repeat(every, 256).reshape(shape), np.tile(every, 256).reshape(shape)]
    pairs = zip(arrays, (first, second), strict=True)
    inputs = [file.tensor(shape, array, [scale], zero_point(random)) for array, scale in pairs]
    target = file.tensor(shape, None, [output], zero_point(random))
    file.operator("ADD", inputs, target, "AddOptions", fusedActivationFunction=activation(random))


def add_pool(file: OperatorFile, random):
    """Adds an AVERAGE_POOL_2D, over the whole map or not."""
    height, width = (int(side) for side in random.integers(1, 9, 2))
    if random.random() < 0.1:
        height, width = 20, 17  # more pixels than a sum of 16 bits holds
    same = bool(random.random() < 0.5)
    sides, strides = (height, width), (1, 1)
    if random.random() < 0.6:
        sides = tuple(int(random.integers(1, side + 1)) for side in (height, width))
        strides = tuple(int(stride) for stride in random.integers(1, 4, 2))
    shape = (1, height, width, int(random.choice(CHANNELS)))
    zero, scale = zero_point(random), output_scale(random)
    source = file.tensor(shape, values(random, shape), [scale], zero)
    outputs = [padded(side, *rest, same) for side, *rest in zip((height, width), sides, strides, strict=True)]
    target = file.tensor((1, *outputs, shape[3]), None, [scale], zero)
    file.operator(
        "AVERAGE_POOL_2D",
        [source],
        target,
        "Pool2DOptions",
        filterHeight=sides[0],
        filterWidth=sides[1],
        strideH=strides[0],
        strideW=strides[1],
        padding=0 if same else 1,
        fusedActivationFunction=activation(random),
    )
