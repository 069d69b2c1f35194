"""What is known of a .tflite: that it is an export of ours, and so its classes and how its images were prepared.

`report.json` beside the file says it, and the run that the file stands in.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinytrain.config.schema import Config
from tinytrain.data import boxes, identity
from tinytrain.deploy.decode import description, of_config
from tinytrain.deploy.exported_model import COMPACT_FILE, MODEL_FILE, REPORT_FILE, check_file, read_report
from tinytrain.run import Run
from tinytrain.tflite import pixels


@dataclass(frozen=True)
class Origin:
    """The origin of a .tflite; empty where it is made elsewhere.

    run: the finished run that it was exported from, if it stands in it; classes: their names in order; resize: how an
    image was brought to the size of its input; pixels: the keys of [export] that say what pixels are to it; keys: those
    that say what its outputs are, {dotted key: value}.
    """

    run: Run | None = None
    classes: tuple[str, ...] = ()
    resize: str = ""
    pixels: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)


def of(path: Path) -> Origin:
    """Returns what is known of the .tflite at `path`."""
    report = report_beside(path)
    run = None if Path(str(report.get("source", ""))).suffix == ".tflite" else _run_above(path)
    entry = report.get("input", {})
    classes = report.get("classes") or (identity.classes_of(run) if run else [])
    resize = entry.get("resize") or (str(run.config().data.resize) if run else "")
    return Origin(run, tuple(classes), resize, pixels.keys_of(entry), _keys(report, run))


def _keys(report: dict[str, Any], run: Run | None) -> dict[str, Any]:
    """Returns the keys that say what the outputs of a detector are; {} for a classifier."""
    if "decoder" in report:
        return of_config.keys(description.read(report["decoder"]))
    config = run.config() if run else Config()
    if config.task not in boxes.TASKS:
        return {}
    of_detect = {f"detect.{name}": value for name, value in dataclasses.asdict(config.detect).items()}
    return {"task": config.task, "model.resolution": config.model.resolution, **of_detect}


def report_beside(path: Path) -> dict[str, Any]:
    """Returns the report.json of the export that the .tflite at `path` is a model of, {} if it is of none.

    Raises UserError if the file is not the one that the report was written with.
    """
    try:
        report = read_report(path.parent / REPORT_FILE)
    except (OSError, ValueError):
        return {}
    if path.name not in (MODEL_FILE, COMPACT_FILE) or "model" not in report:
        return {}
    check_file(path, report)
    return report


def _run_above(path: Path) -> Run | None:
    for folder in path.resolve().parents[:3]:
        if (folder / "config.toml").is_file() and (folder / "metrics.json").is_file():
            return Run(folder)
    return None
