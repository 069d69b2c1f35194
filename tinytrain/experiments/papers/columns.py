"""The columns of the papers' tables: what of a run stands beside a paper's figure. Nothing here imports TensorFlow.

A column is MEASURE[@EPOCH][:DATASET]: val_top1@10 is the val top-1 after the paper's epoch 10, test_top1:food101 is of
the runs on one of several datasets; without a dataset it is the mean over all of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytrain.errors import unknown
from tinytrain.files import read_json
from tinytrain.run import Run


@dataclass(frozen=True)
class Measure:
    """heading: with its unit; scale: ours times this is in that unit; digits: shown behind the point.

    place: where it stands in a run: "test.KEY" and "val.KEY" of metrics.json, "history.KEY" of the last epoch, or the
    name of what is computed below; "" for what this project cannot measure.
    """

    heading: str
    place: str
    scale: float = 1.0
    digits: int = 2


MEASURES = {
    "test_top1": Measure("test top-1 %", "test.top1", 100),
    "test_top5": Measure("test top-5 %", "test.top5", 100),
    "test_balanced_top1": Measure("test top-1 %, mean over classes", "test.balanced_top1", 100),
    "test_map": Measure("test mAP %", "test.map", 100),
    "val_top1": Measure("val top-1 %", "val.top1", 100),
    "last_loss": Measure("training loss, last epoch", "history.loss", digits=4),
    "last_top1": Measure("training top-1 %, last epoch", "history.top1", 100),
    "last_val_loss": Measure("val loss, last epoch", "history.val_loss", digits=4),
    "last_val_top1": Measure("val top-1 %, last epoch", "history.val_top1", 100),
    "epochs": Measure("epochs", "epochs", digits=0),
    "training_hours": Measure("training hours", "hours"),
    "search_minutes": Measure("minutes of search", "search"),
    "ap50": Measure("AP50 %", "", 100),
}


@dataclass(frozen=True)
class Column:
    """One column: the word that names it in the file, its measure, its epoch (0: none) and its dataset ("": all)."""

    word: str
    measure: Measure
    epoch: int = 0
    data: str = ""

    @property
    def heading(self) -> str:
        """What stands above it."""
        at = f", epoch {self.epoch}" if self.epoch else ""
        return f"{self.measure.heading}{at}{f', {self.data}' if self.data else ''}"


def parse(word: str, path: Path) -> Column:
    """Returns the column that `word` means; raises UserError, naming the table's file, for an unknown measure."""
    rest, _, data = word.partition(":")
    name, _, epoch = rest.partition("@")
    if name not in MEASURES or (epoch and not (epoch.isdecimal() and name == "val_top1")):
        raise unknown(f"column in '{path}'", word, MEASURES)
    return Column(word, MEASURES[name], int(epoch or 0), data)


def value(column: Column, run: Run, share: float) -> float | None:
    """Returns the figure of a finished run in the unit of the column; None for what was not measured.

    share: epochs of the run over those of the paper, which the column's epoch is multiplied by.
    """
    found = _read(column, run, share)
    return None if found is None else column.measure.scale * found


def _read(column: Column, run: Run, share: float) -> float | None:
    kind, _, name = column.measure.place.partition(".")
    if column.epoch:
        rows = run.history()
        number = min(max(round(column.epoch * share), 1), len(rows))
        return float(rows[number - 1]["val_top1"])
    if kind == "history":
        return float(run.history()[-1][name])
    if kind in ("test", "val"):
        return run.metrics()[kind].get(name)
    return COMPUTED[kind](run) if kind else None


def _search_minutes(run: Run) -> float | None:
    found = read_json(run.search_path) if run.search_path.is_file() else {}
    return found["seconds"] / 60 if found else None


COMPUTED: dict[str, Any] = {
    "epochs": lambda run: run.metrics()["epochs"],
    "hours": lambda run: sum(float(row["seconds"]) for row in run.history()) / 3600,
    "search": _search_minutes,
}
