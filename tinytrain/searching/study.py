"""The study of a search: an Optuna database of its candidates, which several processes share.

Each candidate is a trial of the database and a run folder, DIR/trial-NNN, and all processes see the same folder DIR.
Who has the lease of a run folder (locks.py) trains that trial: a trial that runs in the database but whose folder
nobody holds has lost its process, and whoever sees it goes on after its last whole epoch. So no trial is trained twice.

FAIL means that a trial was never begun: another process took the last place at the same time.
"""

import json
import time
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from tinytrain.errors import UserError
from tinytrain.files import write_text
from tinytrain.searching import budget

NAME = "tinytrain-search"
STARTUP = 5  # trials drawn at random before TPE draws them
FACTS = {  # what two processes of one search have in common, by the words of a sentence
    "images": "data source or other images in it",
    "board": "board",
    "latency_ms": "--latency-ms",
    "settings": "list of KEY=VALUE words",
    "folder": "folder",
}


class Study:
    """The trials of a search.

    Args:
        storage: the database.
        folder: DIR.
        facts: "data" and what the keys of FACTS say of the search, "folder" apart; no other may use the database.
        clock: gives the time of day in seconds.
    """

    def __init__(
        self, storage: RDBStorage, folder: Path, facts: dict[str, Any], clock: Callable[[], float] = time.time
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.folder, self.clock, self.token = folder, clock, uuid.uuid4().hex
        self.began = clock()
        self.study = optuna.create_study(
            storage=storage,
            study_name=NAME,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.NopPruner(),
        )
        self._refuse_other(facts | {"folder": _token(folder)})

    def _refuse_other(self, facts: dict[str, Any]) -> None:
        stored = self.study.user_attrs.get("facts")
        if stored is None:
            self.study.set_user_attr("facts", facts)
            return
        for key, words in FACTS.items():
            if stored.get(key) != facts[key]:
                theirs, ours = (each.get("data" if key == "images" else key) or "none" for each in (stored, facts))
                shown = "" if theirs == ours or key == "folder" else f" ({theirs}, not {ours})"
                raise UserError(
                    f"this database belongs to another search, with another {words}{shown}: name another --out or "
                    "--storage, or repeat the command that began that search"
                )

    def get(self, name: str) -> Any:
        """Returns what a process has stored for all, None if none has."""
        return self.study.user_attrs.get(name)

    def put(self, name: str, value: Any) -> None:
        """Stores a value for all processes."""
        self.study.set_user_attr(name, value)

    def begin(self, epochs: int) -> None:
        """Sets the pruner, once it is known how many epochs a trial has."""
        self.study.pruner = SuccessiveHalvingPruner(budget.first_rung(epochs), budget.REDUCTION)

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Returns the trials in these states, of none given all that count, by their number."""
        wanted = states or (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
        return self.study.get_trials(deepcopy=False, states=wanted)

    def ask(self, most: int | None) -> int | None:
        """Returns the number of a new trial, None if there are `most` already."""
        if most is not None and len(self.trials()) >= most:
            return None
        trial = self.study.ask()
        earlier = [other for other in self.trials() if other.number < trial.number]
        if most is not None and len(earlier) >= most:  # another process took the last place at the same time
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            return None
        return trial.number

    def trial(self, number: int, seed: int) -> Trial | None:
        """Returns a trial to train, whose lease we have; None if it is over."""
        frozen = self.study.get_trials(deepcopy=False)[number]
        if frozen.state != TrialState.RUNNING:
            return None
        # A seed for each trial: with one for all, processes would draw the same, and a search that goes on its first.
        drawn = int(np.random.default_rng([seed, number]).integers(2**32))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study.sampler = TPESampler(n_startup_trials=STARTUP, seed=drawn, constant_liar=True)
        return Trial(self.study, frozen._trial_id)

    def end(self, trial: Trial, value: float | None, complete: bool) -> None:
        """Marks a trial as over: complete, with its value, or pruned."""
        if complete:
            self.study.tell(trial, value, state=TrialState.COMPLETE, skip_if_finished=True)
        else:
            self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

    def beat(self) -> None:
        """Notes that this process works until now."""
        self.put(f"session-{self.token}", [self.began, self.clock()])

    def used_seconds(self) -> float:
        """Returns for how long at least one process has worked on the search, until now."""
        spans = [value for name, value in self.study.user_attrs.items() if name.startswith("session-")]
        return covered([*spans, [self.began, self.clock()]])

    def pace(self, of: str) -> float:
        """Returns how many times as long as planned something takes, by the trials so far; 1 before the first.

        of: "epochs", or "start", what a trial takes beside its epochs.
        """
        ratios = [one.user_attrs["pace"][of] for one in self.trials() if of in one.user_attrs.get("pace", {})]
        return float(np.median(ratios)) if ratios else 1.0


def covered(spans: list[list[float]]) -> float:
    """Returns the length of the union of [begin, end] spans."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(end - max(begin, reached), 0.0)
        reached = max(reached, end)
    return total


def _token(folder: Path) -> str:
    """Returns what tells this folder from all others, wherever it is mounted; made on first use."""
    path = folder / "search.json"
    if not path.is_file():
        write_text(path, json.dumps({"folder": uuid.uuid4().hex}))
    return json.loads(path.read_text())["folder"]
