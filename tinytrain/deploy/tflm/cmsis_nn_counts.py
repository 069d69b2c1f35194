"""Operation counts of CMSIS-NN for one operator, from its shapes: which kernel runs it, and how often its parts run.

The routes and counts follow CMSIS-NN's kernels for cores with DSP extension and without MVE, as TFLM of August 2026
calls them; instructions.py holds what each count costs.
"""

import math

from tinytrain.tflite.model import Operator

Counts = tuple[float, ...]


def route(operator: Operator, kind: str) -> str:
    """Returns which code runs the operator: CMSIS-NN's cases of a convolution, else its name and whose code it is."""
    name = operator.name
    if name == "CONV_2D":
        return "CONV_2D 1x1" if _window(operator) == (1, 1) and not _is_padded(operator) else "CONV_2D"
    if name == "DEPTHWISE_CONV_2D":
        multiplier = operator.outputs[0].shape[3] // _first(operator)[3]
        if multiplier > 1:
            return "DEPTHWISE_CONV_2D multiplied" + (" by 4" if multiplier % 4 == 0 else "")
        plain = _window(operator) == (3, 3) and _dilation(operator) == 1
        return "DEPTHWISE_CONV_2D 3x3" if plain else "DEPTHWISE_CONV_2D"
    if name in ("ADD", "MUL", "SUB") and kind != "own" and _first(operator) != _weights(operator):
        return f"{name} broadcast"
    return f"{name} own" if kind == "own" else name


def counts(operator: Operator, kind: str) -> Counts:
    """Returns what the coefficients of the operator's route multiply."""
    if operator.name == "CONV_2D":
        return _pointwise(operator) if route(operator, kind) == "CONV_2D 1x1" else _convolution(operator)
    if operator.name == "DEPTHWISE_CONV_2D":
        return _depthwise(operator, route(operator, kind))
    if operator.name == "FULLY_CONNECTED":
        return _dense(operator)
    return _other(operator, kind)


def _pointwise(operator: Operator) -> Counts:
    """Returns (filter pairs x channels, 2x2 blocks of outputs, their multiply-accumulates, those of an odd filter).

    CMSIS-NN's matrix product takes two pixels and two filters at a time, and all pixels, or with a stride each row.
    """
    _, height, width, filters = operator.outputs[0].shape
    channels, strided = _weights(operator)[3], operator.options.get("strideH", 1) > 1
    calls, pixels = (height, width) if strided else (1, height * width)
    pairs = calls * (filters // 2)
    blocks = pairs * -(-pixels // 2)
    return (
        pairs * channels,
        blocks,
        pairs * (pixels // 2) * 4 * channels,
        calls * (filters % 2) * pixels * channels,
    )


def _convolution(operator: Operator) -> Counts:
    """Returns (taps, values, outputs, multiply-accumulates, outputs of an odd filter).

    Each window is copied tap by tap into a column of int16, which then meets the filters.
    """
    _, height, width, filters = operator.outputs[0].shape
    pixels, taps = height * width, math.prod(_window(operator))
    values = taps * _weights(operator)[3]
    return (pixels * taps, pixels * values, pixels * filters, pixels * filters * values, pixels * (filters % 2))


def _depthwise(operator: Operator, route: str) -> Counts:
    """Returns the counts of one of the depthwise routes.

    3x3 in fours of channels: (outputs, rows, taps), and of the channels left over (outputs, taps); only what falls on
    the image counts. Multiplied: (outputs, taps). Else a window is copied first: (pixels, taps copied or cleared,
    values copied, outputs, multiply-accumulates, both of the channels left over).
    """
    _, height, width, channels = operator.outputs[0].shape
    pixels, area, odd = height * width, math.prod(_window(operator)), channels % 4
    rows, columns = (_on_image(operator, axis) for axis in (0, 1))
    taps = rows * columns
    if route == "DEPTHWISE_CONV_2D 3x3":
        fours = channels - odd
        return (pixels * fours, rows * width * fours, taps * fours, pixels * odd, taps * odd)
    if route != "DEPTHWISE_CONV_2D":
        return (pixels * channels, taps * channels)
    in_rows = rows * width * _window(operator)[1]
    outputs = pixels * channels
    return (pixels, in_rows, taps * channels, outputs, outputs * area, pixels * odd * area, pixels * odd)


def _dense(operator: Operator) -> Counts:
    """Returns (outputs, multiply-accumulates, multiply-accumulates of an odd output)."""
    outputs, values = _weights(operator)
    batch = math.prod(operator.outputs[0].shape) // outputs
    return (batch * outputs, batch * outputs * values, batch * (outputs % 2) * values)


def _other(operator: Operator, kind: str) -> Counts:
    """Returns (outputs, values read) of what sums up, (pixels, outputs) of what copies pixels, else (0, outputs)."""
    outputs = math.prod(operator.outputs[0].shape)
    if operator.name in ("AVERAGE_POOL_2D", "MAX_POOL_2D") and kind != "own":
        return (outputs, outputs * operator.options.get("filterHeight", 1) * operator.options.get("filterWidth", 1))
    if operator.name in ("AVERAGE_POOL_2D", "MEAN"):
        return (outputs, math.prod(_first(operator)))
    if operator.name in ("PAD", "CONCATENATION", "RESIZE_NEAREST_NEIGHBOR"):
        return (math.prod(operator.outputs[0].shape[:-1]), outputs)
    return (0, outputs)


def _first(operator: Operator) -> tuple[int, ...]:
    return operator.inputs[0].shape if operator.inputs and operator.inputs[0] is not None else (1,)


def _weights(operator: Operator) -> tuple[int, ...]:
    return operator.inputs[1].shape if len(operator.inputs) > 1 and operator.inputs[1] is not None else (1,)


def _window(operator: Operator) -> tuple[int, int]:
    _, height, width, _ = _weights(operator)
    return height, width


def _dilation(operator: Operator) -> int:
    return max(operator.options.get("dilationHFactor", 1), operator.options.get("dilationWFactor", 1))


def _is_padded(operator: Operator) -> bool:
    return any(_padding(operator, axis) > 0 for axis in (0, 1))


def _padding(operator: Operator, axis: int) -> int:
    """Returns the zeros before the first row (axis 0) or column of a convolution's input; none below 0."""
    stride, reach, size, outputs = _geometry(operator, axis)
    return max((outputs - 1) * stride + reach - size, 0) // 2


def _on_image(operator: Operator, axis: int) -> int:
    """Returns how many taps of one row (axis 1) or column of windows fall on the image and not on its padding."""
    stride, reach, size, outputs = _geometry(operator, axis)
    start, step = -_padding(operator, axis), _dilation(operator)
    return sum(
        sum(0 <= start + position * stride + tap < size for tap in range(0, reach, step)) for position in range(outputs)
    )


def _geometry(operator: Operator, axis: int) -> tuple[int, int, int, int]:
    """Returns (stride, reach of a window, size of the input, size of the output) along an axis."""
    stride = operator.options.get("strideH" if axis == 0 else "strideW", 1)
    reach = (_window(operator)[axis] - 1) * _dilation(operator) + 1
    return stride, reach, _first(operator)[axis + 1], operator.outputs[0].shape[axis + 1]
