"""The model of a folder that `tinytrain export` wrote, read back: report.json and the two .tflite files."""

import json
import math
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tinytrain.deploy.decode import description
from tinytrain.deploy.decode.boxes import Decoder
from tinytrain.deploy.tflm import supported
from tinytrain.errors import UserError, near, shown
from tinytrain.files import refuse_links
from tinytrain.quiet import quiet
from tinytrain.tflite.model import Model

MODEL_FILE, COMPACT_FILE = "model.tflite", "model.compact.tflite"  # what TensorFlow reads; all that TFLM reads
REPORT_FILE = "report.json"
_PREFIXES = {MODEL_FILE: "", COMPACT_FILE: "compact_"}  # of the keys in the section "model" of report.json

_FIGURES = ("accuracy", "memory", "parity")  # sections of numbers, unknown ones null
_SECTIONS = (
    *_FIGURES,
    "decoder",
    "diagnosis",
    "emulated",
    "engine",
    "input",
    "kernels",
    "latency_basis",
    "model",
    "tensorflow_lite",
)


def read_report(path: Path) -> dict[str, Any]:
    """Returns the report.json at `path`, of this version or an older one, which lacks some keys.

    Raises OSError, or ValueError if a section of it is not of the type that `tinytrain export` writes.
    """
    try:
        report = json.loads(path.read_text())
    except RecursionError:
        raise ValueError("its lists are nested too deeply") from None
    if not isinstance(report, dict):
        raise ValueError(f"{REPORT_FILE} holds a {type(report).__name__}, expected an object")
    objects = {name: report.get(name, {}) for name in _SECTIONS}
    texts = {name: report.get(name, []) for name in ("classes", "unproven")}
    interval = report.get("latency_range_ms") or [0, 0]
    sound = {
        **{name: isinstance(section, dict) for name, section in objects.items()},
        **{name: isinstance(section, list) and _are(section, str) for name, section in texts.items()},
        "outputs": isinstance(outputs := report.get("outputs", []), list) and _are(outputs, dict),
        "latency_ms": _are([report.get("latency_ms")], int | float | None),
        "latency_range_ms": isinstance(interval, list) and len(interval) == 2 and _are(interval, int | float),
    }
    for name, is_sound in sound.items():
        values = objects[name] | {"val": None, "of": None} if is_sound and name in _FIGURES else {}
        if not is_sound or not _are(values.values(), int | float | None):
            raise ValueError(f"'{name}' in {REPORT_FILE} is {shown(report[name])}, which no export writes")
    return report


def _are(values: Iterable[Any], kind: Any) -> bool:
    return all(isinstance(value, kind) for value in values)


def file_section(model: bytes, compact: bytes) -> dict[str, Any]:
    """Returns what the section "model" of report.json holds of both files: sizes and CRC-32, by which damage shows."""
    section: dict[str, Any] = {}
    for prefix, content in ((_PREFIXES[MODEL_FILE], model), (_PREFIXES[COMPACT_FILE], compact)):
        section |= {f"{prefix}bytes": len(content), f"{prefix}crc32": f"{zlib.crc32(content):08x}"}
    return section


def check_file(path: Path, report: dict[str, Any]) -> None:
    """Raises UserError unless the .tflite at `path` is the one that `tinytrain export` wrote with this report.

    An older report has no CRC-32: what it does not say is not checked.
    """
    content, section, prefix = path.read_bytes(), report.get("model", {}), _PREFIXES[path.name]
    size, crc = section.get(f"{prefix}bytes", len(content)), f"{zlib.crc32(content):08x}"
    if size != len(content):
        difference = f"it has {len(content):,} bytes, {shown(size)} in {REPORT_FILE}"
    elif section.get(f"{prefix}crc32", crc) != crc:
        difference = f"its CRC-32 is {crc}, {section[f'{prefix}crc32']} in {REPORT_FILE}"
    else:
        return
    raise UserError(f"'{path}' is damaged, or is another model ({difference}): export again")


def check_files(folder: Path, report: dict[str, Any]) -> None:
    """Raises UserError as `check_file` does, for both .tflite files of an export as far as they are there."""
    for name in _PREFIXES:
        if (folder / name).is_file():
            check_file(folder / name, report)


def damaged(folder: Path, reason: Exception) -> UserError:
    """Returns the error for an export that is not as it was written."""
    return UserError(f"'{folder}' is damaged ({reason}): export again")


def refuse_incomplete(folder: Path, needed: Sequence[str]) -> None:
    """Raises UserError unless `folder` has these files of an export, and no link that leads out of it."""
    if missing := [name for name in needed if not (folder / name).exists()]:
        what = f"lacks {', '.join(missing)}" if folder.is_dir() else "does not exist"
        inside = sorted(folder.glob("export-*"))
        meant = f"; did you mean '{inside[0]}'?" if inside else near(folder)
        raise UserError(f"'{folder}' {what}: give the folder that `tinytrain export` wrote{meant}")
    refuse_links(folder)


def check_decoder(decoder: Decoder | None, sizes: list[int], what: str) -> None:
    """Raises ValueError if a detector's outputs, which have so many values in `what`, are not those that it decodes."""
    expected = sizes if decoder is None else [math.prod(shape) for shape in decoder.shapes]
    if sizes != expected:
        raise ValueError(f"its decoder expects outputs of {expected} values, {what} holds {sizes}")


@dataclass(frozen=True)
class ExportedModel:
    """The model of an export, read back.

    Attributes:
        model: the .tflite with all that TFLM reads; what the firmware holds is derived from it.
        decoder: of a detector, how boxes follow from the outputs.
    """

    folder: Path
    report: dict[str, Any]
    model: bytes
    decoder: Decoder | None

    @classmethod
    def open(cls, folder: Path) -> "ExportedModel":
        """Returns the model of the export in `folder`; raises UserError if it holds none, or a damaged one."""
        refuse_incomplete(folder, (REPORT_FILE, COMPACT_FILE))
        try:
            report = read_report(folder / REPORT_FILE)
            decoder = description.read(report["decoder"]) if report.get("decoder") else None
        except (ValueError, OSError) as error:
            raise damaged(folder, error) from None
        check_files(folder, report)
        return ExportedModel(folder, report, (folder / COMPACT_FILE).read_bytes(), decoder)

    @property
    def task(self) -> str:
        """What the model was trained for; an older report does not say so."""
        task: str = self.report.get("task", "classify")
        return task

    @cached_property
    def summary(self) -> Model:
        """The model as TFLM's interpreter runs it on the host, parsed. Starts TensorFlow, which has the format."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        with quiet():
            return supported.parse(self.model, f"'{self.folder / COMPACT_FILE}'")
