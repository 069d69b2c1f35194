"""The form in which a model has an operator, and which forms were verified on the emulated Cortex-M7.

CMSIS-NN has several kernels for one operator, chosen by window, stride and shapes: that one of them is right says
nothing of the others (a transposed convolution of 4x4 with stride 2 is wrong, CMSIS-NN#230, of 3x3 is right). Kernels
of ours have rows of their own, of the kind KERNEL. The table is in verified_forms.txt, which
`benchmarks/verified_forms.py` writes.
"""

import math
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from tinytrain.deploy.tflm import operators as tflm_ops
from tinytrain.tflite.model import Operator

TABLE = Path(__file__).parent / "verified_forms.txt"
EQUAL, DIFFERENT, REFUSED = "equal", "different", "refused"
KERNEL = "kernel"  # of the kinds of registrations, beside those of operators.registrations: a kernel of ours
_LETTERS = {0: "scalar", 1: "C", 2: "NC", 3: "NWC", 4: "NHWC", 5: "NDHWC"}
_ELEMENTWISE = ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "DIV")


def of(operator: Operator, kind: str) -> str:
    """Returns the form of an operator that runs as `kind`, such as "CONV_2D int8 3x3/2 same"."""
    parts = [operator.name, kind, *_details(operator)]
    data = [tensor for tensor in (*operator.inputs, *operator.outputs) if tensor is not None and not tensor.constant]
    others = sorted({tensor.dtype for tensor in data} - {"int8"})
    return " ".join([*parts, *others])


def unverified(operators: Sequence[Operator], ours: Collection[int] = ()) -> dict[str, str]:
    """Returns {form: why} of the operators of a model whose form was not found equal: the table's verdict or "".

    `ours` are the numbers of the operators, from 0, that kernels of ours run.
    """
    kinds = tflm_ops.registrations(operator for number, operator in enumerate(operators) if number not in ours)
    table = verified()
    used = dict.fromkeys(
        of(operator, KERNEL if number in ours else kinds[operator.name]) for number, operator in enumerate(operators)
    )
    return {form: table.get(form, "") for form in used if table.get(form) != EQUAL}


@cache
def verified() -> dict[str, str]:
    """Returns {form: EQUAL, DIFFERENT or REFUSED} of the forms that were run on the emulated Cortex-M7."""
    rows = (line.split("\t") for line in TABLE.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    return {form: verdict for form, verdict, _ in rows}


def _details(operator: Operator) -> list[str]:
    shapes = [tensor.shape for tensor in operator.inputs if tensor is not None]
    if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return _convolution(operator, shapes)
    if operator.name == "TRANSPOSE_CONV":
        return [_window(shapes[1][1:3], operator), _padding(operator)]
    if operator.name.endswith("POOL_2D"):
        height, width = operator.options.get("filterHeight", 1), operator.options.get("filterWidth", 1)
        if (height, width) == shapes[0][1:3]:
            return ["whole map"]
        return [_window((height, width), operator), _padding(operator)]
    if operator.name == "FULLY_CONNECTED" and shapes[0] and math.prod(operator.outputs[0].shape) == shapes[1][0]:
        return ["NC"]  # one row, whatever the dimensions that it comes in
    if operator.name in _ELEMENTWISE and len(shapes) == 2:
        return [" with ".join(_broadcast(*shapes))]
    rank = _LETTERS.get(len(shapes[0]), f"{len(shapes[0])} dimensions") if shapes else "no input"
    values = [tensor.values for tensor in operator.inputs if tensor is not None and tensor.values]
    if operator.name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN") and values:
        axes = "".join(rank[axis] for axis in sorted(axis % len(shapes[0]) for axis in values[0]))
        return [rank, f"over {axes}"]
    if operator.name == "TRANSPOSE" and values:
        return [rank, "to", "".join(rank[axis] for axis in values[0])]
    if operator.name == "PAD" and values:
        return [
            rank,
            "sides of",
            "".join(letter for letter, pair in zip(rank, _pairs(values[0]), strict=False) if any(pair)),
        ]
    if operator.name == "RESIZE_NEAREST_NEIGHBOR":
        return [rank, *_resized(operator, shapes[0])]
    if operator.name == "CONCATENATION":
        return [rank, f"of {len(shapes)}" if len(shapes) < 3 else "of many", _axis(operator, rank)]
    return [rank]


def _convolution(operator: Operator, shapes: list[tuple[int, ...]]) -> list[str]:
    source, weights = shapes[0], shapes[1]
    # A window of one pixel reads nothing beyond the map: both paddings are the same code on the same sides.
    padding = "same" if weights[1:3] == (1, 1) else _padding(operator)
    details = [_window(weights[1:3], operator), padding]
    dilation = (operator.options.get("dilationHFactor", 1), operator.options.get("dilationWFactor", 1))
    details += [f"dilated {dilation[0]}x{dilation[1]}"] if dilation != (1, 1) else []
    if operator.name == "DEPTHWISE_CONV_2D":
        details += [f"multiplied by {weights[3] // source[3]}"] if weights[3] != source[3] else []
    elif weights[3] != source[3]:
        details.append("grouped")
    return details


def _window(sides: tuple[int, ...], operator: Operator) -> str:
    strides = operator.options.get("strideH", 1), operator.options.get("strideW", 1)
    stride = f"{strides[0]}" if strides[0] == strides[1] else f"{strides[0]}x{strides[1]}"
    return f"{sides[0]}x{sides[1]}" + (f"/{stride}" if stride != "1" else "")


def _resized(operator: Operator, source: tuple[int, ...]) -> list[str]:
    factors = [new / old for new, old in zip(operator.outputs[0].shape[1:3], source[1:3], strict=True)]
    names = {"halfPixelCenters": "by half pixels", "alignCorners": "with aligned corners"}
    return ["times " + "x".join(f"{factor:g}" for factor in factors)] + [
        words for option, words in names.items() if operator.options.get(option)
    ]


def _padding(operator: Operator) -> str:
    return "valid" if operator.options.get("padding") else "same"


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[str, ...]:
    """Returns two shapes in letters, 1 where one is spread over the other's side: ("NHWC", "N11C"); one if equal."""
    rank = max(len(first), len(second))
    letters = _LETTERS.get(rank, "?" * rank)
    if first == second:
        return (letters,)
    sides = list(zip(*((1,) * (rank - len(shape)) + shape for shape in (first, second)), strict=True))

    def letters_of(number: int) -> str:
        return "".join(
            "1" if pair[number] < pair[1 - number] else letter for pair, letter in zip(sides, letters, strict=True)
        )

    return letters_of(0), letters_of(1)


def _pairs(values: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [values[i : i + 2] for i in range(0, len(values), 2)]


def _axis(operator: Operator, letters: str) -> str:
    axis = operator.options.get("axis", -1)
    return f"along {letters[axis]}" if -len(letters) <= axis < len(letters) else "along an axis"
