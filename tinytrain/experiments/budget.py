"""Equal processor time for all arms of an experiment: `--budget time` of `compare` and `reproduce`.

Before anything is trained, the processor time of a step, of all cores together, is measured once for each arm and
dataset (train/rehearsal.py). On each dataset the arm whose own epochs take longest sets the budget and keeps its
epochs. Every other arm gets as many epochs as come nearest to that time, with the seeds alike:

    budget = max over the arms of (own epochs · steps · seconds of a step)
    epochs = budget / (steps · seconds of a step), rounded

So no arm is trained for less than its own config says. budget.json keeps what was measured: the same command, run again
or in another process, trains the same. An arm that is added later gets the time of the stored budget.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import keras

from tinytrain import locks, progress, tables
from tinytrain.config import load as configs
from tinytrain.config.fields import MOST_EPOCHS
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset, counted
from tinytrain.errors import UserError, escaped, unknown
from tinytrain.experiments import runs, sharing
from tinytrain.experiments.papers import scaling
from tinytrain.experiments.planned import Planned
from tinytrain.files import make_folder, read_json, write_json
from tinytrain.run import Run
from tinytrain.train import resolve
from tinytrain.train.rehearsal import Rehearsal

EPOCHS, TIME = "epochs", "time"  # what is equal
FILE, LOCK = "budget.json", ".budget.lock"
Row: TypeAlias = dict[str, Any]


def applied(budget: str, plan: list[Planned], out: Path, write: bool = True) -> tuple[list[Planned], str]:
    """Returns a plan whose runs have the same budget on each dataset, and a sentence that says so.

    Args:
        budget: EPOCHS, with which the plan stays as it is and nothing is said, or TIME.
        plan: the runs in order.
        out: the folder of budget.json.
        write: whether budget.json is written; else nothing is.

    Raises:
        UserError: another budget, a step that cannot be measured, or a budget.json that was measured with other epochs.
    """
    if budget not in (EPOCHS, TIME):
        raise unknown("budget", budget, (EPOCHS, TIME))
    if budget == EPOCHS:
        return plan, ""
    datasets: dict[str, Dataset] = {}
    for planned in plan:
        key = repr(planned.config.data)
        if key not in datasets:
            datasets[key] = load_dataset(planned.config)
    if write:
        make_folder(out)
        with locks.held_in_turn(out / LOCK, f"the budget of '{out}'", "another process, which measures the steps"):
            known = _measured(plan, datasets, out / FILE)
            write_json(out / FILE, known)
    else:
        known = _measured(plan, datasets, out / FILE)
    row_of = {(row["name"], row["data"]): row for row in known["arms"]}
    longer = [
        _with_epochs(planned, datasets[repr(planned.config.data)], row_of[planned.name, planned.data]["epochs"])
        for planned in plan
    ]
    times = ", ".join(f"{tables.duration(seconds)} on {data}" for data, seconds in known["cpu_seconds"].items())
    return longer, f"All are trained for the same processor time, by measured steps ({FILE}): about {times}."


def epochs_in(seconds: float, epoch_seconds: float) -> int:
    """Returns how many epochs come nearest to a time, at least one."""
    return min(max(round(seconds / epoch_seconds), 1), MOST_EPOCHS)


def _with_epochs(planned: Planned, dataset: Dataset, epochs: int) -> Planned:
    """Returns a run that trains for `epochs`; what is usual for its task is decided with its own number of them."""
    usual, _ = resolve.with_usual(planned.config, dataset, planned.typed)
    return replace(planned, config=scaling.lengthened(usual, epochs), typed=set(configs.keys()))


def _measured(plan: Sequence[Planned], datasets: dict[str, Dataset], path: Path) -> Row:
    """Returns {"cpu_seconds": {data: budget}, "arms": [a row for each arm and dataset]}: what is stored, and the rest.

    A row is {"name", "data", "own_epochs", "steps": of an epoch, "step_cpu_seconds", "timed_steps", "epochs"}.
    """
    known: Row = read_json(path) if path.is_file() else {"cpu_seconds": {}, "arms": []}
    stored, new = {(row["name"], row["data"]): row for row in known["arms"]}, []
    for planned in plan:
        key, dataset = (planned.name, planned.data), datasets[repr(planned.config.data)]
        own = resolve.with_usual(planned.config, dataset, planned.typed)[0].optim.epochs
        if key not in stored:
            stored[key] = _timed(planned, plan, dataset)
            new.append(stored[key])
        elif stored[key]["own_epochs"] != own:
            raise UserError(
                f"'{path}' was measured with {stored[key]['own_epochs']} epochs of {planned.name} on {planned.data}, "
                f"received {own}: ask for the same, or name another folder with --out"
            )
    for data in dict.fromkeys(row["data"] for row in new):
        longest = max(row["own_epochs"] * _epoch_seconds(row) for row in new if row["data"] == data)
        known["cpu_seconds"].setdefault(data, longest)
    for row in new:
        row["epochs"] = epochs_in(known["cpu_seconds"][row["data"]], _epoch_seconds(row))
        _tell(row)
    return known | {"arms": [*known["arms"], *new]}


def _epoch_seconds(row: Row) -> float:
    return row["steps"] * row["step_cpu_seconds"]


def _timed(planned: Planned, plan: Sequence[Planned], dataset: Dataset) -> Row:
    if waits := [folder for folder in sharing.sources(planned, plan) if not Run(folder).finished]:
        raise UserError(
            f"--budget time measures a step of every arm before anything is trained, but {planned.name} starts from "
            f"or learns from '{waits[0]}', which is not trained yet: leave out --budget"
        )
    try:
        rehearsal = Rehearsal(planned.config, planned.typed, dataset=dataset)
        step = rehearsal.step_time()
    except UserError as error:
        raise runs.naming_file(planned.config_path, error) from None
    finally:
        keras.utils.clear_session()  # or the graphs of all networks stay in memory
    return {
        "name": planned.name,
        "data": planned.data,
        "own_epochs": rehearsal.config.optim.epochs,
        "steps": rehearsal.steps,
        "step_cpu_seconds": step.cpu_seconds,
        "timed_steps": step.steps,
    }


def _tell(row: Row) -> None:
    step, own = (
        f"{1000 * row['step_cpu_seconds']:,.1f} ms of processor time per step",
        counted(row["own_epochs"], "epoch"),
    )
    progress.write(escaped(f"{row['name']} on {row['data']}: {step}, {row['epochs']} epochs instead of {own}"))
