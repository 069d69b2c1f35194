"""The section about an export: memory, flash, time by operator, quantization noise by layer."""

from dataclasses import dataclass, field
from typing import Any

from tinytrain.deploy.compiled.engine import COMPILED
from tinytrain.deploy.exported_model import MODEL_FILE
from tinytrain.deploy.kernels import choice
from tinytrain.deploy.tflm import supported
from tinytrain.exporting import text
from tinytrain.reporting import board_charts, facts, memory_map, operators
from tinytrain.reporting.facts import Hint
from tinytrain.reporting.memory_map import MemoryMap
from tinytrain.reporting.operators import Row
from tinytrain.reporting.runs import Export, Subject
from tinytrain.reporting.svg import Chart
from tinytrain.tflite.model import Model
from tinytrain.train import figures


@dataclass(frozen=True)
class OperatorRow:
    """An operator, the bytes of the arena in use while it runs, and its share of the time, 0..1."""

    row: Row
    live_bytes: int
    scratch_bytes: int
    share: float


@dataclass(frozen=True)
class BoardSection:
    """The whole section. What is unknown is None or empty, and `hints` say how to get it."""

    board: str
    anchor: str
    facts: list[tuple[str, str]]
    usage: list[Chart] = field(default_factory=list)
    arena: Chart | None = None
    times: Chart | None = None
    longest: Chart | None = None
    how_timed: str = ""
    noise: Chart | None = None
    operators: list[OperatorRow] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    compiled: bool = False


def section(subject: Subject, export: Export, name: str) -> BoardSection:
    """Returns the section about an export of a run; `name` is unique in the page."""
    report, model = export.report, export.folder / MODEL_FILE
    memory = rows = None
    how_timed = ""
    if model.is_file():
        graph = supported.parse(model.read_bytes(), f"'{model}'")
        if _is_compiled(report):
            memory = memory_map.compiled(report["engine"], len(graph.operators))
        else:
            memory = memory_map.read(graph, _has_own_kernels(report))
        rows, how_timed = _timed(export, graph)
    layers = report.get("diagnosis", {}).get("layers", [])
    return BoardSection(
        board=report.get("board", "unknown board"),
        anchor=f"board-{name}",
        facts=_facts(export),
        usage=_usage(export, memory, name),
        arena=board_charts.arena(name, memory, rows) if memory and rows else None,
        times=board_charts.times(name, rows, how_timed) if rows else None,
        longest=board_charts.longest(name, rows) if rows else None,
        how_timed=how_timed,
        noise=board_charts.noise(name, layers) if layers else None,
        operators=_operator_rows(rows, memory) if memory and rows else [],
        layers=layers,
        hints=facts.export_hints(subject, export),
        compiled=_is_compiled(report),
    )


def _is_compiled(report: dict[str, Any]) -> bool:
    return bool(report.get("engine", {}).get("name") == COMPILED)


def _has_own_kernels(report: dict[str, Any]) -> bool:
    return bool(report.get("kernels", {}).get("chosen") == choice.OURS)


def _timed(export: Export, graph: Model) -> tuple[list[Row] | None, str]:
    """Returns the operators with their times, None if these are unknown, and how they were measured or estimated."""
    latency = facts.latency(export)
    if not latency:
        return None, ""
    if shares := operators.measured_shares(export.bench, graph):
        how = f"shares measured {facts.measured_where(export)}"
        return operators.rows(graph, latency.ms, shares), how + operators.how_divided(export.bench)
    shares = operators.estimated_shares(graph, _has_own_kernels(export.report), _is_compiled(export.report))
    if shares is None:
        return None, ""
    return operators.rows(graph, latency.ms, shares), "estimated from instructions by operator"


def _facts(export: Export) -> list[tuple[str, str]]:
    """Returns (name, value) of what stands below the charts."""
    model, memory = export.report.get("model", {}), facts.memory(export)
    counts = ", ".join(f"{count} {name}" for name, count in model.get("ops", {}).items())
    firmware_bytes = model.get("firmware_bytes", model.get("compact_bytes", model.get("bytes", 0)))
    rows = [
        ("model", f"{firmware_bytes:,} bytes, {model.get('macs', 0):,} MACs" if model else ""),
        ("operators", counts),
        ("engine", text.engine(export.report) if "engine" in export.report else ""),
        ("kernels", _kernels(export.report)),
        ("decoding boxes", facts.decoding(export)),
        ("arena", f"{memory['arena_bytes']:,} bytes" if memory else ""),
        ("flash is", export.report.get("sizes", "").partition("; ")[2]),
        ("folder", str(export.folder)),
    ]
    return [(label, value) for label, value in [*rows, *_measured(export)] if value]


def _kernels(report: dict[str, Any]) -> str:
    """Returns whose kernels TFLM runs; "" for the compiled engine, which has only ours."""
    return "" if _is_compiled(report) or "kernels" not in report else text.kernels(report["kernels"])


def _measured(export: Export) -> list[tuple[str, str]]:
    """Returns what `tinytrain bench` found out about the answers for the test images."""
    accuracy, found, images = export.bench.get("accuracy"), export.bench.get("boxes"), export.bench.get("images", 0)
    where, figure = facts.measured_where(export), figures.of(export.report.get("task", "classify")).main
    name, of = ("accuracy", "of") if figure.of_images else (figure.label, "on")
    rows = [(f"{name} {where}", f"{facts.percent(accuracy['board'])} {of} {images:,} images")] if accuracy else []
    if found:
        lists = f"{found['different']:,} of {images:,} lists differ from the host's"
        rows.append((f"boxes {where}", f"{lists}, {found['mean']:.1f} boxes an image"))
    return rows


def _usage(export: Export, layout: MemoryMap | None, name: str) -> list[Chart]:
    """Returns the charts of RAM and flash, none if the report lacks their sizes."""
    memory = facts.memory(export)
    if not memory:
        return []
    arena, head = memory["arena_bytes"], layout.head_bytes if layout else 0
    ram = [("activations", head), ("interpreter's records", arena - head)] if 0 < head < arena else [("arena", arena)]
    ram.append(("stack and other", memory["ram_bytes"] - arena))
    return [
        board_charts.usage(f"ram-{name}", "RAM", ram, memory["ram_limit_bytes"]),
        board_charts.usage(f"flash-{name}", "Flash", facts.flash_parts(export), memory["flash_limit_bytes"]),
    ]


def _operator_rows(rows: list[Row], memory: MemoryMap) -> list[OperatorRow]:
    total = sum(row.ms for row in rows) or 1.0
    return [
        OperatorRow(row, int(memory.live_bytes[row.number]), memory.scratch_bytes(row.number), row.ms / total)
        for row in rows
    ]
