"""The results of `tinytrain reproduce`: the paper's figures, ours and their difference, as files and as text."""

import functools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tinytrain import tables
from tinytrain.experiments import results_table
from tinytrain.experiments.papers import order, record
from tinytrain.experiments.papers.reproduction import Reproduction
from tinytrain.experiments.planned import Planned
from tinytrain.files import write_json, write_readme, write_text
from tinytrain.run import Run

Row: TypeAlias = dict[str, Any]
TITLE = "A table of a paper, trained again by `tinytrain reproduce`"
FILES = {
    "ARM/DATA/seedK/": "one run of `tinytrain fit` each; its README.txt explains its files",
    "results.csv": "one row for each finished run",
    "budget.json": "with --budget time: the processor time of a step and the epochs of each arm",
    "table.csv": "one row for each arm and figure: the paper's, ours, and their difference",
    "table.md": "the same as a text: how ours differs from the paper's, the order of the arms, and the command",
    record.NAME: "the same for programs: each arm beside its baseline, scale, data, command and commits",
    "figures/": "the pictures of the table",
}
HEADER = ("arm", "figure", "paper", "ours", "difference", "seeds")


class Results:
    """The results of a reproduction, and its files results.csv, table.csv, table.md, table.json and README.txt.

    Args:
        out: the folder of the files.
        reproduction: the table, without finished runs.
        notes: sentences on how our experiment differs from the paper's, the command last.
        settings: {"command", "scale", "data", "seeds", "budget", "planned"}, which table.json holds as they are.
    """

    def __init__(self, out: Path, reproduction: Reproduction, notes: list[str], settings: Row) -> None:
        self.out, self.reproduction, self.notes, self.settings = out, reproduction, notes, settings
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
        write_json(self.out / record.NAME, record.of(self.reproduction, self.settings, self.runs))
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
            *order.paragraphs(reproduction),
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
