"""What `tinytrain reproduce` prints: the paper's figures, ours, their difference, and whether the order holds.

The order is that of the column `order` of the table. D being our difference of two arms on each seed that both have,
it has the "same sign" as the paper's or the "other sign" if the 95 % t interval of the mean of D (`paired.interval`)
leaves out 0; else "no difference shown". It is about other seeds on the same images, not about other images. With one
seed nothing can be said.
"""

import functools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import scipy.stats

from tinytrain import tables
from tinytrain.config.schema import Config
from tinytrain.experiments import paired, results_table
from tinytrain.experiments.papers import columns
from tinytrain.experiments.papers.columns import Column
from tinytrain.experiments.papers.tables import Arm, Table
from tinytrain.experiments.runs import Planned
from tinytrain.files import write_text
from tinytrain.run import Run

Row: TypeAlias = dict[str, Any]
NOTHING = "nothing can be said"
HEADER = ("arm", "figure", "paper", "ours", "difference", "seeds")


@dataclass(frozen=True)
class Shown:
    """A table and what is finished of it.

    papers: by the folder of a run, its config at full size; datasets: what a dataset is called here -> in the paper.
    """

    table: Table
    finished: list[Planned]
    papers: Mapping[Path, Config]
    datasets: Mapping[str, str]

    def values(self, arm: Arm, column: Column) -> dict[int, float]:
        """Returns {seed: figure} of an arm; of several datasets the mean, on the seeds that have all of them."""
        wanted = [name for name, dataset in self.datasets.items() if column.data in ("", dataset)]
        found: dict[int, list[float]] = {}
        for planned in self.finished:
            if planned.name == arm.label and planned.data in wanted:
                value = self.value(planned, column)
                if value is not None:
                    found.setdefault(planned.seed, []).append(value)
        return {seed: statistics.mean(values) for seed, values in found.items() if len(values) == len(wanted)}

    def value(self, planned: Planned, column: Column) -> float | None:
        """Returns the figure of one run in the column's unit."""
        share = planned.config.optim.epochs / self.papers[planned.folder].optim.epochs
        return columns.value(column, Run(planned.folder), share)


class Results:
    """The finished runs, and results.csv, table.csv and table.md in `out`, rewritten whenever one is added.

    Args:
        out: the folder of the three files.
        shown: the table, without a finished run.
        stated: what is said of how ours differs from the paper's experiment.
    """

    def __init__(self, out: Path, shown: Shown, stated: list[str]) -> None:
        self.out, self.shown, self.stated = out, shown, stated
        self.runs: list[results_table.Row] = []  # the lines of results.csv
        self.rows: list[Row] = []  # those of table.csv
        self.text = ""  # table.md

    def add(self, planned: Planned, run: Run) -> None:
        """Adds a finished run and writes the files."""
        self.runs.append(results_table.run_row(planned.name, planned.data, planned.seed, run))
        self.shown.finished.append(planned)
        self.rows = rows(self.shown)
        said = [*self.stated, images(self.shown), results_table.origins(self.runs)]
        self.text = as_markdown(self.shown, self.rows, said)
        results_table.write_csv(self.out / "results.csv", self.runs)
        results_table.write_csv(self.out / "table.csv", self.rows)
        write_text(self.out / "table.md", self.text + "\n")


def rows(shown: Shown) -> list[Row]:
    """Returns a row for each arm and column that the paper or we have a figure for.

    {"arm", "column", "heading", "paper", "ours", "deviation", "difference", "seeds"}: figures in the column's unit,
    None where there is none; the sample standard deviation over the seeds is None with one seed.
    """
    found = []
    for arm in shown.table.arms:
        for column in shown.table.columns:
            values = list(shown.values(arm, column).values())
            paper, ours = arm.paper.get(column.word), statistics.mean(values) if values else None
            if paper is None and ours is None:
                continue
            found.append(
                {
                    "arm": arm.label,
                    "column": column.word,
                    "heading": column.heading,
                    "paper": paper,
                    "ours": ours,
                    "deviation": statistics.stdev(values) if len(values) > 1 else None,
                    "difference": None if paper is None or ours is None else ours - paper,
                    "seeds": len(values),
                }
            )
    return found


def as_markdown(shown: Shown, table_rows: list[Row], stated: list[str]) -> str:
    """Returns title, what is `stated` of ours, the table and what it says of the order, in Markdown."""
    digits = {column.word: column.measure.digits for column in shown.table.columns}
    cells = [_cells(row, digits[row["column"]]) for row in table_rows]
    table = tables.markdown([HEADER, *cells], "<<" + ">" * (len(HEADER) - 2))
    claim = [f"Claim: {shown.table.claim}"] if shown.table.claim else []
    return "\n\n".join(
        [f"**{shown.table.heading}**", *claim, "\n".join(f"- {line}" for line in stated), table, *order(shown)]
    )


def _cells(row: Row, digits: int) -> tuple[str, ...]:
    def number(value: float | None, sign: str = "") -> str:
        return "" if value is None else f"{value:{sign}.{digits}f}"

    spread = "" if row["deviation"] is None else f" ± {number(row['deviation'])}"
    ours = number(row["ours"]) + spread or "not run"
    seeds = str(row["seeds"]) if row["seeds"] else ""
    return row["arm"], row["heading"], number(row["paper"]), ours, number(row["difference"], "+"), seeds


def images(shown: Shown) -> str:
    """Returns what was trained: epochs, images, resolution and batch of each run, those of the paper in brackets."""
    said: dict[str, list[str]] = {}
    for planned in shown.finished:
        run, whole = Run(planned.folder), shown.papers[planned.folder].optim.epochs
        counts, config = _counts(planned.folder), run.config()
        epochs, most = run.metrics()["epochs"], planned.config.optim.epochs
        early = f" (ended by itself after {epochs})" if epochs < most else ""
        text = (
            f"{most} of {whole} epochs{early}, {counts['train']:,} training, {counts['val']:,} val and "
            f"{counts['test']:,} test images of {planned.data} at {config.model.resolution} pixels, "
            f"batch {config.optim.batch}"
        )
        said.setdefault(text, []).append(planned.name)
    arms = [arm.label for arm in shown.table.arms]
    parts = []
    for text, names in said.items():
        unique = list(dict.fromkeys(names))
        parts.append(text if len(unique) == len(arms) else f"{', '.join(unique)}: {text}")
    at = " A figure of the paper's epoch N is ours of epoch N times that share." if _scaled_epochs(shown) else ""
    return "Trained: " + "; ".join(parts) + f".{at}"


@functools.cache
def _counts(folder: Path) -> dict[str, int]:
    """Returns the images of each split of a finished run."""
    return {name: len(found) for name, found in Run(folder).split().items()}


def _scaled_epochs(shown: Shown) -> bool:
    shorter = any(run.config.optim.epochs < shown.papers[run.folder].optim.epochs for run in shown.finished)
    return shorter and any(column.epoch for column in shown.table.columns)


def order(shown: Shown) -> list[str]:
    """Returns paragraphs on the column `order`: arm by arm against the one it is held against, then all pairs."""
    column = next(column for column in shown.table.columns if column.word == shown.table.order)
    compared = [arm for arm in shown.table.arms if column.word in arm.paper and shown.values(arm, column)]
    if len(compared) < 2:
        return []
    by_label = {arm.label: arm for arm in compared}
    lines = [
        f"- {arm.label} against {arm.against}: paper {arm.paper[column.word] - other.paper[column.word]:+.2f}, "
        f"{_verdict(shown, arm, other, column)}"
        for arm in compared
        if (other := by_label.get(arm.against)) and other is not arm
    ]
    return [f"Order in {column.heading}:", "\n".join(lines), _pairs(shown, compared, column)]


def _verdict(shown: Shown, arm: Arm, other: Arm, column: Column) -> str:
    ours, sign = _differences(shown, arm, other, column), arm.paper[column.word] - other.paper[column.word]
    spread = f" ± {statistics.stdev(ours):.2f}" if len(ours) > 1 else ""
    text = f"ours {statistics.mean(ours):+.2f}{spread} ({_seeds(len(ours))}): " if ours else "ours not run"
    return text + (judged(ours, sign) if ours else "")


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def judged(ours: list[float], paper: float) -> str:
    """Returns the words for differences `ours`, one a seed, beside that of the paper; see the module's docstring."""
    if paper == 0:
        return "the paper has no difference"
    if len(ours) == 1:
        return NOTHING
    found = paired.interval(ours)
    if found is None:
        return f"{NOTHING} (all seeds differ by the same)" if any(ours) else "no difference shown (none in any seed)"
    word = {0: "no difference shown", 1: "same sign", -1: "other sign"}[paired.sign(ours) * (1 if paper > 0 else -1)]
    return f"{word} (95 % interval {found[0]:+.2f} to {found[1]:+.2f})"


def _differences(shown: Shown, arm: Arm, other: Arm, column: Column) -> list[float]:
    mine, theirs = shown.values(arm, column), shown.values(other, column)
    return [mine[seed] - theirs[seed] for seed in mine if seed in theirs]


def _pairs(shown: Shown, compared: list[Arm], column: Column) -> str:
    words: dict[str, int] = {}
    for number, arm in enumerate(compared):
        for other in compared[:number]:
            ours, sign = _differences(shown, arm, other, column), arm.paper[column.word] - other.paper[column.word]
            if ours and sign:
                word = judged(ours, sign).partition(" (")[0]
                words[word] = words.get(word, 0) + 1
    total = sum(words.values())
    if not total:
        return "No two arms can be compared yet."
    if words.keys() == {NOTHING}:
        return "With one seed nothing can be said of the order of the arms."
    counted = ", ".join(f"{count} {word}" for word, count in sorted(words.items(), key=lambda item: -item[1]))
    paper = [arm.paper[column.word] for arm in compared]
    ours = [statistics.mean(shown.values(arm, column).values()) for arm in compared]
    rank = f"; Spearman's rank correlation with the paper {spearman(paper, ours):+.2f}" if len(compared) > 2 else ""
    return f"Of {total} {'pair' if total == 1 else 'pairs'} of arms: {counted}{rank}."


def spearman(first: list[float], second: list[float]) -> float:
    """Returns Spearman's rank correlation of two lists, equal values having their mean rank; 0 if one is constant."""
    if len(set(first)) == 1 or len(set(second)) == 1:
        return 0.0
    return float(scipy.stats.spearmanr(first, second).statistic)
