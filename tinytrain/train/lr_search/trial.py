"""One trial of the learning-rate search: plain SGD at a constant rate, reported after each epoch.

A trial keeps a checkpoint, as any training does, and continues from it if its worker was killed.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
import optuna

from tinytrain.config.schema import Config
from tinytrain.data import boxes
from tinytrain.data.splits import Splits
from tinytrain.files import make_folder
from tinytrain.run import Run
from tinytrain.train import checkpoint
from tinytrain.train.callbacks import Diverged
from tinytrain.train.lr_search import study
from tinytrain.train.task import build_network
from tinytrain.train.trainer import Trainer
from tinytrain.workers import collectives


def plain(config: Config, lr: float, epochs: int) -> Config:
    """Returns the config of a trial: what is not named here is not used in the search and has its default."""
    optim = dataclasses.replace(
        config.optim,
        lr=lr,
        epochs=epochs,
        schedule="constant",
        drops="none",
        warmup_epochs=0.0,
        warmup_from=0.0,
        decay="all",
        bias_lr=1.0,
        ema=0.0,
    )
    augment = config.augment
    if config.task in boxes.TASKS:  # a trial has no last epochs in which images are not mixed
        augment = dataclasses.replace(augment, mix_off_epochs=0)
    return Config(
        seed=config.seed,
        task=config.task,
        data=config.data,
        model=config.model,
        detect=config.detect,
        augment=augment,
        optim=optim,
        device=config.device,
    )


class Report(keras.callbacks.Callback):
    """Reports the score of each epoch to the study, once, when its checkpoint is written; `stopped`: it was pruned.

    column: that of history.csv which holds the score.
    """

    def __init__(self, trial: optuna.Trial, column: str) -> None:
        super().__init__()
        self.trial, self.column, self.stopped = trial, column, False
        self.scores = dict(trial.study.trials[trial.number].intermediate_values)  # by epoch, counted from 0

    def __call__(self, epoch: int, score: float) -> bool:
        """Returns whether the training has to stop after `epoch`, counted from 0."""
        if epoch not in self.scores:
            self.trial.report(score, epoch)
            self.scores[epoch] = score
        self.stopped = self.trial.should_prune()
        return self.stopped

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Reports the epoch that was trained."""
        self.model.stop_training = collectives.here().tell(self(epoch, float((logs or {})[self.column])))


class _Told(keras.callbacks.Callback):
    """Stops after an epoch if the `Report` of the chief does."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Asks the chief."""
        self.model.stop_training = collectives.here().tell(None)


def train(config: Config, data: Splits, run: Run, report: Report) -> list[dict[str, float]]:
    """Trains a trial from its last checkpoint in `run` until `report` stops it; returns its history, a row an epoch.

    Raises Diverged if the loss is not finite.
    """
    history = checkpoint.history(run.last_path)
    stops = [report(int(row["epoch"]) - 1, row[report.column]) for row in history]  # a kill may have prevented one
    if any(stops) or len(history) == config.optim.epochs:
        return history
    collectives.here().tell({"train": config.optim.lr})
    trainer = Trainer(config, data, build_network(config, data.dataset.classes))
    trainer.fit(run, [report])
    return trainer.history


def follow(config: Config, data: Splits) -> None:
    """Trains with the chief the trial that this config is of, on a worker beside it."""
    Trainer(config, data, build_network(config, data.dataset.classes)).fit(None, [_Told()])


def why_pruned(config: Config, data: Splits, run: Run, report: Report) -> str:
    """Trains a trial; returns why it did not come to its end, or "" if it did."""
    make_folder(run.folder)
    try:
        with study.beating(report.trial), freed():
            history = train(config, data, run, report)
        reason = f"pruned after {_epochs(report)}" if report.stopped else ""
    except Diverged:
        history = checkpoint.history(run.last_path)
        reason = f"its loss became infinite after {_epochs(report)}"
    report.trial.set_user_attr("seconds", sum(row["seconds"] for row in history))
    return reason


def _epochs(report: Report) -> str:
    return f"{len(report.scores)} epoch{'s' * (len(report.scores) != 1)}"


@contextlib.contextmanager
def freed() -> Iterator[None]:
    """Frees the graphs of what was trained in the block, which Keras keeps for the next one."""
    try:
        yield
    finally:
        keras.utils.clear_session()  # it collects garbage, too
