"""The trials of a learning-rate search: an Optuna study in a database that several workers may share.

A worker is one run folder. It asks for trials until the study has as many as search.trials (or search.points) says,
waits for those that others still train, and reads the same best one as they do. What happens to a trial:
- its worker is killed: it stays RUNNING, and the same run folder takes it up again;
- its worker never comes back: the others, when nothing else is left to do, see that its beat stands still and mark it
  FAIL, which gives its place to a new trial;
- two workers ask for the last place at once: the later trial is marked FAIL. FAIL means nothing else.

The beat is an attribute of the trial that a thread renews. Optuna's own heartbeat belongs to Study.optimize, which
cannot resume a trial, and it takes a trial that was killed before its first beat for alive forever. A waiting
worker looks whether the beat changes, on its own clock, so that the clocks of the machines need not agree.
"""

import contextlib
import decimal
import json
import math
import threading
import time
from collections.abc import Iterator

import numpy as np
import optuna
import sqlalchemy
from optuna.samplers import TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from tinytrain.config.schema import Search
from tinytrain.errors import UserError

BEAT_SECONDS, GRACE_SECONDS, POLL_SECONDS = 10.0, 120.0, 1.0
LOCK_SECONDS = 100  # SQLite: how long a worker waits for the writes of others
STARTUP = 5  # trials drawn at random before TPE draws them, and trained to the end before any is pruned
KEY = "search.storage ="
FAULTS = (  # of a database, and of what somebody else has written into it
    sqlalchemy.exc.SQLAlchemyError,
    optuna.exceptions.StorageInternalError,
    json.JSONDecodeError,
    UnicodeDecodeError,
)


def open_storage(url: str, name: str = KEY) -> RDBStorage:
    """Returns the database at `url`, its tables made; raises UserError if it cannot be opened.

    Args:
        url: of the database.
        name: what the user said it with.
    """
    if url in ("sqlite://", "sqlite:///:memory:"):
        raise cannot_use(url, ValueError("it forgets the trials when this process ends"), name)
    local = url.startswith("sqlite")
    options = {"connect_args": {"timeout": LOCK_SECONDS}} if local else {"pool_pre_ping": True}  # servers hang up
    for attempt in range(1, 10):
        try:
            return RDBStorage(url, engine_kwargs=options)
        except (ImportError, ValueError, RuntimeError, *FAULTS) as error:
            # Two workers that make the tables at once: one of them meets the other's.
            raced = isinstance(error, sqlalchemy.exc.IntegrityError | RuntimeError) or "already exists" in str(error)
            if not raced or attempt == 9:
                raise cannot_use(url, error, name) from None
            time.sleep(0.1 * attempt)
    raise AssertionError  # not reached


def only_name(storage: RDBStorage) -> str | None:
    """Returns the name of the only study in the database of one run, None if it holds none yet.

    A name that is made from the config changes when keys are renamed, the trials of a run that goes on do not.
    """
    names = optuna.get_all_study_names(storage)
    return names[0] if len(names) == 1 else None


def cannot_use(url: str, error: BaseException, name: str = KEY) -> UserError:
    """Returns the sentence for a database that `error` came from; `name` is what the user said it with."""
    with contextlib.suppress(sqlalchemy.exc.ArgumentError):
        url = sqlalchemy.make_url(url).render_as_string(hide_password=True)
    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    reason = str(getattr(cause, "orig", None) or cause or error).partition("\n")[0].rstrip(".")
    return UserError(
        f"cannot use the database of the search, {name} '{url}': {reason}; give a URL such as "
        "sqlite:///search.db or mysql://user@host/name, with its driver installed, or none"
    )


def grid(search: Search) -> list[float]:
    """Returns the search.points learning rates, evenly spaced from search.low to search.high, both included."""
    return [rounded(value) for value in np.linspace(float(search.low), float(search.high), search.points)]


def highest(search: Search) -> float:
    """Returns the last candidate of search.low, low + step, … that is not above search.high."""
    # Decimal, as Optuna counts: in floats 0.029 is not 24 steps of 0.001 above 0.005.
    low, high, step = (decimal.Decimal(str(value)) for value in (search.low, search.high, search.step))
    return float(low + (high - low) // step * step)


def rounded(lr: float) -> float:
    """Returns `lr` without binary rounding noise: 0.013, not 0.013000000000000001."""
    return float(f"{lr:.10g}")


class Trials:
    """The trials of one study.

    Args:
        storage: its database.
        name: of the study.
        search: algorithm, range and numbers.
        seed: of what is drawn at random.
        owner: the id of this worker; empty: nobody else uses the database.
    """

    def __init__(self, storage: RDBStorage, name: str, search: Search, seed: int, owner: str) -> None:
        self.search, self.seed, self.owner = search, seed, owner
        self.places = search.trials if search.algorithm == "tpe" else search.points
        self.beats: dict[int, tuple[float, float]] = {}  # trial: its last beat, and when we first saw it
        self.study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(STARTUP) if search.algorithm == "tpe" else optuna.pruners.NopPruner(),
        )

    def all(self) -> list[FrozenTrial]:
        """Returns the trials that count, by their number."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.state != TrialState.FAIL]

    def next(self) -> Trial | None:
        """Returns the trial to train: ours that was interrupted, or a new one; None, after waiting, if all are over."""
        while True:
            trials = self.all()
            running = [trial for trial in trials if trial.state == TrialState.RUNNING]
            own_trials = [trial for trial in running if not self.owner or trial.user_attrs.get("owner") == self.owner]
            if own_trials:
                return Trial(self.study, own_trials[0]._trial_id)
            if self._left(trials) > 0:
                if trial := self._ask():
                    return trial
            elif not running:
                return None
            else:
                self._fail_stale(running)
                time.sleep(POLL_SECONDS)

    def lr(self, trial: Trial) -> float:
        """Returns the learning rate of `trial`, drawn now unless it has one."""
        if "lr" in trial.params:
            return rounded(trial.params["lr"])
        if self.search.algorithm == "grid":
            value = self._point(trial)
            return rounded(trial.suggest_float("lr", value, value))
        # A seed for each trial: with one for all, workers would draw the same rates, and a resumed search its first
        # ones again.
        seed = int(np.random.default_rng([self.seed, trial.number]).integers(2**32))
        self.study.sampler = TPESampler(n_startup_trials=STARTUP, seed=seed)
        return rounded(trial.suggest_float("lr", float(self.search.low), highest(self.search), step=self.search.step))

    def repeats(self, trial: Trial) -> bool:
        """Returns whether an earlier trial has the same learning rate."""
        earlier = [other for other in self.all() if other.number < trial.number]
        return any(same(other.params.get("lr", -1), trial.params["lr"]) for other in earlier)

    def best(self) -> FrozenTrial | None:
        """Returns the first of the trials with the highest value among those that came to their end."""
        complete = [trial for trial in self.all() if trial.state == TrialState.COMPLETE]
        return max(complete, key=lambda trial: (trial.value, -trial.number), default=None)

    def end(self, trial: Trial, value: float | None) -> None:
        """Marks `trial` as finished with `value`; None: as pruned."""
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        self.study.tell(trial, value, state=state, skip_if_finished=True)

    def _ask(self) -> Trial | None:
        """Returns a new trial, or None if another worker took the last place at the same time."""
        trial = self.study.ask()
        trial.set_user_attr("owner", self.owner)
        if self._left([other for other in self.all() if other.number < trial.number]) > 0:
            return trial
        self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        return None

    def _left(self, trials: list[FrozenTrial]) -> int:
        """Returns how many trials are to be begun beside `trials`."""
        if self.search.algorithm == "tpe":
            return self.places - len(trials)
        return len(self._free(trials)) - sum(not trial.params for trial in trials)

    def _point(self, trial: Trial) -> float:
        """Returns a point of the grid for `trial`, leaving one to each earlier trial that has none yet."""
        others = [other for other in self.all() if other.number != trial.number]
        waiting = sum(not other.params for other in others if other.number < trial.number)
        return [*self._free(others), *grid(self.search)][waiting]

    def _free(self, trials: list[FrozenTrial]) -> list[float]:
        """Returns the points of the grid that none of `trials` has."""
        rates = [trial.params["lr"] for trial in trials if trial.params]
        return [value for value in grid(self.search) if not any(same(value, lr) for lr in rates)]

    def _fail_stale(self, running: list[FrozenTrial]) -> None:
        """Marks the trials as failed whose beat stood still for GRACE_SECONDS while we waited."""
        for trial in running:
            beat, now = trial.user_attrs.get("beat", 0.0), time.monotonic()
            known = self.beats.setdefault(trial.number, (beat, now))
            if known[0] != beat:
                self.beats[trial.number] = (beat, now)
            elif now - known[1] > GRACE_SECONDS:
                with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # by another who waits
                    self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def same(a: float, b: float) -> bool:
    """Returns whether two learning rates differ by rounding only."""
    return math.isclose(a, b, rel_tol=1e-6)


@contextlib.contextmanager
def beating(trial: Trial) -> Iterator[None]:
    """Renews the beat of `trial` from a thread, however long an epoch is, until the block is left or we are killed."""
    stop = threading.Event()

    def beat() -> None:
        while True:
            with contextlib.suppress(optuna.exceptions.OptunaError):  # a slow database, or the trial was given away
                trial.set_user_attr("beat", time.time())
            if stop.wait(BEAT_SECONDS):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
