"""The trainer: a model, its methods and its batches, trained from the last checkpoint to the end."""

import dataclasses
import functools
from typing import Any

import keras
import numpy as np

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data import balance, batches
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.data.images import Images
from tinytrain.data.splits import Splits
from tinytrain.run import Run
from tinytrain.train import checkpoint, memory, optimizers
from tinytrain.train.method import Method, Training
from tinytrain.train.plateau import Plateau, PlateauSchedule
from tinytrain.train.progress import Clock, Progress, StopAtNaN


class Trainer:
    """All that a training needs, made before anything is written: a mistake in the config leaves no run folder behind.

    Args:
        config: the run, without "auto".
        data: its images.
        model: the plain model that is trained.
    """

    def __init__(self, config: Config, data: Splits, model: keras.Model) -> None:
        self.config, self.data, self.history = config, data, []  # type: ignore[var-annotated]
        images: Images
        images, labels = data.arrays("train")
        self.classes, self.class_weights = len(data.dataset.classes), None
        if config.data.balance == "class_weights":
            self.class_weights = balance.class_weights(labels, self.classes)
        elif config.data.balance == "balanced_sampling":
            images, labels = balance.evenly(images, labels, config.seed)
        self.batch = min(config.optim.batch, len(images))
        memory.refuse_too_much(model, self.batch)
        self.steps = len(images) // self.batch
        augmentation = Augmentation(config.augment, int(config.model.resolution))
        self.batches = functools.partial(
            batches.training_batches, images, labels, self.classes, self.batch, augment=augmentation
        )
        training = Training(
            self.steps, self.batch, lambda seed, steps: self.batches(seed, range(steps)), data.dataset.classes
        )
        self.method = build_method(model, config, training)
        self.compile(config.optim.lr)

    def compile(self, lr: float) -> None:
        """Gives the method a new optimizer, whose learning rate is `lr`."""
        self.optim = dataclasses.replace(self.config.optim, lr=lr)
        config = dataclasses.replace(self.config, optim=self.optim)
        compile_method(self.method, config, self.steps, self.classes, self.class_weights)

    def fit(self, run: Run, callbacks: list[keras.callbacks.Callback] | None = None) -> None:
        """Trains from the last checkpoint of `run`, or from the start, to the end."""
        epochs = self.optim.epochs
        done, self.history = self._restore(run)
        schedule = self._schedule()
        if done == epochs or any(callback.plateau.stopped for callback in schedule):
            return
        score = "val_balanced_top1" if schedule else "val_top1"
        self.method.fit(
            self.batches(self.config.seed, range(done * self.steps, epochs * self.steps)),
            initial_epoch=done,
            epochs=epochs,
            steps_per_epoch=self.steps,
            shuffle=False,
            validation_data=batches.evaluation_batches(*self.data.arrays("val"), self.classes),
            verbose=0,
            callbacks=[
                clock := Clock(),
                *self.method.callbacks(),
                *schedule,
                Progress(epochs, self.steps * self.batch, self.batch, clock),
                StopAtNaN(),
                checkpoint.Checkpoint(run, self.history, score),
                *(callbacks or []),
            ],
        )

    def _restore(self, run: Run) -> tuple[int, list[dict[str, float]]]:
        """Returns (whole epochs done, history) after bringing back the last checkpoint, if there is one."""
        if not run.last_path.exists():
            return 0, []
        if self.optim.keep == "best":  # told now, not after the epochs that are left
            checkpoint.read(run.best_path, self.method.network.variables)
        state = checkpoint.load(run.last_path, checkpoint.trained_variables(self.method))
        run.write_history(state["history"])  # a kill between the two left the last line out
        return state["epoch"], state["history"]

    def _schedule(self) -> list[PlateauSchedule]:
        """Returns the callback of optim.schedule = "plateau", as far as the history has brought it."""
        if self.optim.schedule != "plateau":
            return []
        plateau = Plateau(self.optim, self.config.plateau)
        for row in self.history:
            plateau.after_epoch(row["loss"], row["val_balanced_top1"])
        return [PlateauSchedule(plateau)]


def build_method(model: keras.Model, config: Config, training: Training) -> Method:
    """Returns the methods of `config` around `model`, the first one innermost; none is plain training.

    What they draw at random depends on the seed alone, not on what was drawn before.
    """
    keras.utils.set_random_seed(config.seed)
    method: Any = model
    for name in configs.methods(config):
        method = plugins.load("methods", name).build(method, config, training)
    return method if isinstance(method, Method) else Method(method)


def compile_method(
    method: Method, config: Config, steps_per_epoch: int, classes: int, class_weights: np.ndarray | None = None
) -> None:
    """Gives `method` the optimizer, the loss and the metrics of `config`."""
    smoothing = config.optim.label_smoothing
    plain = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    method.compile(
        optimizer=optimizers.build(config.optim, steps_per_epoch),
        loss=plain if class_weights is None else balance.WeightedCrossEntropy(class_weights, smoothing),
        metrics=[keras.metrics.MeanMetricWrapper(share_of_predicted, "top1"), balance.BalancedTop1(classes)],
        jit_compile=config.device.jit,
    )
    method.optimizer.build(method.trainable_variables)


def share_of_predicted(y_true: Any, y_pred: Any) -> Any:
    """Returns (B,) the share of each image that is of the class predicted, from labels and logits (B, classes).

    Its mean is top-1; of images that MixUp or CutMix mixed, weighted by λ as public code does (methods.md D.2).
    """
    predicted = keras.ops.one_hot(keras.ops.argmax(y_pred, -1), y_true.shape[-1], dtype=y_true.dtype)
    return keras.ops.sum(y_true * predicted, -1)
