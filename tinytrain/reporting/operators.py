"""The operators of an int8 model, one by one: what each is, takes and lasts."""

import re
from dataclasses import dataclass
from typing import Any

from tinytrain.deploy import latency
from tinytrain.deploy.tflm import instructions
from tinytrain.tflite.model import Model, Operator


@dataclass(frozen=True)
class Row:
    """One operator: number from 1, TFLite name, layer that it comes from, shape of its output, MACs, milliseconds."""

    number: int
    kind: str
    layer: str
    shape: tuple[int, ...]
    macs: int
    ms: float


def rows(graph: Model, total_ms: float, shares: list[float]) -> list[Row]:
    """Returns a row for each operator in the order they run; their times add up to `total_ms` of one inference.

    shares: what each operator takes, in proportion to the others.
    """
    scale = total_ms / max(sum(shares), 1e-9)
    return [
        Row(number, operator.name, layer(operator), operator.outputs[0].shape, latency.macs(operator), scale * share)
        for number, (operator, share) in enumerate(zip(graph.operators, shares, strict=True), 1)
    ]


def layer(operator: Operator) -> str:
    """Returns the name of the layer that an operator was converted from, read off its output's name."""
    name = operator.outputs[0].name.partition(";")[0]  # fused ones follow
    quantized = re.search(r"(?:^|/)quant_([^/]+)", name)  # how tensorflow-model-optimization names them
    return quantized[1] if quantized else name


def estimated_shares(graph: Model) -> list[float] | None:
    """Returns the instructions of each operator, estimated; None if one of them was never counted."""
    known = [cost.instructions for cost in instructions.by_operator(graph.operators) if cost.instructions is not None]
    return known if len(known) == len(graph.operators) else None


def measured_shares(bench: dict[str, Any], graph: Model) -> list[float] | None:
    """Returns the share of each operator that `tinytrain bench` measured, None if it did not, or of another model."""
    found = bench.get("profile", {}).get("operators", [])
    same = [row["name"] for row in found] == [operator.name for operator in graph.operators]
    return [float(row["share"]) for row in found] if found and same else None
