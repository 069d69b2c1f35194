"""RESIZE_NEAREST_NEIGHBOR for firmware/kernels/resize.c."""

import struct

import numpy as np

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import require
from tinytrain.deploy.kernels.scales import one_scale
from tinytrain.tflite.model import Model, Operator

HEAD = "<I6H"  # KernelResize


def prepare(_model: Model, operator: Operator) -> Kernel:
    """Prepares a RESIZE_NEAREST_NEIGHBOR; raises Refusal if it is none of ours."""
    source, target = operator.inputs[0], operator.outputs[0]
    if source is None:
        raise ValueError("RESIZE_NEAREST_NEIGHBOR without input")
    one_scale(source)
    one_scale(target)
    require(len(source.shape) == len(target.shape) == 4, "a shape has other than 4 dimensions")
    require(source.shape[0] == target.shape[0] == 1, "it takes more than one image")
    require(source.shape[3] == target.shape[3], "its output has another number of channels than its input")
    require(min(source.shape) > 0 and max(*source.shape, *target.shape) < 2**15, "a dimension is out of range")
    corners, centers = operator.options.get("alignCorners", False), operator.options.get("halfPixelCenters", False)
    places = [
        place
        for before, after in zip(source.shape[1:3], target.shape[1:3], strict=True)
        for place in _places(before, after, corners, centers)
    ]
    places += [0] * (len(places) % 2)
    head = struct.pack(HEAD, 0, *source.shape[1:], *target.shape[1:])
    return Kernel("resize", head + struct.pack(f"<{len(places)}H", *places))


def _places(before: int, after: int, corners: bool, centers: bool) -> list[int]:
    """Returns of each output row, or column, that of the input, as TFLM finds it in single precision."""
    one = np.float32(1)
    ratio = (
        np.float32(before - 1) / np.float32(after - 1) if corners and after > 1 else np.float32(before) / after * one
    )
    offset = np.float32(0.5 if centers else 0)
    exact = [np.float32((np.float32(place) + offset) * ratio) for place in range(after)]
    return [min(int(np.floor(each + 0.5) if corners else np.floor(each)), before - 1) for each in exact]
