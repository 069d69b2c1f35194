"""Checkpoints: every number that a training step reads or writes, saved after each epoch."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinytrain.errors import UserError
from tinytrain.method import Method
from tinytrain.run import Run, write_atomically


def save(path: Path, variables: list[keras.Variable], state: dict[str, Any]) -> None:
    """Writes the values of `variables`, in order, and a JSON-able `state`."""
    arrays: dict[str, Any] = {f"{number:05d}": variable.numpy() for number, variable in enumerate(variables)}
    arrays["state"] = np.array(json.dumps(state))
    write_atomically(path, lambda file: np.savez(file, **arrays))


def load(path: Path, variables: list[keras.Variable]) -> dict[str, Any]:
    """Assigns the saved values to `variables` and returns the state; raises UserError for another model's file."""
    try:
        with np.load(path) as saved:
            values = [saved[name] for name in sorted(saved.files) if name != "state"]
            state = json.loads(str(saved["state"]))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read the checkpoint '{path}': {error}") from None
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise UserError(f"the checkpoint '{path}' is of another model than config.toml beside it")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return state


def history(path: Path) -> list[dict[str, float]]:
    """Returns the rows of the history in a last.npz, none if there is no such file."""
    if not path.exists():
        return []
    with np.load(path) as saved:
        return json.loads(str(saved["state"]))["history"]


def trained_variables(method: Method) -> list[keras.Variable]:
    """Returns all that training changes: weights, statistics, dropout seeds, velocities and the count of steps."""
    return [*method.variables, *method.optimizer.variables]


class Checkpoint(keras.callbacks.Callback):
    """After each epoch writes best.npz (if the figure `score` rose), last.npz and history.csv, in this order.

    Figures count to 4 digits.

    A kill before last.npz is there repeats the epoch, which comes out the same; history.csv is then written from it.
    """

    def __init__(self, run: Run, history: list[dict[str, float]], score: str = "val_top1") -> None:
        super().__init__()
        self.run, self.history, self.score = run, history, score

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Adds the epoch to the history and saves."""
        logs = logs or {}
        best = max((round(row[self.score], 4) for row in self.history), default=-1.0)
        self.history.append({"epoch": epoch + 1} | {name: float(value) for name, value in logs.items()})
        if round(logs[self.score], 4) > best:
            save(self.run.best_path, self.model.network.variables, {"epoch": epoch + 1})
        save(self.run.last_path, trained_variables(self.model), {"epoch": epoch + 1, "history": self.history})
        self.run.write_history(self.history)
