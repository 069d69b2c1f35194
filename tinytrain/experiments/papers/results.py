"""The results of `tinytrain reproduce`: the paper's figures, ours, their difference, and whether the order agrees.

The order is that of the table's column `order`. For two arms, D is our difference on each seed that both have. If the
95 % t interval of the mean of D (`paired.interval`) leaves out 0, the difference has the "same sign" as the paper's or
the "other sign"; else they "cannot be told apart". This is about other seeds on the same images, not about other
images. Nothing can be said with one seed.
"""

import functools
import statistics
from collections.abc import Mapping, Sequence
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
from tinytrain.experiments.planned import Planned
from tinytrain.files import write_readme, write_text
from tinytrain.run import Run

Row: TypeAlias = dict[str, Any]
NO_VERDICT = "nothing can be said"
TITLE = "A table of a paper, trained again by `tinytrain reproduce`"
FILES = {
    "ARM/DATA/seedK/": "one run of `tinytrain fit` each; its README.txt explains its files",
    "results.csv": "one row for each finished run",
    "budget.json": "with --budget time: the processor time of a step and the epochs of each arm",
    "table.csv": "one row for each arm and figure: the paper's, ours, and their difference",
    "table.md": "the same as a text: how ours differs from the paper's, the order of the arms, and the command",
    "figures/": "the pictures of the table",
}
HEADER = ("arm", "figure", "paper", "ours", "difference", "seeds")


@dataclass(frozen=True)
class Reproduction:
    """A table and its finished runs.

    Attributes:
        table: the paper's table.
        finished: the finished runs.
        full_size: {folder of a run: its config at full size}.
        datasets: {name of a dataset here: the name of the paper's dataset}.
    """

    table: Table
    finished: list[Planned]
    full_size: Mapping[Path, Config]
    datasets: Mapping[str, str]

    def values(self, arm: Arm, column: Column) -> dict[int, float]:
        """Returns {seed: figure} of an arm; over several datasets it is the mean, for seeds with a run on each."""
        datasets = [name for name, dataset in self.datasets.items() if column.data in ("", dataset)]
        figures: dict[int, list[float]] = {}
        for planned in self.finished:
            if planned.name == arm.label and planned.data in datasets:
                value = self.value(planned, column)
                if value is not None:
                    figures.setdefault(planned.seed, []).append(value)
        return {seed: statistics.mean(values) for seed, values in figures.items() if len(values) == len(datasets)}

    def value(self, planned: Planned, column: Column) -> float | None:
        """Returns the figure of one run in the unit of the column."""
        share = planned.config.optim.epochs / self.full_size[planned.folder].optim.epochs
        return columns.value(column, Run(planned.folder), share)


class Results:
    """The results of a reproduction, and its files results.csv, table.csv, table.md and README.txt.

    Args:
        out: the folder of the files.
        reproduction: the table, without finished runs.
        notes: sentences on how our experiment differs from the paper's.
    """

    def __init__(self, out: Path, reproduction: Reproduction, notes: list[str]) -> None:
        self.out, self.reproduction, self.notes = out, reproduction, notes
        self.runs: list[results_table.Row] = []  # rows of results.csv
        self.rows: list[Row] = []  # rows of table.csv
        self.text = ""  # of table.md

    def update(self, finished: Sequence[Planned]) -> None:
        """Takes over all finished runs, those of other processes too, and writes the files."""
        self.runs = [results_table.run_row(planned) for planned in finished]
        self.reproduction.finished[:] = finished
        self.rows = rows(self.reproduction)
        notes = [*self.notes, training_note(self.reproduction), results_table.trained_at(self.runs)]
        self.text = as_markdown(self.reproduction, self.rows, notes)
        results_table.write_csv(self.out / "results.csv", self.runs)
        results_table.write_csv(self.out / "table.csv", self.rows)
        write_text(self.out / "table.md", self.text + "\n")
        write_readme(self.out, TITLE, FILES)


def rows(reproduction: Reproduction) -> list[Row]:
    """Returns a row for each arm and column with a figure of the paper or of ours.

    Returns:
        Dictionaries with "arm", "column", "heading", "paper", "ours" (the mean over the seeds), "deviation" (the sample
        standard deviation over the seeds), "difference" (ours - paper) and "seeds" (their number). Figures have the
        unit of the column, and are None if unknown. The deviation is None for one seed.
    """
    table_rows = []
    for arm in reproduction.table.arms:
        for column in reproduction.table.columns:
            values = list(reproduction.values(arm, column).values())
            paper, ours = arm.paper.get(column.name), statistics.mean(values) if values else None
            if paper is None and ours is None:
                continue
            table_rows.append(
                {
                    "arm": arm.label,
                    "column": column.name,
                    "heading": column.heading,
                    "paper": paper,
                    "ours": ours,
                    "deviation": statistics.stdev(values) if len(values) > 1 else None,
                    "difference": None if paper is None or ours is None else ours - paper,
                    "seeds": len(values),
                }
            )
    return table_rows


def as_markdown(reproduction: Reproduction, table_rows: list[Row], notes: list[str]) -> str:
    """Returns the title, the notes, the table and paragraphs on the order of the arms, in Markdown."""
    digits = {column.name: column.measure.digits for column in reproduction.table.columns}
    cells = [_cells(row, digits[row["column"]]) for row in table_rows]
    table = tables.markdown([HEADER, *cells], "<<" + ">" * (len(HEADER) - 2))
    claim = [f"Claim: {reproduction.table.claim}"] if reproduction.table.claim else []
    return "\n\n".join(
        [
            f"**{reproduction.table.heading}**",
            *claim,
            "\n".join(f"- {line}" for line in notes),
            table,
            *order(reproduction),
        ]
    )


def _cells(row: Row, digits: int) -> tuple[str, ...]:
    def number(value: float | None, sign: str = "") -> str:
        return "" if value is None else f"{value:{sign}.{digits}f}"

    spread = "" if row["deviation"] is None else f" ± {number(row['deviation'])}"
    ours = number(row["ours"]) + spread or "not run"
    seeds = str(row["seeds"]) if row["seeds"] else ""
    return row["arm"], row["heading"], number(row["paper"]), ours, number(row["difference"], "+"), seeds


def training_note(reproduction: Reproduction) -> str:
    """Returns a sentence on what was trained: epochs, images, resolution and batch of each run."""
    arms_of_text: dict[str, list[str]] = {}
    for planned in reproduction.finished:
        run, full_epochs = Run(planned.folder), reproduction.full_size[planned.folder].optim.epochs
        counts, config = _counts(planned.folder), run.config()
        epochs, planned_epochs = run.metrics()["epochs"], planned.config.optim.epochs
        early = f" (ended by itself after {epochs})" if epochs < planned_epochs else ""
        text = (
            f"{planned_epochs} of {full_epochs} epochs{early}, {counts['train']:,} training, {counts['val']:,} val and "
            f"{counts['test']:,} test images of {planned.data} at {config.model.resolution} pixels, "
            f"batch {config.optim.batch}"
        )
        arms_of_text.setdefault(text, []).append(planned.name)
    arms = [arm.label for arm in reproduction.table.arms]
    parts = []
    for text, names in arms_of_text.items():
        unique = list(dict.fromkeys(names))
        parts.append(text if len(unique) == len(arms) else f"{', '.join(unique)}: {text}")
    epoch_note = (
        " The paper's figure of epoch N is compared with ours of epoch N times that share."
        if _scaled_epochs(reproduction)
        else ""
    )
    return "Trained: " + "; ".join(parts) + f".{epoch_note}"


@functools.cache
def _counts(folder: Path) -> dict[str, int]:
    """Returns the number of images of each split of a finished run."""
    return {split: len(images) for split, images in Run(folder).split().items()}


def _scaled_epochs(reproduction: Reproduction) -> bool:
    """Returns whether a column compares an epoch of the paper to an earlier one of ours."""
    shorter = any(
        run.config.optim.epochs < reproduction.full_size[run.folder].optim.epochs for run in reproduction.finished
    )
    return shorter and any(column.epoch for column in reproduction.table.columns)


def comparisons(reproduction: Reproduction) -> list[Row]:
    """Returns a row for each arm that has a baseline and runs, of the column `order`.

    Returns:
        Dictionaries with "arm", "against", "paper" (the paper's difference), "ours" (the mean of our differences, one
        for each seed that both arms have), "deviation" (their sample standard deviation), "low" and "high" (the 95 % t
        interval of the mean), "seeds" (their number) and "verdict". What does not exist, as of one seed, is None.
    """
    column, compared = _compared(reproduction)
    by_label = {arm.label: arm for arm in compared}
    pairs = [(arm, other) for arm in compared if (other := by_label.get(arm.against)) and other is not arm]
    return [_comparison(reproduction, arm, other, column) for arm, other in pairs]


def _compared(reproduction: Reproduction) -> tuple[Column, list[Arm]]:
    """Returns the column `order`, and the arms of which both the paper and we have a figure in it."""
    column = next(column for column in reproduction.table.columns if column.name == reproduction.table.order)
    arms = [arm for arm in reproduction.table.arms if column.name in arm.paper and reproduction.values(arm, column)]
    return column, arms


def order(reproduction: Reproduction) -> list[str]:
    """Returns paragraphs on the column `order`: each arm against its baseline, then all pairs of arms."""
    column, compared = _compared(reproduction)
    if len(compared) < 2:
        return []
    lines = [
        f"- {row['arm']} against {row['against']}: paper {row['paper']:+.2f}, {_in_words(row)}"
        for row in comparisons(reproduction)
    ]
    return [f"Order in {column.heading}:", "\n".join(lines), _pairs(reproduction, compared, column)]


def _comparison(reproduction: Reproduction, arm: Arm, other: Arm, column: Column) -> Row:
    """Returns the row of two arms, as `comparisons` describes it."""
    ours, paper = _differences(reproduction, arm, other, column), arm.paper[column.name] - other.paper[column.name]
    low, high = paired.interval(ours) or (None, None)
    return {
        "arm": arm.label,
        "against": other.label,
        "paper": paper,
        "ours": statistics.mean(ours) if ours else None,
        "deviation": statistics.stdev(ours) if len(ours) > 1 else None,
        "low": low,
        "high": high,
        "seeds": len(ours),
        "verdict": verdict(ours, paper) if ours else None,
    }


def _in_words(row: Row) -> str:
    """Returns our difference of two arms, and whether it agrees with the paper's."""
    if row["ours"] is None:
        return "ours not run"
    spread = "" if row["deviation"] is None else f" ± {row['deviation']:.2f}"
    return f"ours {row['ours']:+.2f}{spread} ({_seeds(row['seeds'])}): {row['verdict']}"


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def verdict(ours: list[float], paper: float) -> str:
    """Returns in words whether our differences, one for each seed, agree with that of the paper; see the module."""
    if paper == 0:
        return "the paper has no difference"
    if len(ours) == 1:
        return NO_VERDICT
    interval = paired.interval(ours)
    if interval is None:
        return f"{NO_VERDICT} ({paired.EQUAL})" if any(ours) else f"{paired.ALIKE} (no difference in any seed)"
    judgment = {0: paired.ALIKE, 1: "same sign", -1: "other sign"}[paired.sign(ours) * (1 if paper > 0 else -1)]
    return f"{judgment} (95 % interval {interval[0]:+.2f} to {interval[1]:+.2f})"


def _differences(reproduction: Reproduction, arm: Arm, other: Arm, column: Column) -> list[float]:
    """Returns figure of `arm` - figure of `other` for each seed that both have."""
    figures, other_figures = reproduction.values(arm, column), reproduction.values(other, column)
    return [figures[seed] - other_figures[seed] for seed in figures if seed in other_figures]


def _pairs(reproduction: Reproduction, compared: list[Arm], column: Column) -> str:
    """Returns a sentence on all pairs of arms: how many have which verdict, and the rank correlation."""
    verdicts: dict[str, int] = {}
    for number, arm in enumerate(compared):
        for other in compared[:number]:
            ours, paper = (
                _differences(reproduction, arm, other, column),
                arm.paper[column.name] - other.paper[column.name],
            )
            if ours and paper:
                text = verdict(ours, paper).partition(" (")[0]
                verdicts[text] = verdicts.get(text, 0) + 1
    total = sum(verdicts.values())
    if not total:
        return "No two arms can be compared yet."
    if verdicts.keys() == {NO_VERDICT}:
        return "With one seed nothing can be said about the order of the arms."
    counted = ", ".join(f"{count} {text}" for text, count in sorted(verdicts.items(), key=lambda item: -item[1]))
    papers = [arm.paper[column.name] for arm in compared]
    means = [statistics.mean(reproduction.values(arm, column).values()) for arm in compared]
    rank = f"; Spearman's rank correlation with the paper {spearman(papers, means):+.2f}" if len(compared) > 2 else ""
    return f"Of {total} {'pair' if total == 1 else 'pairs'} of arms: {counted}{rank}."


def spearman(first: list[float], second: list[float]) -> float:
    """Returns Spearman's rank correlation of two lists, equal values having their mean rank; 0 if one is constant."""
    if len(set(first)) == 1 or len(set(second)) == 1:
        return 0.0
    return float(scipy.stats.spearmanr(first, second).statistic)
