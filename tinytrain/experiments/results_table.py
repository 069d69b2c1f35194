"""The tables of `tinytrain compare`: a row a run in results.csv, mean ± sample standard deviation in results.md."""

import csv
import io
import statistics
from pathlib import Path
from typing import Any, TypeAlias

from tinytrain import provenance, tables
from tinytrain.experiments import paired
from tinytrain.files import read_json, write_text
from tinytrain.run import Run

Row: TypeAlias = dict[str, Any]
MEASURED = (  # what is averaged over the seeds
    *("test_top1", "test_map"),
    *("epochs", "training_seconds", "search_epochs", "search_seconds"),
)
TESTED = ("top1", "top5", "balanced_top1", "macro_f1", "map", "map_mrr")  # columns of results.csv
AVERAGE = "average"
HEADER = (
    *("config", "data", "seeds", "test top-1 %", "to the first", "95 % interval", "test mAP %"),
    *("epochs", "training minutes", "search epochs", "search minutes"),
)


class Results:
    """The finished runs, and results.csv and results.md in `out`, which are rewritten whenever one is added.

    Args:
        out: the folder of the two files.
        datasets: name of a config -> the names of its datasets, both in the order of the table.
        command: what stands below the table, before the commits that trained the runs.
    """

    def __init__(self, out: Path, datasets: dict[str, list[str]], command: str) -> None:
        self.out, self.datasets, self.command = out, datasets, command
        self.runs: list[Row] = []  # the lines of results.csv
        self.rows: list[Row] = []  # those of `summary`
        self.text = ""  # results.md

    def add(self, config: str, data: str, seed: int, run: Run) -> None:
        """Adds a finished run and writes both files."""
        self.runs.append(run_row(config, data, seed, run))
        self.rows = summary(self.runs, list(self.datasets), self.datasets)
        self.text = as_markdown(self.rows, f"{self.command}, {origins(self.runs)}")
        write_csv(self.out / "results.csv", self.runs)
        write_text(self.out / "results.md", self.text + "\n")


def run_row(config: str, data: str, seed: int, run: Run) -> Row:
    """Returns the row of a finished run: accuracies in 0..1, times in seconds, those of the search apart."""
    result = run.metrics()
    test = {f"test_{name}": result["test"].get(name, "") for name in TESTED}  # older runs have fewer
    seconds = sum(float(row.get("seconds") or 0) for row in run.history())
    spent = {name: result[name] for name in ("epochs", "best_epoch")} | {"training_seconds": round(seconds, 1)}
    spent |= _searched(run)
    size = {name: result[name] for name in ("params", "macs")}
    size["commits"] = " ".join(provenance.read(run).get("commits", []))
    named = {"config": config, "data": data, "seed": seed}
    return named | test | {"val_top1": result["val"]["top1"]} | spent | size


def _searched(run: Run) -> Row:
    """Returns what the learning-rate search of a run took, {"search_epochs", "search_seconds"}: 0 if there was none."""
    found = read_json(run.search_path) if run.search_path.is_file() else {}
    epochs = found.get("epochs", sum(trial["epochs"] for trial in found.get("trials", [])))  # older runs have no sum
    return {"search_epochs": epochs, "search_seconds": round(found.get("seconds", 0.0), 1)}


def summary(runs: list[Row], configs: list[str], datasets: dict[str, list[str]]) -> list[Row]:
    """Returns a row for each config and dataset with a finished run: mean and sample standard deviation over its seeds.

    Args:
        runs: rows of `run_row`.
        configs: the names of the configs in order; "points" is the difference to the first of them in per cent, on the
            mean over the seeds that both have, of an average the mean over its datasets. "points_low" and "points_high"
            are the t interval (`paired.interval`) of the difference, None with one seed.
        datasets: config name -> its datasets. A config with several, all begun, has a row "average": the means over its
            datasets of their means.

    Every row is {"config", "data", "seeds", "points", "points_low", "points_high"} and, for each of MEASURED, NAME and
    NAME_deviation (None with one seed, and in an average).
    """
    rows: list[Row] = []
    for config in configs:
        differences = {data: _differences(config, data, runs, configs[0]) for data in datasets[config]}
        of_data = [_over_seeds(config, data, runs, differences[data]) for data in datasets[config]]
        found = [row for row in of_data if row]
        rows += found
        if len(found) > 1 and len(found) == len(of_data):
            rows.append(_average(config, found, list(differences.values())))
    return rows


def _differences(config: str, data: str, runs: list[Row], first: str) -> dict[int, float]:
    """Returns {seed: difference of test top-1 to the config `first` in points} on the seeds that both have."""
    base = {row["seed"]: row["test_top1"] for row in runs if (row["config"], row["data"]) == (first, data)}
    mine = [row for row in runs if (row["config"], row["data"]) == (config, data) and row["seed"] in base]
    return {row["seed"]: 100 * (row["test_top1"] - base[row["seed"]]) for row in mine}


def _interval(points: list[float]) -> Row:
    low, high = paired.interval(points) or (None, None)
    return {"points_low": low, "points_high": high}


def _over_seeds(config: str, data: str, runs: list[Row], points: dict[int, float]) -> Row:
    mine = [row for row in runs if (row["config"], row["data"]) == (config, data)]
    row: Row = {"config": config, "data": data, "seeds": len(mine)} if mine else {}
    if mine:
        row["points"] = statistics.mean(points.values()) if points else None
        row |= _interval([*points.values()])
    for name in MEASURED if mine else ():
        values = [run[name] for run in mine]
        row[name] = statistics.mean(values)
        row[f"{name}_deviation"] = statistics.stdev(values) if len(values) > 1 else None
    return row


def _average(config: str, rows: list[Row], differences: list[dict[int, float]]) -> Row:
    average: Row = {"config": config, "data": AVERAGE, "seeds": min(row["seeds"] for row in rows)}
    points = [row["points"] for row in rows]
    average["points"] = None if None in points else statistics.mean(points)
    shared = set.intersection(*(set(points) for points in differences))  # seeds that are through with all datasets
    average |= _interval([statistics.mean(points[seed] for points in differences) for seed in sorted(shared)])
    for name in MEASURED:
        average |= {name: statistics.mean(row[name] for row in rows), f"{name}_deviation": None}
    return average


def origins(runs: list[Row]) -> str:
    """Returns what is said of the commits that trained `runs`."""
    commits = dict.fromkeys(word for run in runs for word in run["commits"].split() or ["unknown"])
    return f"trained at commit {', '.join(commits)}"


def as_markdown(rows: list[Row], footer: str) -> str:
    """Returns the table of `summary` rows in Markdown, `footer` in a line below it."""
    table = tables.markdown([HEADER, *map(_cells, rows)], "<<" + ">" * (len(HEADER) - 2))
    return f"{table}\n\n{footer}"


def _cells(row: Row) -> tuple[str, ...]:
    points = "" if row["points"] is None else f"{row['points']:+.2f}"
    low, high = row["points_low"], row["points_high"]
    return (
        row["config"],
        row["data"],
        str(row["seeds"]),
        _cell(row, "test_top1", 100, 2),
        points,
        "" if low is None else f"{low:+.2f} to {high:+.2f}",
        _cell(row, "test_map", 100, 2),
        _cell(row, "epochs", 1, 1),
        _cell(row, "training_seconds", 1 / 60, 1),
        _cell(row, "search_epochs", 1, 1) if row["search_epochs"] else "",
        _cell(row, "search_seconds", 1 / 60, 1) if row["search_seconds"] else "",
    )


def _cell(row: Row, name: str, scale: float, digits: int) -> str:
    deviation = row[f"{name}_deviation"]
    spread = "" if deviation is None else f" ± {scale * deviation:.{digits}f}"
    return f"{scale * row[name]:.{digits}f}{spread}"


def write_csv(path: Path, runs: list[Row]) -> None:
    """Writes the rows of all runs as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(runs[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    write_text(path, text.getvalue())
