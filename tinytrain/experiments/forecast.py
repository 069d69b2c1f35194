"""What training some planned runs would do: which are there already, with how many images and steps, and how long.

The time of an epoch is that of the epochs behind a run or, of a new run, behind one that differs in its seed only; else
some steps are timed on this machine. Validation, and a search of the learning rate, come on top.
"""

import json
import statistics
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import keras

from tinytrain import leases, tables
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data import boxes
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset, counted
from tinytrain.errors import UserError
from tinytrain.experiments import runs, sharing
from tinytrain.experiments.planned import Planned
from tinytrain.run import LEASE, Run
from tinytrain.train.rehearsal import Rehearsal

Row: TypeAlias = dict[str, Any]
HEADINGS = ("config", "data", "seed", "now", "images", "epochs", "steps", "time", "")
COLUMNS = ("<", "<", ">", "<", ">", ">", ">", ">", "")
NEW, GOES_ON, FINISHED, TRAINED = "new", "goes on", "finished", "being trained"


class Forecast:
    """What training a plan would do.

    Args:
        plan: the runs in order.

    Raises:
        UserError: what `train_all` would refuse before the first epoch, or a mistake in one of the configs.
    """

    def __init__(self, plan: Sequence[Planned]) -> None:
        runs.refuse_other_runs(plan)
        self.plan = plan
        self._datasets: dict[str, Dataset] = {}
        self._epochs: dict[tuple[str, str], tuple[float | None, str]] = {}  # seconds and where they come from
        self.rows = [self._row(planned) for planned in plan]

    @property
    def seconds(self) -> float:
        """The seconds of all that is left to train and whose time is known, by one process."""
        return sum(row["seconds"] or 0.0 for row in self.rows)

    @property
    def is_complete(self) -> bool:
        """Whether the time of every run is known."""
        return all(row["seconds"] is not None for row in self.rows)

    def _row(self, planned: Planned) -> Row:
        run, state = Run(planned.folder), state_of(planned.folder)
        names = {"name": planned.name, "data": planned.data, "seed": planned.seed, "run": str(planned.folder)}
        if state == FINISHED:
            return names | _finished(run)
        begun = run.config_path.is_file()
        config, typed = (run.config(), set(configs.keys())) if begun else (planned.config, planned.typed)
        try:
            rehearsal = Rehearsal(config, typed, planned.fit_check, self._dataset(config))
            done = _epochs_of(run)
            epochs = rehearsal.config.optim.epochs
            each, basis = self._epoch(planned, rehearsal)
        except UserError as error:
            raise error if len(self.plan) == 1 else runs.naming_file(planned.config_path, error) from None
        return names | {
            "state": state,
            "images": rehearsal.images,
            "batch": rehearsal.batch,
            "steps": rehearsal.steps,
            "epochs": epochs,
            "done_epochs": done,
            "seconds": None if each is None else (epochs - done) * each,
            "basis": basis,
            "config": asdict(rehearsal.config),
        }

    def _dataset(self, config: Config) -> Dataset:
        key = repr(config.data)
        if key not in self._datasets:
            self._datasets[key] = load_dataset(config)
        return self._datasets[key]

    def _epoch(self, planned: Planned, rehearsal: Rehearsal) -> tuple[float | None, str]:
        """Returns the seconds of an epoch, None if nobody knows them yet, and where they come from, in words."""
        if known := _seconds_of(planned.folder):
            return known
        key = (planned.name, planned.data)
        if key not in self._epochs:
            likes = [other.folder for other in self.plan if (other.name, other.data) == key]
            self._epochs[key] = next(filter(None, map(_seconds_of, likes)), None) or self._timed(planned, rehearsal)
        return self._epochs[key]

    def _timed(self, planned: Planned, rehearsal: Rehearsal) -> tuple[float | None, str]:
        waits = [folder for folder in sharing.sources(planned, self.plan) if not Run(folder).finished]
        if waits:
            return None, f"unknown until '{waits[0]}' is trained, which it starts or learns from"
        if planned.fit_check:
            planned.fit_check(rehearsal.network, rehearsal.config, len(rehearsal.dataset.classes))
        try:
            step = rehearsal.step_time()
        finally:
            keras.utils.clear_session()  # or the graphs of all networks stay in memory
        return step.seconds * rehearsal.steps, f"{counted(step.steps, 'step')} timed on this machine"


def _epochs_of(run: Run) -> int:
    """Returns how many epochs a run has behind it."""
    return len(run.history()) if run.history_path.is_file() else 0


def _finished(run: Run) -> Row:
    """Returns the row of a finished run without its names; its data are not read."""
    config, images = run.config(), {split: len(names) for split, names in run.split().items()}
    batch, done = min(config.optim.batch, images["train"]), _epochs_of(run)
    known = {"images": images, "batch": batch, "steps": images["train"] // batch, "epochs": done, "done_epochs": done}
    return known | {"state": FINISHED, "seconds": 0.0, "basis": "", "config": asdict(config)}


def state_of(folder: Path) -> str:
    """Returns how far the run in a folder is: NEW, GOES_ON, FINISHED or TRAINED, by another process at this moment."""
    run = Run(folder)
    if run.finished:
        return FINISHED
    lease = leases.newest(folder / LEASE) if folder.is_dir() else None
    if lease and not lease.dead:
        return TRAINED
    return GOES_ON if run.config_path.is_file() else NEW


def _seconds_of(folder: Path) -> tuple[float, str] | None:
    """Returns the median seconds of the epochs of a run, and where they come from; None if it has none yet."""
    run = Run(folder)
    if not (count := _epochs_of(run)):
        return None
    return statistics.median(
        float(row["seconds"]) for row in run.history()
    ), f"as {counted(count, 'epoch')} of '{folder}'"


def of_plan(plan: Sequence[Planned], out: Path) -> tuple[dict[str, Any], str]:
    """Returns what training a plan would do, and its table.

    Args:
        plan: the runs in order.
        out: their folder.

    The result is {"out", "runs": rows of `Forecast`, "seconds": of all that is left, None if one is not known}.
    """
    forecast = Forecast(plan)
    result = {
        "out": str(out),
        "runs": forecast.rows,
        "seconds": forecast.seconds if forecast.is_complete else None,
    }
    return result, f"in '{out}':\n{table(forecast)}"


def table(forecast: Forecast) -> str:
    """Returns a line for each run, and what all of them take together."""
    return "\n".join([*tables.aligned([HEADINGS, *map(_cells, forecast.rows)], COLUMNS, "  "), "", total(forecast)])


def _cells(row: Row) -> tuple[str, ...]:
    state = f"{row['state']} after {row['done_epochs']}" if row["state"] == GOES_ON else row["state"]
    left = "" if row["seconds"] is None else tables.duration(row["seconds"]) if row["seconds"] else ""
    images, steps = f"{row['images']['train']:,}", f"{row['steps']:,}"
    return row["name"], row["data"], str(row["seed"]), state, images, str(row["epochs"]), steps, left, row["basis"]


def total(forecast: Forecast) -> str:
    """Returns sentences on what is left to train, how long that takes, and what is not in it."""
    left = [row for row in forecast.rows if row["state"] != FINISHED]
    if not left:
        return "nothing is left to train"
    named = f"{counted(len(left), 'run')} of {len(forecast.rows)} to train"
    known = tables.duration(forecast.seconds)
    length = f"about {known}" if forecast.is_complete else f"at least {known}" if forecast.seconds else "time unknown"
    searches = (
        " and without searches for the learning rate"
        if any(row["config"]["search"]["algorithm"] != "none" for row in left)
        else ""
    )
    return f"{named}: {length} by one process, without validation{searches}; nothing was written"


def of_one(forecast: Forecast) -> str:
    """Returns what the only run of a plan would be, in lines."""
    (row,) = forecast.rows
    model, images = row["config"]["model"], row["images"]
    lines = [
        f"{row['run']}: {row['state']}" + (f" after epoch {row['done_epochs']}" if row["state"] == GOES_ON else ""),
        f"{model['name']} of width {model['width']:g} at {model['resolution']} pixels",
        f"{images['train']:,} training, {images['val']:,} val and {images['test']:,} test images of {row['data']}",
        f"{counted(row['epochs'], 'epoch')} of {counted(row['steps'], 'step')} of {counted(row['batch'], 'image')}",
        total(forecast) + (f" ({row['basis']})" if row["basis"] else ""),
    ]
    return "\n".join([*lines, *_settings(row, forecast.plan[0].typed)])


def _settings(row: Row, typed: Collection[str] | None) -> list[str]:
    """Returns what is not as by default, in lines: what was typed, and what was chosen where the user said nothing."""
    chosen = _chosen(row["config"])
    own = {dotted for dotted in chosen if typed is not None and row["state"] == NEW and dotted in typed}
    others = "settings that were chosen for you:" if own else "settings that differ from the defaults:"
    lines = []
    for heading, keys in (("settings that you typed:", own), (others, chosen.keys() - own)):
        if keys:
            lines += ["", heading, *(f"  {dotted}={value}" for dotted, value in chosen.items() if dotted in keys)]
    return lines


def _chosen(values: dict[str, Any]) -> dict[str, str]:
    """Returns {dotted key: value as it is typed} of those values of a config that are not its defaults.

    Sections that the training does not read are left out.
    """
    default, found, known = asdict(Config()), {}, configs.keys()
    used = set(values["method"].split("+"))
    unread = {name for name in plugins.names("methods") if name not in used} | {"qat", "export"}
    unread |= {"search"} if values["search"]["algorithm"] == "none" else set()
    unread |= set() if values["task"] in boxes.TASKS else {"detect"}
    for dotted in known:
        section, _, name = dotted.rpartition(".")
        ours, usual = (source[section] if section else source for source in (values, default))
        if ours[name] != usual[name] and section not in unread:
            found[dotted] = ours[name] if isinstance(ours[name], str) else json.dumps(ours[name])
    return found
