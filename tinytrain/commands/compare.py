"""`tinytrain compare`: several configs on several datasets with several seeds, and the table of their results.

A run is trained by `fit` in DIR/CONFIG/DATA/seedK. All runs with seed 0 come first, then all with seed 1, so that the
tables compare like with like from early on. A finished run is kept and an unfinished one goes on: the same
command, run again, continues after any interruption.

With several resolutions a config is trained at each, as CONFIG-RESOLUTION, and macs.png shows what they cost.
"""

import functools
import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from tinytrain.config import library
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.experiments import budget as budgets
from tinytrain.experiments import forecast, macs_chart, results_table
from tinytrain.experiments.planned import Planned
from tinytrain.experiments.runs import data_name, naming_file, refuse_shared_folders, train_all
from tinytrain.files import write_atomically
from tinytrain.train import figures


def compare(
    paths: Sequence[Path | str],
    data: list[str] | None = None,
    seeds: int = 1,
    out: Path | str = "compare",
    overrides: list[str] | None = None,
    resolutions: Sequence[int] = (),
    dry_run: bool = False,
    budget: str = budgets.EPOCHS,
) -> tuple[dict[str, Any], str]:
    """Trains every config on every dataset with every seed 0 … `seeds` − 1; returns (result, its table in Markdown).

    Args:
        paths: config files or names of recipes; the first is the baseline of the column "to the first".
        data: SPECs (digits, folder:PATH …) that replace each config's own data.spec.
        seeds: how many seeds.
        out: the folder of the runs and of results.csv and results.md, which are rewritten after every run.
        overrides: KEY=VALUE words for every config.
        resolutions: values of model.resolution in pixels, each config is trained at all of them; empty: at its own.
        budget: what is set for all: "epochs", each config has its own, or "time", the same processor time of training
            (experiments/budget.py).
        dry_run: train and write nothing, and return what would be trained instead (`forecast.of_plan`).

    The result is {"out", "rows": as `results_table.summary` gives them, "runs": the lines of results.csv, "figures":
    the paths of charts: macs.png with several resolutions}.

    Raises UserError, before anything is trained, for a mistake in a config or a run in `out` of another config, and
    after everything else if a run failed.
    """
    out, overrides, files = Path(out), list(overrides or []), [library.path_of(path) for path in paths]
    sides = list(map(int, resolutions))
    plan = _plan(files, data, seeds, out, overrides, sides)
    plan, stated = budgets.applied(budget, plan, out, write=not dry_run)
    if dry_run:
        return forecast.of_plan(plan, out)
    command = _command(files, data, seeds, out, overrides, sides, budget)
    results = results_table.Results(out, _datasets(plan), " ".join(filter(None, [stated, command])))
    try:
        train_all(plan, out / "results.md", results.update)
    finally:  # if some runs failed, the chart shows the others
        drawn = [_chart(out, results.runs, files, sides)] if results.runs and len(sides) > 1 else []
    result = {"out": str(out), "rows": results.rows, "runs": results.runs, "figures": list(map(str, drawn))}
    return result, results.text


def _chart(out: Path, runs: list[results_table.Row], files: list[Path], sides: list[int]) -> Path:
    """Writes macs.png, a curve for each config, a panel for each dataset, and returns its path."""
    curve_of = {_name(path, side): path.stem for path in files for side in sides}
    panels = {}
    for data in dict.fromkeys(row["data"] for row in runs):
        rows = [row for row in runs if row["data"] == data and row[results_table.main_of(row)] is not None]
        points = [(curve_of[row["config"]], row["macs"], 100 * row[results_table.main_of(row)]) for row in rows]
        label = figures.of(next(row["task"] for row in runs if row["data"] == data)).main.label
        panels[data] = (f"test {label} / %", macs_chart.curves(points))
    path = out / "macs.png"
    with mpl.rc_context({"text.parse_math": False}):  # a folder may be called $x$
        drawn = macs_chart.draw(panels, "accuracy against cost")
        write_atomically(path, functools.partial(drawn.savefig, format="png", dpi=120))
    return path


def _datasets(plan: list[Planned]) -> dict[str, list[str]]:
    """Returns {name of a config: the names of its datasets}, in the order of `plan`."""
    datasets: dict[str, dict[str, None]] = {}
    for planned in plan:
        datasets.setdefault(planned.name, {})[planned.data] = None
    return {config: list(data) for config, data in datasets.items()}


def _plan(
    paths: list[Path], data: list[str] | None, seeds: int, out: Path, overrides: list[str], sides: list[int]
) -> list[Planned]:
    """Returns all runs in the order in which they are trained; raises UserError for any config that does not load."""
    if not paths:
        raise UserError("compare needs config files, received none: name at least one, such as configs/digits.toml")
    if seeds < 1:
        raise UserError(f"compare trains with the seeds 0 to N - 1, received --seeds {seeds}: expected at least 1")
    if any(configs.key_of(override) in ("seed", "data.spec") for override in overrides):
        raise UserError("compare sets seed and data.spec of every run: use --seeds N and --data SPEC,SPEC… instead")
    if sides and any(configs.key_of(override) == "model.resolution" for override in overrides):
        raise UserError("--resolutions sets model.resolution of every run: use only one of the two")
    if repeated := next((side for side in sides if sides.count(side) > 1), 0):
        raise UserError(f"--resolutions names {repeated} twice: expected each only once")
    plan = []
    for seed in range(seeds):
        for path, side, spec in itertools.product(paths, sides or [0], data or [""]):
            words = [*overrides, *([f"model.resolution={side}"] if side else [])]
            config, typed, name = _loaded(path, spec, seed, words), configs.typed(path, words), _name(path, side)
            data_folder = data_name(config.data.spec)
            folder = out / name / data_folder / f"seed{seed}"
            plan.append(Planned(name, data_folder, seed, config, folder, path, typed))
    refuse_shared_folders(plan)
    return plan


def _name(path: Path, side: int) -> str:
    """Returns what tables and folders call a config, at one of several resolutions."""
    return f"{path.stem}-{side}" if side else path.stem


def _loaded(path: Path, spec: str, seed: int, overrides: list[str]) -> Config:
    try:
        return configs.load(path, [*overrides, *([f"data.spec={spec}"] if spec else []), f"seed={seed}"])
    except UserError as error:
        raise naming_file(path, error) from None


def _command(
    paths: list[Path],
    data: list[str] | None,
    seeds: int,
    out: Path,
    overrides: list[str],
    sides: list[int],
    budget: str,
) -> str:
    data_flag = ["--data", ",".join(data)] if data else []
    data_flag += ["--resolutions", ",".join(map(str, sides))] if sides else []
    data_flag += [] if budget == budgets.EPOCHS else ["--budget", budget]
    arguments = [*map(str, paths), *data_flag, "--seeds", str(seeds), "--out", str(out), *overrides]
    return f"`tinytrain compare {shlex.join(arguments)}`"
