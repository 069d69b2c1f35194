"""The columns of the papers' tables: which figure of a run compares to a paper's figure. TensorFlow is not imported.

A column is written MEASURE[@EPOCH][:DATASET]. val_top1@10 is the val top-1 after epoch 10 of the paper, and
test_top1:food101 that of the runs on one of several datasets. Without a dataset it is the mean over all of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytrain.errors import unknown
from tinytrain.files import read_json
from tinytrain.run import Run


@dataclass(frozen=True)
class Measure:
    """A figure of a run.

    Attributes:
        heading: its name, with its unit.
        source: where it comes from: "test.KEY" and "val.KEY" of metrics.json, "history.KEY" of the last epoch, or a key
            of COMPUTED; "network.KEY" for what an untrained network is measured by (deployed.py); "" for what this
            project cannot measure.
        scale: the factor from our unit to that of the heading.
        digits: the number of decimals shown.
        note: a sentence that stands above a table with such a column; "" for none.
    """

    heading: str
    source: str
    scale: float = 1.0
    digits: int = 2
    note: str = ""

    @property
    def of_network(self) -> bool:
        """Whether it is measured of an untrained network."""
        return self.source.startswith("network.")

    @property
    def is_top1(self) -> bool:
        """Whether it is a top-1 in percent, which guessing would reach a known share of."""
        return self.source.endswith("top1")


VOC07_NOTE = (
    "AP50 by 11 points (VOC 2007) is compared with the paper's, because GluonCV, whose detector the authors ported, "
    "measures it that way; the paper does not say which of three definitions it uses. results.csv has the others, too."
)
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
    "ap50": Measure(
        "AP50 % (101 points)", "test.ap50", 100, note="AP50 by 101 points is computed as in COCO's own code."
    ),
    "ap50_voc07": Measure("AP50 % (11 points)", "test.ap50_voc07", 100, note=VOC07_NOTE),
    "gmacs": Measure("GFLOPs (multiply-accumulates)", "network.macs", 1e-9, 4),
    "mparams": Measure("parameters, millions", "network.params", 1e-6),
    "fps": Measure("FPS", "network.fps", digits=1),
    "latency_ms": Measure("latency ms", "network.latency_ms"),
}


@dataclass(frozen=True)
class Column:
    """A column: how the table's file writes it, its measure, its epoch (0: none) and its dataset ("": all)."""

    name: str
    measure: Measure
    epoch: int = 0
    data: str = ""

    @property
    def heading(self) -> str:
        """The heading with epoch and dataset."""
        epoch_text = f", epoch {self.epoch}" if self.epoch else ""
        return f"{self.measure.heading}{epoch_text}{f', {self.data}' if self.data else ''}"


def parse(name: str, path: Path) -> Column:
    """Returns the column that the table's file `path` writes as `name`; raises UserError for an unknown measure."""
    before_data, _, data = name.partition(":")
    measure, _, epoch = before_data.partition("@")
    if measure not in MEASURES or (epoch and not (epoch.isdecimal() and measure == "val_top1")):
        raise unknown(f"column in '{path}'", name, MEASURES)
    return Column(name, MEASURES[measure], int(epoch or 0), data)


def value(column: Column, run: Run, share: float) -> float | None:
    """Returns the figure of a finished run in the unit of the column, None if it was not measured.

    Args:
        column: the column.
        run: the run.
        share: the epochs of the run over those of the paper; the epoch of the column is multiplied by it.
    """
    figure = _read(column, run, share)
    return None if figure is None else column.measure.scale * figure


def _read(column: Column, run: Run, share: float) -> float | None:
    kind, _, name = column.measure.source.partition(".")
    if column.epoch:
        rows = run.history()
        number = min(max(round(column.epoch * share), 1), len(rows))
        return float(rows[number - 1]["val_top1"]) if "val_top1" in rows[0] else None
    if kind == "history":
        last = run.history()[-1]
        return float(last[name]) if name in last else None
    if kind in ("test", "val"):
        return run.metrics()[kind].get(name)  # None of a network for another task
    return COMPUTED[kind](run) if kind else None


def _search_minutes(run: Run) -> float | None:
    search = read_json(run.search_path) if run.search_path.is_file() else {}
    return search["seconds"] / 60 if search else None


COMPUTED: dict[str, Any] = {
    "epochs": lambda run: run.metrics()["epochs"],
    "hours": lambda run: sum(float(row["seconds"]) for row in run.history()) / 3600,
    "search": _search_minutes,
}
