"""A .tflite made elsewhere: read, refused with a reason or made ready for the firmware, and what its pixels mean.

A network made elsewhere does not say what it takes a pixel for. It does say which real values its int8 input can hold,
and these are what pixels 0 to 255 became when it was calibrated: 0 to 255 itself (MLPerf Tiny's ResNet-8), 0 to 1 (its
MobileNetV1), -1 to 1 (Keras). The usual range nearest to the input's is taken, or none near it, the input's own.
"""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tinytrain.deploy import ends, flatbuffer
from tinytrain.deploy.flatbuffer import Summary, Tensor
from tinytrain.errors import UserError

USUAL_RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0), (-1.0, 127 / 128), (-0.5, 0.5), (-128.0, 127.0))
NEAR = 0.1  # of the span: calibration images need not hold the darkest and the brightest pixel


@dataclass(frozen=True)
class Foreign:
    """A .tflite of one int8 input and one int8 output; `left_out` are the ends that were not, such as "uint8 input"."""

    content: bytes
    graph: Summary
    left_out: list[str]


def read(path: Path) -> Foreign:
    """Returns the int8 network in the .tflite file at `path`.

    Raises:
        UserError: no readable .tflite, or one that the firmware cannot feed: several inputs or outputs, a batch, float
            operators, an operator that TFLM lacks.
    """
    content, what = path.read_bytes(), f"'{path}'"
    if not content:
        raise UserError(f"{what} is empty: expected a .tflite file")
    flatbuffer.read(content, what)
    content, left_out = ends.int8_ends(content)
    graph = flatbuffer.read(content, what)
    _refuse(graph, what)
    return Foreign(content, graph, left_out)


def _refuse(graph: Summary, what: str) -> None:
    for name, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        if len(tensors) != 1:
            found = ", ".join(f"{tensor.dtype} {tensor.shape}" for tensor in tensors)
            raise UserError(f"{what} has {len(tensors)} {name}s ({found}): the firmware needs exactly one int8 {name}")
    if floats := _float_operators(graph):
        raise UserError(
            f"{what} computes in float32 ({floats}): quantize it to int8 throughout, with a representative dataset and "
            "supported_ops TFLITE_BUILTINS_INT8"
        )
    for name, tensor in (("input", graph.inputs[0]), ("output", graph.outputs[0])):
        if tensor.dtype != "int8" or len(tensor.scale) != 1:
            quantized = "" if tensor.scale else " without a scale"
            raise UserError(
                f"{what} has an {name} of {tensor.dtype}{quantized}: the firmware needs int8 with a scale; convert it "
                f"with inference_{name}_type int8"
            )
    if graph.inputs[0].shape[:1] != (1,) or graph.outputs[0].shape[:1] != (1,):
        raise UserError(
            f"{what} takes {graph.inputs[0].shape} and gives {graph.outputs[0].shape}: expected one input at a time, "
            "(1, …); convert it with a batch of 1"
        )


def _float_operators(graph: Summary) -> str:
    """Returns the operators that read or write float32, such as "3 CONV_2D, 1 ADD"; "" for none."""
    counts = Counter(
        operator.name
        for operator in graph.operators
        if any(tensor is not None and tensor.dtype == "float32" for tensor in (*operator.inputs, *operator.outputs))
    )
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def pixel_range(tensor: Tensor, words: str = "") -> tuple[float, float, bool]:
    """Returns (what pixel 0 is to the network, what pixel 255 is, whether that is known or usual).

    Args:
        tensor: the int8 input.
        words: the user's own "LOW..HIGH"; "" to read it off the input.
    """
    if words:
        return *_parsed(words), True
    low, high = ((limit - tensor.zero_point[0]) * tensor.scale[0] for limit in (-128, 127))

    def distance(known: tuple[float, float]) -> float:
        return max(abs(low - known[0]), abs(high - known[1])) / (known[1] - known[0])

    usual = min(USUAL_RANGES, key=distance)
    return (*usual, True) if distance(usual) <= NEAR else (low, high, False)


def _parsed(words: str) -> tuple[float, float]:
    try:
        low, high = (float(word) for word in words.split(".."))
    except ValueError:
        low = high = math.nan
    if not math.isfinite(low) or not math.isfinite(high) or low == high:
        raise UserError(
            f"export.input_range is '{words}': expected what pixels 0 and 255 are to the network, such as 0..1 or -1..1"
        )
    return low, high


def is_image(tensor: Tensor) -> bool:
    """Returns whether the input can be an image: (1, H, W, 1 or 3)."""
    return len(tensor.shape) == 4 and tensor.shape[3] in (1, 3)
