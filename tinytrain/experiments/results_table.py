"""The tables of `tinytrain compare`: results.csv with a row for each run, results.md with mean ± standard deviation.

Which figures they hold is a matter of the task of the runs (`train/figures.py`); each task has a table of its own.
"""

import csv
import io
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from tinytrain import provenance, tables
from tinytrain.experiments import paired
from tinytrain.experiments.planned import Planned
from tinytrain.files import read_json, write_readme, write_text
from tinytrain.run import Run
from tinytrain.train import figures

Row: TypeAlias = dict[str, Any]
EFFORT = ("epochs", "training_seconds", "training_cpu_seconds", "search_epochs", "search_seconds")
AVERAGE = "average"
TITLE = "A comparison of configs, written by `tinytrain compare`"
FILES = {
    "CONFIG/DATA/seedK/": "one run of `tinytrain fit` each; its README.txt explains its files",
    "results.csv": "one row for each finished run",
    "budget.json": "with --budget time: the processor time of a step and the epochs of each config",
    "results.md": "one row for each config and dataset: means, differences to the first config, and the command",
    "macs.png": "accuracy against cost, if there are several resolutions",
}


class Results:
    """The finished runs of a comparison, and its files results.csv, results.md and README.txt.

    Args:
        out: the folder of the files.
        datasets: {name of a config: the names of its datasets}, both in the order of the table.
        command: the command, which stands below the table with the commits that trained the runs.
    """

    def __init__(self, out: Path, datasets: dict[str, list[str]], command: str) -> None:
        self.out, self.datasets, self.command = out, datasets, command
        self.runs: list[Row] = []  # rows of results.csv
        self.rows: list[Row] = []  # rows of `summary`
        self.text = ""  # of results.md

    def update(self, finished: Sequence[Planned]) -> None:
        """Takes over all finished runs, those of other processes too, and writes the files."""
        self.runs = [run_row(planned) for planned in finished]
        self.rows = summary(self.runs, list(self.datasets), self.datasets)
        self.text = as_markdown(self.rows, f"{self.command}, {trained_at(self.runs)}")
        write_csv(self.out / "results.csv", self.runs)
        write_text(self.out / "results.md", self.text + "\n")
        write_readme(self.out, TITLE, FILES)


def run_row(planned: Planned) -> Row:
    """Returns the row of a finished run: figures in 0..1, times in seconds, the search apart from the training."""
    run = Run(planned.folder)
    metrics, run_config = run.metrics(), run.config()
    known = figures.of(run_config.task)
    test = {f"test_{one.key}": metrics["test"].get(one.key, "") for one in known.tested}  # older runs have fewer
    history = run.history()
    seconds = round(sum(float(row.get("seconds") or 0) for row in history), 1)
    cpu = [float(row.get("cpu_seconds") or 0) for row in history]  # older runs have none, of some or all epochs
    effort = {name: metrics[name] for name in ("epochs", "best_epoch")} | {"training_seconds": seconds}
    effort["training_cpu_seconds"] = round(sum(cpu), 1) if cpu and all(cpu) else ""
    effort |= _search_effort(run)
    size = {"resolution": run_config.model.resolution} | {name: metrics[name] for name in ("params", "macs")}
    size["commits"] = " ".join(provenance.read(run).get("commits", []))
    names = {"config": planned.name, "data": planned.data, "seed": planned.seed, "task": known_task(run_config.task)}
    return names | test | {f"val_{known.main.key}": metrics["val"][known.main.key]} | effort | size


def known_task(task: str) -> str:
    """Returns the name of a task; runs of before there were tasks have "auto", which is classification."""
    return "classify" if task == "auto" else task


def main_of(row: Row) -> str:
    """Returns the column of a row that runs are compared by."""
    return f"test_{figures.of(row['task']).main.key}"


def second_of(row: Row) -> str:
    """Returns the column of a row that stands beside it."""
    return f"test_{figures.of(row['task']).second.key}"


def _search_effort(run: Run) -> Row:
    """Returns {"search_epochs", "search_seconds"} of the learning-rate search of a run, 0 if there was none."""
    search = read_json(run.search_path) if run.search_path.is_file() else {}
    epochs = search.get("epochs", sum(trial["epochs"] for trial in search.get("trials", [])))  # older runs have no sum
    return {"search_epochs": epochs, "search_seconds": round(search.get("seconds", 0.0), 1)}


def summary(runs: list[Row], configs: list[str], datasets: dict[str, list[str]]) -> list[Row]:
    """Returns a row for each config and dataset with a finished run.

    Args:
        runs: rows of `run_row`.
        configs: the names of the configs in order; the first is the baseline.
        datasets: {name of a config: its datasets}. A config that has several, with a finished run on each, also gets a
            row "average" with the means over its datasets.

    Returns:
        Dictionaries with "config", "data", "seeds" (their number), "task" and
        points: difference of the main figure to the baseline in percentage points, the mean over the seeds that both
        have;
        points_low, points_high: its t interval (`paired.interval`), None if there is none;
        pairs: how many seeds the difference is of;
        verdict: what can be said of it (`paired.verdict`), "" for the baseline itself and for one seed;
        NAME and NAME_deviation for the main and the second figure and each of EFFORT: mean and sample standard
        deviation over the seeds; the latter is None for one seed and for an average, both where nothing was measured.
    """
    rows: list[Row] = []
    for config in configs:
        differences = {data: _differences(config, data, runs, configs[0]) for data in datasets[config]}
        is_first = config == configs[0]
        candidates = [_over_seeds(config, data, runs, differences[data], is_first) for data in datasets[config]]
        with_runs = [row for row in candidates if row]
        rows += with_runs
        one_task = len({row["task"] for row in with_runs}) == 1
        if len(with_runs) > 1 and len(with_runs) == len(candidates) and one_task:
            rows.append(_average(config, with_runs, list(differences.values()), is_first))
    return rows


def _differences(config: str, data: str, runs: list[Row], baseline: str) -> dict[int, float]:
    """Returns {seed: difference of the main figure to the config `baseline` in percentage points}, shared seeds."""
    base = {row["seed"]: row for row in runs if (row["config"], row["data"]) == (baseline, data)}
    own_runs = [row for row in runs if (row["config"], row["data"]) == (config, data) and row["seed"] in base]
    pairs = [(row, base[row["seed"]]) for row in own_runs if row["task"] == base[row["seed"]]["task"]]
    return {
        row["seed"]: 100 * (row[main_of(row)] - other[main_of(row)])
        for row, other in pairs
        if None not in (row[main_of(row)], other[main_of(row)])
    }


def _said_of(points: list[float], is_baseline: bool) -> Row:
    """Returns the interval of differences, how many they are, and the verdict."""
    low, high = paired.interval(points) or (None, None)
    verdict = "" if is_baseline else paired.verdict(points)
    return {"points_low": low, "points_high": high, "pairs": len(points), "verdict": verdict}


def _over_seeds(config: str, data: str, runs: list[Row], points: dict[int, float], is_baseline: bool) -> Row:
    """Returns the row of a config on a dataset, {} if no run is finished."""
    own_runs = [row for row in runs if (row["config"], row["data"]) == (config, data)]
    if not own_runs:
        return {}
    row: Row = {"config": config, "data": data, "seeds": len(own_runs), "task": own_runs[0]["task"]}
    row["points"] = statistics.mean(points.values()) if points else None
    row |= _said_of([*points.values()], is_baseline)
    for name in _measured(row):
        values = [run[name] for run in own_runs if run[name] not in (None, "")]
        row[name] = statistics.mean(values) if values else None
        row[f"{name}_deviation"] = statistics.stdev(values) if len(values) > 1 else None
    return row


def _measured(row: Row) -> list[str]:
    """Returns the columns of a row that are averaged over the seeds."""
    return [main_of(row), second_of(row), *EFFORT]


def _average(config: str, rows: list[Row], differences: list[dict[int, float]], is_baseline: bool) -> Row:
    """Returns the row "average" of a config from its rows, and from the differences {seed: points} on each dataset."""
    seeds = min(row["seeds"] for row in rows)
    average: Row = {"config": config, "data": AVERAGE, "seeds": seeds, "task": rows[0]["task"]}
    points = [row["points"] for row in rows]
    average["points"] = None if None in points else statistics.mean(points)
    shared = set.intersection(*(set(points) for points in differences))  # seeds with a run on every dataset
    means = [statistics.mean(points[seed] for points in differences) for seed in sorted(shared)]
    average |= _said_of(means, is_baseline)
    for name in _measured(average):
        values = [row[name] for row in rows]
        average |= {name: None if None in values else statistics.mean(values), f"{name}_deviation": None}
    return average


def trained_at(runs: list[Row]) -> str:
    """Returns the words that name the commits that trained `runs`."""
    commits = dict.fromkeys(commit for run in runs for commit in run["commits"].split() or ["unknown"])
    return f"trained at commit {', '.join(commits)}"


def as_markdown(rows: list[Row], footer: str) -> str:
    """Returns the table of `summary` rows in Markdown, one for each task, `footer` in a line below."""
    tasks = dict.fromkeys(row["task"] for row in rows)
    return "\n\n".join([*(_table([row for row in rows if row["task"] == task]) for task in tasks), footer])


def _table(rows: list[Row]) -> str:
    known = figures.of(rows[0]["task"])
    header = (
        *("config", "data", "seeds", f"test {known.main.label} %", "to the first", "95 % interval", "verdict"),
        *(f"test {known.second.label} %", "epochs", "training minutes", "processor minutes"),
        *("search epochs", "search minutes"),
    )
    return tables.markdown([header, *map(_cells, rows)], "<<>>>><" + ">" * (len(header) - 7))


def _cells(row: Row) -> tuple[str, ...]:
    points = "" if row["points"] is None else f"{row['points']:+.2f}"
    low, high = row["points_low"], row["points_high"]
    return (
        row["config"],
        row["data"],
        str(row["seeds"]),
        _cell(row, main_of(row), 100, 2),
        points,
        "" if low is None else f"{low:+.2f} to {high:+.2f}",
        row["verdict"] and f"{row['verdict']} ({row['pairs']} seeds)",
        _cell(row, second_of(row), 100, 2),
        _cell(row, "epochs", 1, 1),
        _cell(row, "training_seconds", 1 / 60, 1),
        _cell(row, "training_cpu_seconds", 1 / 60, 1),
        _cell(row, "search_epochs", 1, 1) if row["search_epochs"] else "",
        _cell(row, "search_seconds", 1 / 60, 1) if row["search_seconds"] else "",
    )


def _cell(row: Row, name: str, scale: float, digits: int) -> str:
    """Returns "mean ± deviation" of a measure, times `scale`; "" where nothing was measured."""
    if row[name] is None:
        return ""
    deviation = row[f"{name}_deviation"]
    spread = "" if deviation is None else f" ± {scale * deviation:.{digits}f}"
    return f"{scale * row[name]:.{digits}f}{spread}"


def write_csv(path: Path, runs: list[Row]) -> None:
    """Writes the rows of all runs as a CSV file; those of another task have other columns, too."""
    file = io.StringIO()
    names = dict.fromkeys(name for row in runs for name in row)
    writer = csv.DictWriter(file, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs)
    write_text(path, file.getvalue())
