"""What `tinytrain bench` prints of an export for a CPU."""

from pathlib import Path
from typing import Any

from tinytrain import tables
from tinytrain.benching.cpu.runner import COMPARED
from tinytrain.data.source import counted
from tinytrain.deploy.cpu import compare
from tinytrain.deploy.cpu.session import LATENCY, ONE_CORE, THROUGHPUT
from tinytrain.deploy.exported import BENCH_FILE

USES = {ONE_CORE: "one core, one stream", LATENCY: "all cores, one stream", THROUGHPUT: "all cores, all streams"}
HEADINGS = ("", "model", "", "streams", "ms", "10 to 90 %", "images/s", "lowest to highest")
COLUMNS = ("<1", "<", "<", ">", ">", ">", ">", ">")


def summary(result: dict[str, Any], folder: Path) -> str:
    """Returns the result as text: the answers, then a row for each model and use of the cores."""
    load = "" if result["load_average"] is None else f", load {result['load_average']:.1f} before"
    cores = counted(result["cores"], "core")
    rows = [
        ("runtime", f"{result['runtime']} {result['runtime_version']} on {result['processor']}, {cores}{load}"),
        *[(kind, compare.in_words(kind, row, COMPARED[kind])) for kind, row in result["answers"].items()],
        ("written", str(folder / BENCH_FILE)),
    ]
    medians = (
        f"medians of the time of an inference, and of the rate over {result['windows']} windows of "
        f"{result['window_seconds']:g} s; the models take turns"
    )
    cells = [_cells(kind, use, timing) for kind, uses in result["models"].items() for use, timing in uses.items()]
    lines = tables.aligned(rows, ("<9", ""), between=" ")
    return "\n".join([*lines, "", medians, *tables.aligned([HEADINGS, *cells], COLUMNS, between="  ")])


def failure(result: dict[str, Any]) -> str:
    """Returns what is wrong with the answers on this machine, in one sentence; "" if they are those of the export."""
    return "; ".join(result["wrong"])


def _cells(kind: str, use: str, timing: dict[str, Any]) -> tuple[str, ...]:
    low, high = timing["p10_milliseconds"], timing["p90_milliseconds"]
    slowest, fastest = timing["min_inferences_per_second"], timing["max_inferences_per_second"]
    return (
        "",
        kind,
        USES[use],
        str(timing["streams"]),
        f"{timing['milliseconds']:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{timing['inferences_per_second']:,.0f}",
        f"{slowest:,.0f} to {fastest:,.0f}",
    )
