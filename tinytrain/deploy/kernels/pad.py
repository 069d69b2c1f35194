"""PAD for firmware/kernels/pad.c."""

import struct

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import one_scale
from tinytrain.tflite.model import Model, Operator

BLOCK = "<I9HbB"  # KernelPad


def prepare(model: Model, operator: Operator) -> Kernel:
    """Prepares a PAD or PADV2; raises Refusal if it is none of ours."""
    source, paddings, target = operator.inputs[0], operator.inputs[1], operator.outputs[0]
    if source is None or paddings is None:
        raise ValueError(f"{operator.name} without input or paddings")
    one_scale(source)
    one_scale(target)
    require(paddings.constant and paddings.dtype == "int32", "its paddings are not constant int32")
    require(1 <= len(source.shape) <= 4, "a shape has more than 4 dimensions")
    require(len(paddings.shape) == 2 and paddings.shape == (len(source.shape), 2), "its paddings have another rank")
    missing = 4 - len(source.shape)
    before, after = zip(*([(0, 0)] * missing + model.constant(paddings).tolist()), strict=True)
    shape, padded = (1,) * missing + source.shape, (1,) * missing + target.shape
    require(shape[0] == padded[0] == 1, "it takes more than one image")
    require(min(*before, *after) >= 0 and 0 < min(shape) <= max(padded) < 2**15, "a dimension is out of range")
    sums = tuple(sum(each) for each in zip(shape, before, after, strict=True))
    require(sums == padded, "its output has another shape than its paddings give")
    value = target.zero_point[0] if len(operator.inputs) < 3 else _value(model, operator)
    row, padded_row = shape[2] * shape[3], padded[2] * padded[3]
    top = before[1]
    lead = max((y + 1) * padded_row - min(max(y - top, 0), shape[1]) * row for y in range(padded[1]))
    return Kernel("pad", struct.pack(BLOCK, 0, *shape[1:], *padded[1:], *before[1:], value, 0), lead)


def _value(model: Model, operator: Operator) -> int:
    """Returns what PADV2 fills with; raises Refusal unless it is a constant in the output's steps."""
    value, target = operator.inputs[2], operator.outputs[0]
    if value is None:
        return target.zero_point[0]
    require(value.constant and one_scale(value) == one_scale(target), "it fills with a value of another scale")
    require(value.zero_point == target.zero_point, "it fills with a value of another scale")
    return int(model.constant(value).reshape(-1)[0])
