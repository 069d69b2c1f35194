"""Checkpoints: every number that a training step reads or writes, saved after each epoch."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinytrain.errors import UserError
from tinytrain.files import write_atomically
from tinytrain.run import Run
from tinytrain.train.method import Method


def save(path: Path, variables: list[keras.Variable], state: dict[str, Any]) -> None:
    """Writes the values of `variables`, in order, and a `state`.

    Args:
        path: the .npz file, replaced atomically.
        variables: what is saved.
        state: anything that JSON can hold, with "epoch" (the whole epochs done).
    """
    arrays: dict[str, Any] = {f"{number:05d}": variable.numpy() for number, variable in enumerate(variables)}
    arrays["state"] = np.array(json.dumps(state))
    write_atomically(path, lambda file: np.savez(file, **arrays))


def load(path: Path, variables: list[keras.Variable]) -> dict[str, Any]:
    """Assigns the saved values to `variables` and returns the state; raises UserError as `read` does."""
    values, state = read(path, variables)
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return state


def read(path: Path, variables: list[keras.Variable]) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Returns the saved values of `variables` and the state.

    Raises UserError if the file is missing or damaged, or holds the numbers of another model.
    """
    values, state = _unpack(path)
    saved_kinds = [(value.shape, value.dtype.kind) for value in values]
    expected_kinds = [(tuple(variable.shape), np.dtype(variable.dtype).kind) for variable in variables]
    if saved_kinds != expected_kinds:
        raise _unusable(path, "belongs to another network than the one in config.toml beside it")
    return values, state


def history(path: Path) -> list[dict[str, float]]:
    """Returns the rows of the history in a last.npz, none if there is no such file; raises UserError as `read` does."""
    if not path.exists():
        return []
    rows = _unpack(path)[1].get("history")
    if not isinstance(rows, list):
        raise _unusable(path, "is damaged (no history in it)")
    return rows


def _unpack(path: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    try:
        with np.load(path) as saved:
            values = [np.asarray(saved[name]) for name in sorted(saved.files) if name != "state"]
            state = dict(json.loads(str(saved["state"])))
        if type(state.get("epoch")) is not int:
            raise ValueError("no epoch in it")
        return values, state
    except FileNotFoundError:
        raise _unusable(path, "is missing") from None
    except Exception as error:  # NumPy, zipfile and zlib each raise their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise _unusable(path, f"is damaged ({reason})") from None


def _unusable(path: Path, what: str) -> UserError:
    """Returns the error for an unusable checkpoint; without last.npz the first epoch writes both files again."""
    last = path.with_name("last.npz")
    return UserError(
        f"the checkpoint '{path}' {what}: delete '{last}' and resume, then the training starts again at its first epoch"
    )


def trained_variables(method: Method) -> list[keras.Variable]:
    """Returns all that training changes: weights, statistics, dropout seeds, velocities and the count of steps.

    The network that is evaluated and saved is among them where a method keeps it apart from what it trains, as NetAug
    does: a run that stopped after its last epoch has nothing else to save it from.
    """
    ids = {id(variable) for variable in method.variables}
    apart = [variable for variable in method.network.variables if id(variable) not in ids]
    return [*method.variables, *apart, *method.optimizer.variables]


class Checkpoint(keras.callbacks.Callback):
    """After each epoch writes best.npz (if `score` did not fall below its best), last.npz and history.csv.

    Figures count to 4 digits. Of equal ones the last is kept: on few val images they are many, and under a falling
    learning rate the later weights are the better ones.

    A kill before last.npz is there repeats the epoch, which comes out the same; history.csv is then written from it.
    Workers beside the chief have no run and write nothing.
    """

    def __init__(self, run: Run | None, history: list[dict[str, float]], score: str) -> None:
        super().__init__()
        self.run, self.history, self.score = run, history, score

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the epoch to the history and saves."""
        logs = logs or {}
        best = max((round(row[self.score], 4) for row in self.history), default=-1.0)
        self.history.append({"epoch": epoch + 1} | {name: float(value) for name, value in logs.items()})
        if self.run is None:
            return
        if round(logs[self.score], 4) >= best:
            save(self.run.best_path, self.model.network.variables, {"epoch": epoch + 1})
        save(self.run.last_path, trained_variables(self.model), {"epoch": epoch + 1, "history": self.history})
        self.run.write_history(self.history)
