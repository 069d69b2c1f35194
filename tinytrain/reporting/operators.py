"""The operators of an int8 model: layer, output shape, MACs and time of each."""

import re
from dataclasses import dataclass
from typing import Any

from tinytrain.deploy.compiled import overhead
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.tflm import instructions
from tinytrain.tflite.macs import macs
from tinytrain.tflite.model import Model, Operator

RESHAPING = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")  # nothing to run in the compiled engine


@dataclass(frozen=True)
class Row:
    """An operator: number from 1, TFLite name, the layer it comes from, shape of its output, MACs, milliseconds."""

    number: int
    kind: str
    layer: str
    shape: tuple[int, ...]
    macs: int
    ms: float


def rows(graph: Model, total_ms: float, shares: list[float]) -> list[Row]:
    """Returns a row for each operator in the order they run.

    Args:
        graph: the model.
        total_ms: the time of one inference, to which the times of the rows add up.
        shares: the time of each operator in any unit.
    """
    scale = total_ms / max(sum(shares), 1e-9)
    return [
        Row(number, operator.name, layer(operator), operator.outputs[0].shape, macs(operator), scale * share)
        for number, (operator, share) in enumerate(zip(graph.operators, shares, strict=True), 1)
    ]


def layer(operator: Operator) -> str:
    """Returns the name of the layer that an operator was converted from, taken from the name of its output."""
    name = operator.outputs[0].name.partition(";")[0]  # the names of fused layers follow
    quantized = re.search(r"(?:^|/)quant_([^/]+)", name)  # how tensorflow-model-optimization names them
    return quantized[1] if quantized else name


def estimated_shares(graph: Model, own_kernels: bool, compiled: bool = False) -> list[float] | None:
    """Returns the estimated instructions of each operator, None if there is no estimate for one of them.

    Args:
        graph: the model.
        own_kernels: whether kernels of ours run the operators that they can.
        compiled: whether the compiled engine runs it.
    """
    if compiled:
        return overhead.by_operator(network(graph))
    costs = instructions.by_operator(graph.operators, derive(graph).kernels if own_kernels else ())
    known = [cost.instructions for cost in costs if cost.instructions is not None]
    return known if len(known) == len(graph.operators) else None


def measured_shares(bench: dict[str, Any], graph: Model) -> list[float] | None:
    """Returns the share of each operator that `tinytrain bench` measured.

    Fused operators were measured together: each has a share as its multiply-accumulates.

    Args:
        bench: the content of bench.json, {} without one.
        graph: the model of the report.

    Returns:
        Shares in 0..1, or None if there is no profile, or one of another model.
    """
    shares = [0.0] * len(graph.operators)
    profile = bench.get("profile", {}).get("operators", [])
    for place, row in enumerate(profile):
        step = row.get("operators", [place])
        if max(step) >= len(shares) or (len(step) == 1 and row["name"] != graph.operators[step[0]].name):
            return None
        costs = [macs(graph.operators[number]) + 1 for number in step]
        for number, cost in zip(step, costs, strict=True):
            shares[number] = float(row["share"]) * cost / sum(costs)
    covered = [number for place, row in enumerate(profile) for number in row.get("operators", [place])]
    ran = {number for number, operator in enumerate(graph.operators) if operator.name not in RESHAPING}
    return shares if profile and ran <= set(covered) else None


def how_divided(bench: dict[str, Any]) -> str:
    """Returns the end of a sentence about measured shares: which of them are estimated, "" if none is."""
    steps = [row.get("operators", []) for row in bench.get("profile", {}).get("operators", [])]
    fused = [f"{min(step) + 1} to {max(step) + 1}" for step in steps if len(step) > 1]
    if not fused:
        return ""
    return (
        f"; fused operators ({', '.join(fused)}) were measured only together, and each has a share estimated by its "
        "multiply-accumulates"
    )
