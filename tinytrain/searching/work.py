"""What a process of a search does: it takes one trial after the other, new ones and those whose process has died."""

import gc
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import optuna
from optuna.trial import FrozenTrial, TrialState

from tinytrain import progress, tables
from tinytrain.config import load as configs
from tinytrain.data.source import Dataset, counted
from tinytrain.errors import UserError, escaped
from tinytrain.files import make_folder
from tinytrain.locks import Held, Watch
from tinytrain.run import Run
from tinytrain.searching import budget, trial
from tinytrain.searching.budget import Plan, Speed
from tinytrain.searching.limits import Limits
from tinytrain.searching.space import Network, Space
from tinytrain.searching.study import Study
from tinytrain.train import checkpoint, figures, fit
from tinytrain.train.callbacks import Diverged

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Job:
    """What a search looks for, the same for all its processes.

    overrides: the KEY=VALUE words that every trial has; dataset: the images; images: how many of them are trained on;
    space, limits, architectures: what is drawn; plan: how long trials are; most_trials, seconds: where it ends; speed:
    as it was measured, None where no time is set; seed: of what is drawn; keeps_best: whether runs keep their best
    epoch.
    """

    overrides: list[str]
    dataset: Dataset
    images: int
    space: Space
    limits: Limits
    architectures: list[str]
    plan: Plan
    most_trials: int | None
    seconds: float | None
    speed: Speed | None
    seed: int
    keeps_best: bool


def folder_of(out: Path, number: int) -> Path:
    """Returns the run folder of a trial."""
    return out / f"trial-{number:03d}"


class Work:
    """The trials that this process trains, together with others.

    Args:
        study: the study.
        job: what is looked for.
        ended: called after each trial that ends here.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        study: Study,
        job: Job,
        ended: Callable[[], None] = lambda: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.study, self.job, self.ended, self.pause = study, job, ended, pause
        self.watch = Watch()
        self.figure = figures.of(job.dataset.task).main

    def train_all(self) -> None:
        """Trains until there are enough trials, or no time for another, and those of other processes are over."""
        while True:
            running = [one.number for one in self.study.trials(TrialState.RUNNING)]
            if any(map(self._take, running)):
                continue
            number = self.study.ask(self.job.most_trials) if self._is_time_for_another() else None
            if number is not None:
                self._take(number)
            elif not running:
                return
            else:
                with progress.stage(f"waiting for {counted(len(running), 'trial')} of other processes"):
                    self.pause(POLL_SECONDS)

    def left(self) -> float | None:
        """Returns the seconds that are left for trials, those for the finalists apart; None without a limit."""
        if self.job.seconds is None:
            return None
        reserve = self.job.plan.reserve_seconds * max(self.study.pace("epochs"), self.study.pace("start"))
        return self.job.seconds - self.study.used_seconds() - reserve

    def _is_time_for_another(self) -> bool:
        left, speed = self.left(), self.job.speed
        if left is None:
            return True
        if speed is None:  # the search was begun with a number of trials, and nothing was measured
            return left > 0
        drawn = [one for one in self.study.trials() if "network" in one.user_attrs]
        typical = statistics.median_high(map(self._planned_epoch, drawn)) if drawn else 0.0
        epochs = budget.first_rung(self.job.plan.epochs) * typical
        return budget.begins(left, self.study.pace("start") * speed.start, self.study.pace("epochs") * epochs)

    def _take(self, number: int) -> bool:
        """Trains a trial to its end unless another process has it; returns whether it is over."""
        run = Run(folder_of(self.study.folder, number))
        make_folder(run.folder)
        try:
            with run.writing(self.watch):
                current = self.study.trial(number, self.job.seed)
                if current is not None:
                    self._train(current, run)
                    self.ended()
        except Held:
            return False
        return True

    def _train(self, current: optuna.Trial, run: Run) -> None:
        """Draws a trial if it is new, and trains it from where it stands."""
        self.study.beat()
        began = time.monotonic()
        network, words = self._drawn(current)
        planned = self._planned_epoch(current)
        rungs = trial.Rungs(
            current,
            f"val_{self.figure.key}",
            self.job.keeps_best,
            self.job.plan.epochs,
            self.left,
            self.study.beat,
            planned * self.study.pace("epochs"),
        )
        progress.write(escaped(f"trial {current.number}: {network}, {' '.join(words[len(self.job.overrides) + 5 :])}"))
        reason, int8 = "", None
        try:
            self._fit(words, run, rungs)
            rungs.look(checkpoint.history(run.last_path))  # where `fit` had nothing left to do, it has not asked
            reason = rungs.reason
            if reason != trial.BEATEN or rungs.done > budget.first_rung(self.job.plan.epochs):
                with progress.stage("quantizing the network"):  # takes as long as an epoch or more
                    int8 = trial.int8_on_val(run)
        except Diverged:
            reason = "its loss became infinite"
        except Held:
            raise
        except UserError as error:  # such as too little memory: smaller networks have more luck
            if not any(one.user_attrs.get("int8") for one in self.study.trials()):
                raise  # what is wrong with the keys or the data is wrong with every trial
            reason = str(error)
        if rungs.seconds and self.job.speed:
            beside = time.monotonic() - began - sum(rungs.seconds) - rungs.epoch_seconds
            pace = {"epochs": rungs.epoch_seconds / planned, "start": beside / self.job.speed.start}
            current.set_user_attr("pace", pace)
        self._end(current, rungs, reason, int8)

    def _planned_epoch(self, current: optuna.Trial | FrozenTrial) -> float:
        """Returns the seconds of an epoch of a trial, as planned; 0 where no time is set."""
        if self.job.speed is None:
            return 0.0
        step_seconds = self.job.limits.sketch(Network(**current.user_attrs["network"])).step_seconds
        return self.job.speed.epoch(step_seconds, self.job.images)

    def _fit(self, words: list[str], run: Run, rungs: trial.Rungs) -> None:
        # each run traces its functions again, about which TensorFlow warns
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        begun, config = run.config_path.is_file(), configs.load(None, words)
        try:
            fit.fit(config, run.folder, resume=begun, typed=configs.typed(None, words), ends=rungs)
        finally:
            keras.utils.clear_session()  # otherwise the graphs of all runs stay in memory
            gc.collect()

    def _drawn(self, current: optuna.Trial) -> tuple[Network, list[str]]:
        """Returns the network and the words of a trial; drawn now, unless a process that died has drawn them."""
        stored = current.user_attrs
        if "words" in stored:
            return Network(**stored["network"]), stored["words"]
        network, training = self.job.space.draw(current, self.job.architectures)
        cost = self.job.limits.cost(network)
        listed = trial.words(self.job.overrides, network, training, self.job.plan.epochs, self.job.dataset)
        if current.number:  # the first trial says what is to be known of the data
            listed += ["data.check=false", f"data.resize={self.job.space.config.data.resize}"]
        current.set_user_attr("network", vars(network))
        current.set_user_attr("cost", cost.report())
        current.set_user_attr("words", listed)
        return network, listed

    def _end(self, current: optuna.Trial, rungs: trial.Rungs, reason: str, int8: float | None) -> None:
        """Tells the study and the user what came out."""
        attributes: dict[str, Any] = {"reason": reason, "int8": int8, "epochs": rungs.done, "val": rungs.score}
        for name, value in attributes.items():
            current.set_user_attr(name, value)
        self.study.end(current, rungs.score, complete=not reason)
        self.study.beat()
        label = self.figure.label
        measured = f"val {label} {100 * rungs.score:.1f} %, " if rungs.done else ""
        measured += "" if int8 is None else f"int8 {100 * int8:.1f} %, "
        why = f" ({reason})" if reason else ""
        progress.write(
            escaped(
                f"trial {current.number}: {measured}{counted(rungs.done, 'epoch')} of {self.job.plan.epochs}{why}; "
                f"{self._what_is_left()}"
            )
        )

    def _what_is_left(self) -> str:
        """Returns how much of the search is left, in words."""
        count, used = len(self.study.trials(TrialState.COMPLETE, TrialState.PRUNED)), self.study.used_seconds()
        if self.job.seconds is not None:
            return f"{tables.duration(max(self.job.seconds - used, 0))} left of {tables.duration(self.job.seconds)}"
        most = self.job.most_trials or count
        about = used / max(count, 1) * (most - count)
        return f"{counted(most - count, 'trial')} left" + (f", about {tables.duration(about)}" if most > count else "")
