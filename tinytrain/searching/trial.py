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
import tf_keras

from tinytrain import progress
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data import identity
from tinytrain.data.images import Samples
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset
from tinytrain.evaluation_data import int8_outputs
from tinytrain.exporting.int8_model import calibration_images
from tinytrain.nn import pretrained
from tinytrain.quantize import convert, cosine_head, tf_keras_clone
from tinytrain.run import Run
from tinytrain.searching import budget
from tinytrain.searching.space import FACTORS, Network
from tinytrain.tflite import tflite_interpreter
from tinytrain.tflite.int8_values import to_int8
from tinytrain.tflite.model import Model
from tinytrain.train import task as tasks
from tinytrain.train.resolve import resolve, with_usual
from tinytrain.train.task import Task

BEATEN, NO_TIME = "others are better", "no time left"


def words(overrides: list[str], network: Network, training: dict[str, Any], epochs: int, dataset: Dataset) -> list[str]:
    """Returns the KEY=VALUE words of a trial, after those that the user typed.

    Args:
        overrides: what the user typed.
        network: the network.
        training: {dotted key: value}; those of space.FACTORS are factors of the usual value.
        epochs: of the whole trial.
        dataset: the images.

    What is usual for the network is written out: with one key of [optim] typed, `fit` would not choose the others.
    """
    listed = [*overrides, *(f"{key}={value}" for key, value in (network.settings | {"optim.epochs": epochs}).items())]
    usual, chosen = with_usual(configs.load(None, listed), dataset, configs.typed(None, listed))
    drawn = {
        key: float(f"{value * float(configs.get_key(usual, key)):.3g}") if key in FACTORS else value
        for key, value in training.items()
    }
    return [*listed, *(f"{key}={value}" for key, value in (chosen | drawn).items())]


def resolved(config: Config, typed: set[str], dataset: Dataset) -> Config:
    """Returns `config` as `fit` would train it, without "auto"."""
    return resolve(with_usual(config, dataset, typed)[0], dataset)


class Rungs:
    """Reports a trial to the study after each epoch, and says whether it ends there: what `fit` asks.

    Args:
        trial: the trial.
        column: that of history.csv which holds the score.
        keeps_best: whether the run keeps its best epoch, and so is as good as that; else it is as good as its last one.
        epochs: of the whole trial.
        left: returns the seconds that are left for trials, None without a limit.
        beat: called after each epoch.
        expected: the seconds of an epoch, until one was measured: the first takes longer, as it is compiled in it.
        clock: gives seconds.

    Attributes:
        reason: why the trial has ended early, "" if it has not.
        score: of the trial so far.
        done: how many epochs it has.
        seconds: of each epoch but the first that this process has trained, with its validation.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        column: str,
        keeps_best: bool,
        epochs: int,
        left: Callable[[], float | None],
        beat: Callable[[], None] = lambda: None,
        expected: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trial, self.column, self.keeps_best, self.epochs = trial, column, keeps_best, epochs
        self.left, self.beat, self.expected, self.clock = left, beat, expected, clock
        self.reported = set(trial.study.trials[trial.number].intermediate_values)
        self.reason: str = trial.user_attrs.get("reason", "")  # of a process that was killed before it was over
        self.score, self.done = 0.0, 0
        self.seconds: list[float] = []
        self._last: float | None = None

    def __call__(self, history: list[dict[str, float]]) -> bool:
        """Returns whether the training ends after the last row of `history`."""
        self.look(history)
        now = self.clock()
        self.seconds += [] if self._last is None else [now - self._last]
        self._last = now
        self.beat()
        if self.done < self.epochs and not self.reason:
            self.reason = self._why_ended()
            self.trial.set_user_attr("reason", self.reason)
        return bool(self.reason)

    def look(self, history: list[dict[str, float]]) -> None:
        """Takes over the rows of a history, and reports those that were not."""
        for number, row in enumerate(history, start=1):
            values = [each[self.column] for each in history[:number]]
            self.score, self.done = max(values) if self.keeps_best else values[-1], int(row["epoch"])
            if self.done not in self.reported:
                self.trial.report(self.score, self.done)
                self.reported.add(self.done)

    @property
    def epoch_seconds(self) -> float:
        """The seconds of an epoch, as far as they are known."""
        return statistics.median(self.seconds) if self.seconds else self.expected

    def _why_ended(self) -> str:
        if self.trial.should_prune():
            return BEATEN
        left = self.left()
        epochs = self.epochs - self.done if self.done in budget.rungs(self.epochs) else 1
        return NO_TIME if left is not None and not budget.goes_on(left, epochs * self.epoch_seconds) else ""


def int8_on_val(run: Run) -> float:
    """Returns the main figure of a run on its val images after post-training quantization."""
    config = run.config()
    data = identity.recorded_splits(run, load_dataset(config), config)
    model, task = pretrained.load_trained(run), tasks.of(config, data.dataset.classes)
    calibration = calibration_images(config, data.samples("train").images)
    linear = cosine_head.linear(model, calibration, float(config.am_softmax.scale))
    folded = tf_keras_clone.fold(linear, tf_keras_clone.rebuild(linear))
    converted = convert.convert_post_training(folded, calibration)
    figure = int8_figure(task, converted, data.samples("val"))
    keras.utils.clear_session()
    tf_keras.backend.clear_session()
    return figure


def int8_figure(task: Task, converted: Model, samples: Samples) -> float:
    """Returns the main figure of an int8 model on images, as TensorFlow Lite's own kernels compute it.

    TFLM's interpreter, which computes what the firmware does, is some ten times slower here, and few images differ.
    """
    with progress.stage(f"int8 model on {len(samples.images):,} images"):
        outputs = tflite_interpreter.run_fast(converted.content, to_int8(samples.images))
    return task.measure(int8_outputs.kept(task, outputs, converted), samples)
