"""The main figures of a run and of its exports, read from their reports; None for what is unknown."""

import dataclasses
import math
import re
import shlex
from dataclasses import dataclass

from tinytrain.deploy.memory import Memory
from tinytrain.reporting.runs import Export, Subject
from tinytrain.train import figures
from tinytrain.train.figures import Figure

DEFAULT_BOARD = "stm32f746"  # in commands for a run without any export


@dataclass(frozen=True)
class Latency:
    """The time of an inference in milliseconds, with best and worst case if predicted, and how it was determined."""

    ms: float
    low: float | None
    high: float | None
    how: str

    @property
    def text(self) -> str:
        """The time in words, as exact as it is known: a prediction of hundreds of milliseconds has no tenths."""
        return f"{self.ms:.{self._digits}f} ms"

    @property
    def interval(self) -> str:
        """The interval in words, "" if there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{self.low:.{self._digits}f} to {self.high:.{self._digits}f} ms"

    @property
    def _digits(self) -> int:
        return 0 if self.high is not None and self.high >= 100 else 1


@dataclass(frozen=True)
class Hint:
    """A sentence about what the report lacks, and the command that adds it."""

    text: str
    command: str


def figure(subject: Subject) -> Figure:
    """Returns the figure that models are compared by, 0..1."""
    return figures.of(subject.config.task).main


def float_score(subject: Subject) -> float | None:
    """Returns the figure of the float model on the test images."""
    return subject.metrics.get("test", {}).get(figure(subject).key)


def finetuned_score(export: Export) -> float | None:
    """Returns the figure of the fine-tuned float weights on the test images; None without a fine-tune."""
    return export.report.get("accuracy", {}).get("float_finetuned")


def int8_score(export: Export) -> float | None:
    """Returns the figure of the int8 model on the test images."""
    return export.report.get("accuracy", {}).get("int8")


def memory(export: Export) -> dict[str, int]:
    """Returns the sizes in the section "memory" of report.json in bytes, {} if any of them is unknown."""
    sizes = export.report.get("memory", {})
    is_complete = all(sizes.get(field.name) is not None for field in dataclasses.fields(Memory))
    return sizes if is_complete else {}


def latency(export: Export) -> Latency | None:
    """Returns the latency: measured on the board if `tinytrain bench` ran there, else predicted."""
    measured = export.bench.get("latency", {}).get("milliseconds")
    if measured and not export.bench.get("emulated"):
        return Latency(measured, None, None, f"measured {measured_where(export)}")
    if export.report.get("latency_ms") is None:  # an old report, or a core without a prediction
        return None
    low, high = export.report.get("latency_range_ms") or (None, None)
    counted = export.report.get("emulated", {}).get("instructions")
    how = "predicted from instructions counted in the emulator" if counted else "predicted from the operators"
    return Latency(export.report["latency_ms"], low, high, how)


def measured_where(export: Export) -> str:
    """Returns in words where `tinytrain bench` measured."""
    return "in the emulator" if export.bench.get("emulated") else "on the board"


def decoding(export: Export) -> str:
    """Returns what decoding the boxes of an image takes beside the network, in words; "" if nobody measured it."""
    times = (export.bench.get("boxes") or {}).get("decode", {})
    inference = export.bench.get("latency", {}).get("median")
    if times and inference:
        share = percent(times["median"] / inference, 2)
        counts = f"{times['median']:,.0f} {times['unit']} an image (median)"
        return f"{counts}, {share} of an inference, measured {measured_where(export)}"
    emulated = export.report.get("emulated", {})
    count, inference = emulated.get("decode_instructions"), emulated.get("instructions")
    if not count or not inference:
        return ""
    share = percent(count / inference, 2)
    return f"{count:,} instructions for the golden image, {share} of an inference, counted in the emulator"


def flash_parts(export: Export) -> list[tuple[str, int]]:
    """Returns [(part, bytes)] of the flash: model, runtime and firmware, or the latter two in one if not reported."""
    total = memory(export).get("flash_bytes", 0)
    matches = re.findall(r"([\d,]+) (model|runtime|firmware)\b", export.report.get("sizes", ""))
    parts = [(name, int(size.replace(",", ""))) for size, name in matches]
    if sum(size for _, size in parts) == total:
        return parts
    sizes = export.report.get("model", {})
    model = sizes.get("compact_bytes", sizes.get("bytes", 0))
    return [("model", model), ("runtime and firmware", total - model)]


def training_seconds(subject: Subject) -> float | None:
    """Returns the time of the training in seconds, without validation."""
    seconds = [row["seconds"] for row in subject.history if "seconds" in row]
    return sum(seconds) if seconds else None


def hints(subject: Subject) -> list[Hint]:
    """Returns what a complete report about the run still needs."""
    folder = shlex.quote(str(subject.run.folder))
    if not subject.metrics:
        text = "The run is not finished: there are no test figures yet."
        return [Hint(text, f"tinytrain fit --out {folder} --resume")]
    if not subject.exports:
        text = "The run is not exported: int8 accuracy, memory, latency and whether it is proven are unknown."
        return [Hint(text, f"tinytrain export {folder} --mcu {DEFAULT_BOARD} --diagnose")]
    return []


def export_hints(subject: Subject, export: Export) -> list[Hint]:
    """Returns what a complete report about the export still needs."""
    folder, board = shlex.quote(str(subject.run.folder)), export.report.get("board", DEFAULT_BOARD)
    missing = []
    if not export.report.get("diagnosis"):
        new_folder = shlex.quote(f"{export.folder}-diagnosed")
        command = f"tinytrain export {folder} --mcu {board} --diagnose --out {new_folder}"
        missing.append(Hint("The quantization error of each layer was not measured.", command))
    if not export.bench:
        command = f"tinytrain bench {shlex.quote(str(export.folder))}"
        missing.append(Hint("Nothing was measured on the board or in the emulator.", command))
    return missing


def duration(seconds: float | None) -> str:
    """Returns a time in words, such as "95 s", "12 min" or "2.5 h"."""
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def percent(share: float | None, digits: int = 1) -> str:
    """Returns a share in 0..1 as a percentage, such as "97.2 %"."""
    return "–" if share is None else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def margin(share: float, images: int) -> float:
    """Returns half the width of the 95 % interval of an accuracy `share` on so many images, in 0..1 (Wilson)."""
    z = 1.96
    return z / (1 + z * z / images) * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
