"""`tinytrain compare`: several configs on several datasets with several seeds, and the table of their results.

A run is trained by `fit` in DIR/CONFIG/DATA/seedK. All runs with seed 0 come first, then all with seed 1, so that the
tables compare like with like from early on. A finished run is kept and an unfinished one goes on: the same
command, run again, continues after any interruption.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinytrain.config import library
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.experiments import results_table
from tinytrain.experiments.runs import Planned, data_name, naming_file, refuse_shared_folders, train_all


def compare(
    paths: Sequence[Path | str],
    data: list[str] | None = None,
    seeds: int = 1,
    out: Path | str = "compare",
    overrides: list[str] | None = None,
) -> tuple[dict[str, Any], str]:
    """Trains every config on every dataset with every seed 0 … `seeds` − 1; returns (result, its table in Markdown).

    Args:
        paths: config files or names of recipes; the first is the baseline of the column "to the first".
        data: SPECs (digits, folder:PATH …) that take the place of each config's own data.spec.
        seeds: how many seeds.
        out: the folder of the runs and of results.csv and results.md, which are rewritten after every run.
        overrides: KEY=VALUE words for every config.

    The result is {"out", "rows": as `results_table.summary` gives them, "runs": the lines of results.csv}.

    Raises UserError, before anything is trained, for a mistake in a config or a run in `out` of another config, and
    after everything else if a run failed.
    """
    out, overrides, files = Path(out), list(overrides or []), [library.path_of(path) for path in paths]
    plan = _plan(files, data, seeds, out, overrides)
    results = results_table.Results(out, _datasets(plan), _command(files, data, seeds, out, overrides))
    train_all(plan, out / "results.md", lambda run, done: results.add(run.name, run.data, run.seed, done))
    return {"out": str(out), "rows": results.rows, "runs": results.runs}, results.text


def _datasets(plan: list[Planned]) -> dict[str, list[str]]:
    """Returns {name of a config: the names of its datasets}, in the order of `plan`."""
    datasets: dict[str, dict[str, None]] = {}
    for planned in plan:
        datasets.setdefault(planned.name, {})[planned.data] = None
    return {config: list(data) for config, data in datasets.items()}


def _plan(paths: list[Path], data: list[str] | None, seeds: int, out: Path, overrides: list[str]) -> list[Planned]:
    """Returns all runs in the order in which they are trained; raises UserError for any config that does not load."""
    if not paths:
        raise UserError("compare needs config files, received none: name at least one, such as configs/digits.toml")
    if seeds < 1:
        raise UserError(f"compare trains with the seeds 0 to N - 1, received --seeds {seeds}: expected at least 1")
    if any(configs.key_of(override) in ("seed", "data.spec") for override in overrides):
        raise UserError("compare sets seed and data.spec of every run: say --seeds N and --data SPEC,SPEC… instead")
    plan = []
    for seed in range(seeds):
        for path in paths:
            for spec in data or [""]:
                config, typed = _loaded(path, spec, seed, overrides), configs.typed(path, overrides)
                name = data_name(config.data.spec)
                folder = out / path.stem / name / f"seed{seed}"
                plan.append(Planned(path.stem, name, seed, config, folder, path, typed))
    refuse_shared_folders(plan)
    return plan


def _loaded(path: Path, spec: str, seed: int, overrides: list[str]) -> Config:
    try:
        return configs.load(path, [*overrides, *([f"data.spec={spec}"] if spec else []), f"seed={seed}"])
    except UserError as error:
        raise naming_file(path, error) from None


def _command(paths: list[Path], data: list[str] | None, seeds: int, out: Path, overrides: list[str]) -> str:
    data_flag = ["--data", ",".join(data)] if data else []
    arguments = [*map(str, paths), *data_flag, "--seeds", str(seeds), "--out", str(out), *overrides]
    return f"`tinytrain compare {shlex.join(arguments)}`"
