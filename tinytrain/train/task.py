"""Task: what a network learns. It stands between the data and the loss, and everything that depends on it is here.

There is one trainer for all tasks. It asks the task for targets, loss and metrics, the export for accuracy and golden
case (`figures`), the report for its section. The outputs of a network are a tensor or a structure (dict, list) of
them; only the task, and the methods that it allows, know what is in it.

A module of the plug-in folder tasks has `FIGURES` (`train/figures.py`), which imports no TensorFlow, and
`build(config, classes) -> Task`.
"""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tinytrain.config import load as configs
from tinytrain.config.schema import Augment, Config
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.data.images import Samples
from tinytrain.errors import UserError
from tinytrain.nn.build import build_model
from tinytrain.train.figures import Figures, module_of

Outputs: TypeAlias = Any  # of a network, for a batch or for a whole split: an array (N, …) or a structure of them
Targets: TypeAlias = Any  # what the loss compares them with, likewise

AUGMENT = [field.name for field in dataclasses.fields(Augment)]
OFF = dataclasses.asdict(
    Augment(crop=0.0, flip=False, distort=False, expand=0.0, iou_crop=False)
)  # no augmentation at all


class Task(abc.ABC):
    """A task on images of `classes`, as `config` trains it.

    name: of its module; figures: what it measures; methods, augmentations: the names in tinytrain/methods and the keys
    of [augment] that it can be trained with, None: all.
    """

    name: str
    figures: Figures
    methods: frozenset[str] | None = None
    augmentations: frozenset[str] | None = None

    def __init__(self, config: Config, classes: list[str]) -> None:
        self.config, self.classes = config, classes

    @property
    def score(self) -> str:
        """The column of history.csv whose best row is the epoch to keep."""
        return f"val_{self.figures.main.key}"

    @property
    def balanced_score(self) -> str:
        """The column of history.csv that a learning rate is chosen by, and that optim.schedule = "plateau" ends by."""
        return f"val_{self.figures.balanced.key}"

    def check(self) -> None:
        """Raises UserError for a method or an augmentation of the config that the task cannot be trained with."""
        methods, default = configs.methods(self.config), Augment()
        changed = [key for key in AUGMENT if getattr(self.config.augment, key) not in (getattr(default, key), OFF[key])]
        for what, names, known in (("method", methods, self.methods), ("augment", changed, self.augmentations)):
            if refused := [name for name in names if known is not None and name not in known]:
                raise UserError(
                    f"the task {self.name} cannot be trained with {what} {', '.join(refused)}: "
                    f"expected none, or some of {', '.join(sorted(known or ()))}"
                )

    def distillation(self, student: Outputs, teacher: Outputs, temperature: float) -> tf.Tensor:
        """Returns how far outputs of a student are from a teacher's for the same batch, both softened: a scalar.

        The method "distill" multiplies it by its weight and the square of the temperature.
        """
        raise NotImplementedError(f"the task {self.name} has no distillation")

    def check_teacher(self, config: Config, what: str) -> None:
        """Raises UserError if the outputs of another run's network do not mean what those of this task do.

        Args:
            config: of that run.
            what: names it in the sentence.
        """
        if config.task not in (self.name, "auto"):
            raise UserError(f"{what} was trained for the task {config.task}, the student is for {self.name}")

    def check_val(self, annotations: np.ndarray) -> None:
        """Raises UserError if val images with these annotations (N, …) cannot tell a good epoch from a bad one."""
        if not len(annotations):
            raise UserError("there are no val images to choose the best epoch by")

    def augment(self) -> Augment:
        """Returns [augment] of the config, without what is on by default and the task does not allow."""
        refused = [key for key in AUGMENT if self.augmentations is not None and key not in self.augmentations]
        return dataclasses.replace(self.config.augment, **{key: OFF[key] for key in refused})

    @property
    def canvas(self) -> int:
        """The side in pixels that training images are decoded to; what `augmentation` does brings them to the input."""
        return int(self.config.model.resolution)

    def augmentation(self, steps_per_epoch: int) -> Callable:
        """Returns what is done to a training batch: (pixels, targets, seed) -> (pixels, targets)."""
        return Augmentation(self.augment(), int(self.config.model.resolution))

    @abc.abstractmethod
    def head(self, network: keras.Model) -> keras.Model:
        """Returns `network`, an architecture with its classifier, with the outputs of the task."""

    @abc.abstractmethod
    def encode(self, annotations: tf.Tensor, transforms: tf.Tensor) -> Targets:
        """Returns the targets of a batch, inside tf.data.

        Args:
            annotations: (B, …) as the dataset has them.
            transforms: (B, 4) float32, how each image was resized (`resizing.Transform`), which places in it follow.
        """

    @abc.abstractmethod
    def weigh(self, annotations: np.ndarray) -> None:
        """Prepares the loss for the training annotations (N, …), such as weights of rare classes."""

    @abc.abstractmethod
    def loss(self, targets: Targets, outputs: Outputs) -> tf.Tensor:
        """Returns the loss of a batch, a scalar."""

    @abc.abstractmethod
    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns new metrics of (targets, outputs), named after columns of history.csv, two of them in `figures`."""

    def keep(self, outputs: Outputs) -> Outputs:
        """Returns what `evaluate` and `measure` need of the outputs of a batch, inside TensorFlow: by default all."""
        return outputs

    @abc.abstractmethod
    def evaluate(self, outputs: Outputs, samples: Samples) -> dict[str, Any]:
        """Returns what metrics.json holds of a split, from what is kept of the outputs for its images."""

    def measure(self, outputs: Outputs, samples: Samples) -> float:
        """Returns `figures.main` from the same, 0..1."""
        if self.figures.measure is None:
            raise NotImplementedError(f"the task {self.name} has a measure of its own to write")
        return self.figures.measure(outputs, samples.annotations)

    def settled(self, outputs: Outputs, samples: Samples) -> dict[str, Any]:
        """Returns {dotted key: value} for keys that only the trained network tells, from the same of the val images."""
        return {}

    def doubts(self, val: dict[str, Any], last: Mapping[str, float]) -> list[str]:
        """Returns what a user should be warned of after a training, a sentence each.

        Args:
            val: what `evaluate` gives for the val split.
            last: the row of history.csv of the last epoch.
        """
        return []

    @property
    def validates_whole_split(self) -> bool:
        """Whether the figures of an epoch need all val images at once, and come from `evaluate`, not from `metrics`."""
        return False

    @abc.abstractmethod
    def decode(self, outputs: Outputs) -> Any:
        """Returns the predictions that the outputs stand for."""

    @abc.abstractmethod
    def diagnosis(self, outputs: dict[str, Outputs | None], samples: Samples) -> list[dict[str, Any]]:
        """Returns a row for each class: "class", how many `figures.counted` it has, a figure of each kind of model.

        A figure is None for a kind without outputs.
        """

    @abc.abstractmethod
    def report(self, outputs: dict[str, Outputs], samples: Samples) -> Any:
        """Returns the section of the report about mistakes.

        Args:
            outputs: of each kind of model, in real units: "float", "fine-tuned float" and "int8", as far as they are
                known, in this order. The last one is the one that is shipped.
            samples: the test images.
        """

    def epoch_line(self, logs: dict[str, float]) -> str:
        """Returns the figures of an epoch for the terminal."""
        key, label = self.figures.main.key, self.figures.main.label
        return (
            f"loss {logs['loss']:.4f}  {label} {logs[key]:.4f}  "
            f"val loss {logs['val_loss']:.4f}  val {label} {logs[f'val_{key}']:.4f}"
        )

    @abc.abstractmethod
    def line(self, folder: Path, result: dict[str, Any]) -> str:
        """Returns the line of a finished run for the terminal; result: its metrics.json."""


def of(config: Config, classes: list[str]) -> Task:
    """Returns the task of `config`; raises UserError if there is none, or one that its methods do not go with."""
    task = module_of(config.task).build(config, classes)
    task.check()
    return task


def build_network(config: Config, classes: list[str]) -> keras.Model:
    """Returns the untrained network of a config without "auto": the architecture with the head of its task."""
    return of(config, classes).head(build_model(config, len(classes), classes))
