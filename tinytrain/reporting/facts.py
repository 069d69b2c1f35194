"""The figures that are asked for first, of a run and of its exports, wherever they stand; None for what is unknown."""

import dataclasses
import re
import shlex
from dataclasses import dataclass

from tinytrain.deploy.memory import Memory
from tinytrain.reporting.runs import Export, Subject

USUAL_BOARD = "stm32f746"  # in advice to somebody who has not named one


@dataclass(frozen=True)
class Latency:
    """Milliseconds of an inference, best and worst case (None if measured), and where the figure comes from."""

    ms: float
    low: float | None
    high: float | None
    how: str

    @property
    def interval(self) -> str:
        """The interval in words."""
        return f"{self.low:.1f} to {self.high:.1f} ms" if self.low is not None and self.high is not None else ""


@dataclass(frozen=True)
class Todo:
    """What is not in the report, and the command that brings it there."""

    what: str
    command: str


def float_top1(subject: Subject) -> float | None:
    """Returns the top-1 of the float model on the test images, 0..1."""
    return subject.metrics.get("test", {}).get("top1")


def finetuned_top1(export: Export) -> float | None:
    """Returns the top-1 of the fine-tuned weights in float on the test images, 0..1; None without a fine-tune."""
    return export.report.get("accuracy", {}).get("float_finetuned")


def int8_top1(export: Export) -> float | None:
    """Returns the top-1 of the int8 model on the test images, 0..1."""
    return export.report.get("accuracy", {}).get("int8")


def memory(export: Export) -> dict[str, int]:
    """Returns the section "memory" of report.json in bytes, {} if it is not whole or the arena is unknown."""
    found = export.report.get("memory", {})
    whole = all(found.get(field.name) is not None for field in dataclasses.fields(Memory))
    return found if whole else {}


def latency(export: Export) -> Latency | None:
    """Returns the latency: measured on the board if `tinytrain bench` ran there, else predicted."""
    measured = export.bench.get("latency", {}).get("milliseconds")
    if measured and not export.bench.get("emulated"):
        return Latency(measured, None, None, f"measured {place(export)}")
    if export.report.get("latency_ms") is None:  # not there, or of a core that no prediction is known for
        return None
    low, high = export.report.get("latency_range_ms") or (None, None)
    counted = export.report.get("emulated", {}).get("instructions")
    how = "predicted from instructions counted in the emulator" if counted else "predicted from the operators"
    return Latency(export.report["latency_ms"], low, high, how)


def place(export: Export) -> str:
    """Returns where `tinytrain bench` measured, in words."""
    return "in the emulator" if export.bench.get("emulated") else "on the board"


def flash_parts(export: Export) -> list[tuple[str, int]]:
    """Returns [(part, bytes)] of what lies in flash: model, runtime, firmware, if the report tells them apart."""
    total = memory(export).get("flash_bytes", 0)
    found = re.findall(r"([\d,]+) (model|runtime|firmware)\b", export.report.get("sizes", ""))
    parts = [(name, int(size.replace(",", ""))) for size, name in found]
    if sum(size for _, size in parts) == total:
        return parts
    sizes = export.report.get("model", {})
    model = sizes.get("compact_bytes", sizes.get("bytes", 0))
    return [("model", model), ("runtime and firmware", total - model)]


def training_seconds(subject: Subject) -> float | None:
    """Returns how long the training took, without validation."""
    seconds = [row["seconds"] for row in subject.history if "seconds" in row]
    return sum(seconds) if seconds else None


def todos(subject: Subject) -> list[Todo]:
    """Returns what the run would have to go through for a whole report."""
    folder = shlex.quote(str(subject.run.folder))
    if not subject.metrics:
        what = "The run is not finished: there are no test figures yet."
        return [Todo(what, f"tinytrain fit --out {folder} --resume")]
    if not subject.exports:
        what = "The run is not exported: int8 accuracy, memory, latency and parity are unknown."
        return [Todo(what, f"tinytrain export {folder} --mcu {USUAL_BOARD} --diagnose")]
    return []


def export_todos(subject: Subject, export: Export) -> list[Todo]:
    """Returns what the export lacks for a whole report."""
    folder, board = shlex.quote(str(subject.run.folder)), export.report.get("board", USUAL_BOARD)
    lacking = []
    if not export.report.get("diagnosis"):
        another = shlex.quote(f"{export.folder}-diagnosed")
        command = f"tinytrain export {folder} --mcu {board} --diagnose --out {another}"
        lacking.append(Todo("The quantization error of each layer was not measured.", command))
    if not export.bench:
        command = f"tinytrain bench {shlex.quote(str(export.folder))}"
        lacking.append(Todo("Nothing was measured on the board or in the emulator.", command))
    return lacking


def duration(seconds: float | None) -> str:
    """Returns a time to read."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def percent(share: float | None, digits: int = 1) -> str:
    """Returns a share in 0..1 as per cent to read."""
    return "–" if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"
