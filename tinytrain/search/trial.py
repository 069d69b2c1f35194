"""One trial of a search: a run like those of `fit`, which ends early where others are better.

Its schedule is that of the whole training from the start: the learning rate falls over all epochs of a trial, and a
trial that is stopped is one whose rate has not fallen yet, as in ASHA (Li et al., 2018; arXiv 1810.05934). So all are
compared at the same point of the same schedule, no epoch is trained twice, and a trial that comes to its end is exactly
the run that `fit` makes of its config.toml.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import optuna

from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data import identity
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset
from tinytrain.exporting.int8_model import calibration_images
from tinytrain.nn import pretrained
from tinytrain.nn.predict import predict
from tinytrain.quantize import cosine_head, qat, tf_keras_clone
from tinytrain.run import Run
from tinytrain.search import budget
from tinytrain.search.space import Network
from tinytrain.train import task as tasks
from tinytrain.train.resolve import resolve, with_usual

BEATEN, NO_TIME = "others are better", "no time left"


def words(overrides: list[str], network: Network, training: dict[str, Any], epochs: int, dataset: Dataset) -> list[str]:
    """Returns the KEY=VALUE words of a trial, after those that the user typed.

    Args:
        overrides: what the user typed.
        network: the network.
        training: {dotted key: value}; "lr" is a factor of the usual learning rate.
        epochs: of the whole trial.
        dataset: the images.
    """
    settings = network.settings | {"optim.epochs": epochs} | training
    factor = settings.pop("lr", None)
    listed = [*overrides, *(f"{key}={value}" for key, value in settings.items())]
    if factor is not None:
        usual = resolved(configs.load(None, listed), configs.typed(None, listed), dataset).optim.lr
        listed.append(f"optim.lr={float(f'{factor * float(usual):.3g}')}")
    return listed


def resolved(config: Config, typed: set[str], dataset: Dataset) -> Config:
    """Returns `config` as `fit` would train it, without "auto"."""
    return resolve(with_usual(config, dataset, typed)[0], dataset)


class Rungs:
    """Reports a trial to the study after each epoch, and says whether it ends there: what `fit` asks.

    Args:
        trial: the trial.
        column: that of history.csv which holds the score; a trial is as good as its best epoch, which is the one kept.
        epochs: of the whole trial.
        left: returns the seconds that are left for trials, None without a limit.
        beat: called after each epoch.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        column: str,
        epochs: int,
        left: Callable[[], float | None],
        beat: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trial, self.column, self.epochs, self.left, self.beat, self.clock = (
            trial,
            column,
            epochs,
            left,
            beat,
            clock,
        )
        self.reported = set(trial.study.trials[trial.number].intermediate_values)
        self.reason, self.best, self.done = "", 0.0, 0
        self._last: float | None = None
        self._seconds: list[float] = []

    def __call__(self, history: list[dict[str, float]]) -> bool:
        """Returns whether the training ends after the last row of `history`."""
        self.best, self.done = max(row[self.column] for row in history), int(history[-1]["epoch"])
        for number, row in enumerate(history, start=1):
            if int(row["epoch"]) not in self.reported:
                self.trial.report(max(each[self.column] for each in history[:number]), int(row["epoch"]))
                self.reported.add(int(row["epoch"]))
        self._note_time()
        self.beat()
        if self.done < self.epochs:
            self.reason = self._why_ended(history)
        return bool(self.reason)

    @property
    def epoch_seconds(self) -> float | None:
        """The seconds of an epoch with its validation, None if they are not known yet."""
        return statistics.median(self._seconds) if self._seconds else None

    def _note_time(self) -> None:
        now = self.clock()
        if self._last is not None:
            self._seconds.append(now - self._last)
        self._last = now

    def _why_ended(self, history: list[dict[str, float]]) -> str:
        if self.trial.should_prune():
            return BEATEN
        left, seconds = self.left(), self.epoch_seconds or history[-1]["seconds"]
        epochs = self.epochs - self.done if self.done in budget.rungs(self.epochs) else 1
        return NO_TIME if left is not None and not budget.goes_on(left, epochs * seconds) else ""


def int8_on_val(run: Run) -> float:
    """Returns the main figure of a run on its val images after post-training quantization.

    It is that of the fake-quantized graph, which the int8 model follows up to rounding, and which is much faster here.
    """
    config = run.config()
    data = identity.recorded_splits(run, load_dataset(config), config)
    model, task = pretrained.load_trained(run), tasks.of(config, data.dataset.classes)
    calibration = calibration_images(config, data.samples("train").images)
    linear = cosine_head.linear(model, calibration, float(config.am_softmax.scale))
    folded = tf_keras_clone.fold(linear, tf_keras_clone.rebuild(linear))
    val = data.samples("val")
    figure = task.measure(predict(qat.quantize(folded, calibration), val.images, keep=task.keep), val)
    keras.utils.clear_session()
    return figure
