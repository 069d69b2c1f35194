"""`tinytrain compare`: several configs on several datasets with several seeds, and the table of their results.

A run is trained by `fit` in DIR/CONFIG/DATA/seedK. All runs with seed 0 come first, then all with seed 1, so that the
tables compare like with like from early on. A finished run is kept and an unfinished one goes on: the same
command typed again goes on after any interruption.
"""

import contextlib
import gc
import itertools
import logging
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tinytrain import files as disk
from tinytrain.config import catalog
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data import identity
from tinytrain.data.source import Source
from tinytrain.errors import UserError, escaped
from tinytrain.experiments import results_table
from tinytrain.locks import Held
from tinytrain.run import Run, make_folder
from tinytrain.train import fit

TABLE_BYTES = 100_000  # about, and the first files of a run


@dataclass(frozen=True)
class Planned:
    """One run to be: what its config and its dataset are called, its seed, its whole config and its folder.

    origin: the file that the config comes from, which a mistake in it is told with.
    """

    name: str
    data: str
    seed: int
    config: Config
    folder: Path
    origin: Path


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

    The result is {"out", "rows": as `comparison_table.summary` gives them, "runs": the lines of results.csv}.

    Raises UserError, before anything is trained, for a mistake in a config or a run in `out` of another config, and
    after everything else if a run failed.
    """
    out, overrides, files = Path(out), list(overrides or []), [configs.path_of(path) for path in paths]
    plan = _plan(files, data, seeds, out, overrides)
    results = results_table.Results(out, _datasets(plan), _command(files, data, seeds, out, overrides))
    train_all(plan, out / "results.md", lambda run, done: results.add(run.name, run.data, run.seed, done))
    return {"out": str(out), "rows": results.rows, "runs": results.runs}, results.text


def train_all(plan: Sequence[Planned], table: Path, finished: Callable[[Planned, Run], None]) -> None:
    """Trains every run of `plan`, in order, as far as it is not trained, and calls `finished` after each.

    Args:
        plan: the runs.
        table: the file that `finished` writes, which an error names.
        finished: takes in what was planned and the run that it became.

    A run that another process trains, such as the same command typed twice, comes last.

    Raises UserError, before anything is trained, if a folder holds a run of another config or cannot be made, and after
    everything else if a run failed, or another process still trains it: the others do not wait for it.
    """
    _refuse_runs_of_other_configs(plan)
    _refuse_runs_of_other_images(plan)
    make_folder(table.parent)
    disk.require(table.parent, TABLE_BYTES, "the tables", "name another folder with --out")
    with _typed_again():
        failed = _train_each(plan, finished)
    if failed:
        with contextlib.suppress(OSError):
            table.parent.rmdir()  # if it is empty: no run was begun
        raise UserError(
            f"{len(failed)} of {len(plan)} runs failed, the others are in '{table}'; the first: {failed[0]}"
        )


def _train_each(plan: Sequence[Planned], finished: Callable[[Planned, Run], None]) -> list[UserError]:
    """Trains every run, one that another process trains at the end if it is free then; returns why some failed."""
    failed: list[UserError] = []
    waiting: list[Planned] = []
    for planned in itertools.chain(plan, waiting):  # which grows
        try:
            run = _trained(planned)
        except Held as error:
            if planned in waiting:
                failed.append(error)
            else:
                waiting.append(planned)
            print(f"tinytrain: {error}", file=sys.stderr)
        except UserError as error:  # a loss that is not finite, say
            print(f"tinytrain: {error}", file=sys.stderr)
            failed.append(error)
        else:
            finished(planned, run)
    return failed


@contextlib.contextmanager
def _typed_again() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note("the same command typed again goes on")
        raise


def _refuse_runs_of_other_configs(plan: Sequence[Planned]) -> None:
    """Raises UserError if a run that was begun has another config than is planned for its folder."""
    for planned in plan:
        if (run := Run(planned.folder)).config_path.is_file():
            run.refuse_another(planned.config)


def _refuse_runs_of_other_images(plan: Sequence[Planned]) -> None:
    """Raises UserError if a run was trained on other images than are there now for those that are still to be trained.

    A dataset on which nothing is to be trained any more is not read.
    """
    wanted = {planned.config.data.spec for planned in plan if not Run(planned.folder).finished}
    sources: dict[str, Source] = {}
    for planned in plan:
        run = Run(planned.folder)
        if planned.config.data.spec not in wanted or not (run.config_path.is_file() and run.split_path.is_file()):
            continue
        config = run.config()
        key = repr(config.data)
        try:
            source = sources.get(key) or fit.load_source(config)
        except UserError:  # told where it is trained
            continue
        sources[key] = source
        identity.split_of(run, source, fit.resolve(config, source))


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
    if any(word.partition("=")[0].strip() in ("seed", "data.spec") for word in overrides):
        raise UserError("compare sets seed and data.spec of every run: say --seeds N and --data SPEC,SPEC… instead")
    plan = []
    for seed in range(seeds):
        for path in paths:
            for spec in data or [""]:
                config = _loaded(path, spec, seed, overrides)
                name = data_name(config.data.spec)
                plan.append(Planned(path.stem, name, seed, config, out / path.stem / name / f"seed{seed}", path))
    refuse_shared_folders(plan)
    return plan


def refuse_shared_folders(plan: Sequence[Planned]) -> None:
    """Raises UserError if two runs would be trained in the same folder."""
    folders = [planned.folder for planned in plan]
    if twice := next((planned for planned in plan if folders.count(planned.folder) > 1), None):
        raise UserError(
            f"two of the runs would share the folder '{twice.folder}': give each config file and each dataset a name "
            "of its own"
        )


def data_name(spec: str) -> str:
    """Returns what a dataset is called in tables and folders: the word of a SPEC, or the last name of its path."""
    word, _, argument = spec.partition(":")
    return word if word in catalog.ROWS or not argument else Path(argument).resolve().name


def _loaded(path: Path, spec: str, seed: int, overrides: list[str]) -> Config:
    try:
        return configs.load(path, [*overrides, *([f"data.spec={spec}"] if spec else []), f"seed={seed}"])
    except UserError as error:
        raise _naming(path, error) from None


def _naming(path: Path, error: UserError) -> UserError:
    return error if str(path) in str(error) else UserError(f"{path}: {error}")


def _trained(planned: Planned) -> Run:
    """Returns the finished run, trained as far as it was not."""
    run = Run(planned.folder)
    if run.finished:
        return run
    print(escaped(f"{planned.folder}:"), file=sys.stderr)
    logging.getLogger("tensorflow").setLevel(
        logging.ERROR
    )  # each run traces anew, which TensorFlow takes for a mistake
    begun = run.config_path.is_file()
    try:
        return fit.fit(planned.config, planned.folder, resume=begun)
    except Held:
        raise
    except UserError as error:
        raise _naming(planned.origin, error) from None
    finally:
        keras.utils.clear_session()  # or the graphs of all runs stay in memory
        gc.collect()


def _command(paths: list[Path], data: list[str] | None, seeds: int, out: Path, overrides: list[str]) -> str:
    given = ["--data", ",".join(data)] if data else []
    words = [*map(str, paths), *given, "--seeds", str(seeds), "--out", str(out), *overrides]
    return f"`tinytrain compare {shlex.join(words)}`"
