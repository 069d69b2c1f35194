"""Reads what a report is about: run folders and the exports in them, as far as their files exist."""

import csv
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytrain import provenance
from tinytrain.config.schema import Config
from tinytrain.deploy.exported import BENCH_FILE
from tinytrain.deploy.exported_model import REPORT_FILE, check_files, read_report
from tinytrain.errors import UserError
from tinytrain.run import Run


@dataclass(frozen=True)
class Export:
    """A folder that `tinytrain export` wrote, with its report.json and bench.json; a missing file is {}."""

    folder: Path
    report: dict[str, Any]
    bench: dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A run in a report, with its name there and the content of its folder; missing files are {} or []."""

    name: str
    run: Run
    config: Config
    metrics: dict[str, Any]
    history: list[dict[str, float]]
    provenance: dict[str, Any]
    split: dict[str, list[str]]
    search: dict[str, Any]
    exports: list[Export]


def read(folders: list[Path]) -> list[Subject]:
    """Returns the runs in `folders`.

    Raises:
        UserError: for a folder that is not a run, a file that cannot be read, and a folder that is given twice.
    """
    return [_subject(Run.open(folder), name) for folder, name in zip(folders, names(folders), strict=True)]


def names(folders: list[Path]) -> list[str]:
    """Returns a name for each folder: its last part if these differ, else its path below their common folder.

    Raises:
        UserError: if a folder is given twice.
    """
    paths = [Path(os.path.abspath(folder)) for folder in folders]
    if repeated := [str(path) for path, count in Counter(paths).items() if count > 1]:
        raise UserError(f"the run '{repeated[0]}' is named twice: a report shows each run once")
    short = [path.name for path in paths]
    if len(set(short)) == len(short):
        return short
    return [str(path.relative_to(os.path.commonpath(paths))) for path in paths]


def _subject(run: Run, name: str) -> Subject:
    return Subject(
        name=name,
        run=run,
        config=run.config(),
        metrics=_json(run.metrics_path) if run.finished else {},
        history=_read(run.history_path, _rows) or [],
        provenance=_read(run.origin_path, lambda _: provenance.read(run)) or {},
        split=run.split() if run.images_path.is_file() else _json(run.split_path),
        search=_json(run.folder / "search.json"),
        exports=list(filter(_is_of_board, map(_export, _export_folders(run)))),
    )


def _export_folders(run: Run) -> list[Path]:
    """Returns the folders in a run that hold an export; a hidden one is half written."""
    return [path.parent for path in sorted(run.folder.glob(f"[!.]*/{REPORT_FILE}"))]


def _is_of_board(export: Export) -> bool:
    """Returns whether an export is for a board: the page is about memory, latency and kernels there."""
    return "runtime" not in export.report


def _export(folder: Path) -> Export:
    report = _read(folder / REPORT_FILE, read_report) or {}
    check_files(folder, report)
    return Export(folder, report, _json(folder / BENCH_FILE))


def _json(path: Path) -> dict[str, Any]:
    return _read(path, _object) or {}


def _object(path: Path) -> dict[str, Any]:
    """Returns the JSON object in a file; raises ValueError for any other JSON."""
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, expected an object")
    return content


def _rows(path: Path) -> list[dict[str, float]]:
    """Returns the rows of history.csv without their empty cells; raises ValueError for a cell that is no number."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [{name: float(cell) for name, cell in row.items() if cell} for row in rows]


def _read(path: Path, read: Callable[[Path], Any]) -> Any:
    """Returns what `read` returns for a file, None if there is no such file.

    Raises:
        UserError: if the file cannot be read.
    """
    try:
        return read(path) if path.is_file() else None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"cannot read '{path}': {error}; write it again, or remove it to leave it out") from None
