"""What is known of a .tflite: that it is an export of ours, and so its classes and how its images were prepared.

`report.json` beside the file says it, and the run that the file stands in.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinytrain.data import identity
from tinytrain.deploy.exported import COMPACT_FILE, MODEL_FILE, REPORT_FILE, read_report
from tinytrain.run import Run
from tinytrain.tflite import pixels


@dataclass(frozen=True)
class Origin:
    """The origin of a .tflite; empty where it is made elsewhere.

    run: the finished run that it was exported from, if it stands in it; classes: their names in order; resize: how an
    image was brought to the size of its input; pixels: the keys of [export] that say what pixels are to it.
    """

    run: Run | None = None
    classes: tuple[str, ...] = ()
    resize: str = ""
    pixels: dict[str, Any] = field(default_factory=dict)


def of(path: Path) -> Origin:
    """Returns what is known of the .tflite at `path`."""
    report = report_beside(path)
    run = None if Path(str(report.get("source", ""))).suffix == ".tflite" else _run_above(path)
    entry = report.get("input", {})
    classes = report.get("classes") or (identity.classes_of(run) if run else [])
    resize = entry.get("resize") or (str(run.config().data.resize) if run else "")
    return Origin(run, tuple(classes), resize, pixels.keys_of(entry))


def report_beside(path: Path) -> dict[str, Any]:
    """Returns the report.json of the export that the .tflite at `path` is a model of, {} if it is of none."""
    key = {MODEL_FILE: "bytes", COMPACT_FILE: "compact_bytes"}.get(path.name)
    try:
        report = read_report(path.parent / REPORT_FILE)
        return report if key and report["model"][key] == path.stat().st_size else {}
    except (OSError, ValueError, KeyError):
        return {}


def _run_above(path: Path) -> Run | None:
    for folder in path.resolve().parents[:3]:
        if (folder / "config.toml").is_file() and (folder / "metrics.json").is_file():
            return Run(folder)
    return None
