"""The table of `tinytrain list configs`: the papers' tables and the single configs, with their cost at full size."""

from pathlib import Path
from typing import Any

from tinytrain import progress, tables
from tinytrain.config import dataset_catalog, library
from tinytrain.config import load as configs
from tinytrain.experiments.papers import cost as training_cost
from tinytrain.experiments.papers import tables as paper_tables

HEADINGS = ("name", "paper", "tables", "runs", "core hours", "", "run here", "title")
BETWEEN = " + "  # two runs of a table
AFTER_TABLES = 1000  # where figures stand in the list
COLUMNS = ("<45", ">6", ">9", ">6", ">12", "<2", "<24", "")


def rows() -> list[dict[str, Any]]:
    """Returns one row for each table of a paper, then one for each single config.

    {"name", "paper", "tables", "figure", "runs", "core_hours", "ran", "title"}: what `reproduce` or `fit` takes, "003",
    [4] and 0 ("", [] and 0 of a single config, [] and 5 of a figure), how many trainings, and their time on one core of
    this machine with one seed, an estimate (`training_cost`), None where the data has no known size; at which scale the
    table was run here, "never", or "" of a single config.
    """
    papers = sorted(map(paper_tables.load_file, paper_tables.folder().glob("*.toml")), key=_order)
    items: list[Path | paper_tables.Table] = [*papers, *library.config_paths()]
    counting = progress.counted(items, "counting", len(items), "config")  # each network is built
    return [_table(item) if isinstance(item, paper_tables.Table) else _single(item) for item in counting]


def as_text(table: list[dict[str, Any]]) -> list[str]:
    """Returns the table to read, a line a row."""
    lines = tables.aligned([HEADINGS, *map(_cells, table)], COLUMNS)
    ran = "run here: at which scale and with how many seeds, + N for N other runs (docs/reproducing.md)"
    return [
        *lines,
        "",
        "paper: docs/reproducing.md lists the papers 000 to 003",
        f"core hours: for the full size and one seed, {training_cost.CAPTION}",
        ran,
    ]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = ", ".join(map(str, row["tables"])) or (f"fig. {row['figure']}" if row["figure"] else "")
    hours = "" if row["core_hours"] is None else f"{row['core_hours']:,.{0 if row['core_hours'] >= 10 else 1}f}"
    return row["name"], row["paper"], numbers, str(row["runs"]), hours, "", _short(row["ran"]), row["title"]


def _short(ran: str) -> str:
    """Returns the scale and the seeds of the first run, "scale 0.5,0.1; 1 seed", and how many others there are."""
    first, *others = ran.split(BETWEEN)
    return "; ".join(first.split("; ")[:2]) + (f" + {len(others)}" if others else "")


def _order(table: paper_tables.Table) -> tuple[str, int]:
    return table.paper, table.numbers[0] if table.numbers else AFTER_TABLES + table.figure


def _table(table: paper_tables.Table) -> dict[str, Any]:
    datasets = paper_tables.papers_data(table)
    return {
        "name": table.name,
        "paper": table.paper,
        "tables": table.numbers,
        "figure": table.figure,
        "runs": sum(len(arm.datasets or datasets) for arm in table.arms) if table.trains else 0,
        "core_hours": round(training_cost.hours(table), 2),
        "ran": BETWEEN.join(table.ran) or "never",
        "title": table.title,
    }


def _single(path: Path) -> dict[str, Any]:
    config = configs.load(path)
    known = dataset_catalog.ROWS.get(config.data.spec.partition(":")[0])
    seconds = training_cost.seconds(config, config.optim.epochs) if known else None
    return {
        "name": library.name_of(path),
        "paper": "",
        "tables": [],
        "figure": 0,
        "runs": 1,
        "core_hours": None if seconds is None else round(seconds / 3600, 2),
        "ran": "",
        "title": library.title_of(path),
    }
