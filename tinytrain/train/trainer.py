"""The trainer: a model, its task, its methods and its batches, trained from the last checkpoint to the end."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from tinytrain import progress
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config, Optim
from tinytrain.data import balance, batches
from tinytrain.data.source import strata
from tinytrain.data.splits import Splits
from tinytrain.errors import UserError
from tinytrain.nn.fused_batch_norm import synchronize
from tinytrain.run import Run
from tinytrain.train import checkpoint, memory, optimizers, task
from tinytrain.train.averaging import Averaging
from tinytrain.train.callbacks import Clock, Progress, StopAtNaN
from tinytrain.train.method import Method, TrainingContext
from tinytrain.train.plateau import Plateau, PlateauSchedule
from tinytrain.train.task import Task
from tinytrain.train.validation import Validation
from tinytrain.workers import collectives

SEED_STATE = "seed_generator_state"  # (2,), the seed and the count of the draws of a layer of Keras
SEED_STEP = 0x9E3779B1  # between the seeds of two workers
Ends: TypeAlias = Callable[
    [list[dict[str, float]]], bool
]  # of the rows of history.csv: whether the training ends there


class Trainer:
    """All that a training needs, made before anything is written: a mistake in the config leaves no run folder behind.

    Args:
        config: the run, without "auto".
        data: its images.
        model: the plain model that is trained.
    """

    def __init__(self, config: Config, data: Splits, model: keras.Model) -> None:
        self.config, self.data, self.model, self.history = config, data, model, []  # type: ignore[var-annotated]
        self.task = task.of(config, data.dataset.classes)
        self.task.check_val(data.annotations("val"))
        self.samples = data.samples("train", self.task.canvas)
        self.task.weigh(self.samples.annotations)
        if config.data.balance == "balanced_sampling":
            self.samples = self.samples.take(balance.oversample(strata(self.samples.annotations), config.seed))
        self.workers = collectives.here()
        self.batch = self._batch()
        memory.refuse_too_much(model, self.batch // self.workers.count)
        self.steps = len(self.samples.images) // self.batch
        self.augmentation = self.task.augmentation(self.steps)
        context = TrainingContext(
            self.steps, self.batch, lambda seed, steps: self.batches(seed, range(steps)), data.dataset.classes
        )
        self.method = build_method(model, config, context)
        if config.optim.sync_batch_norm:
            synchronize(self.method)
        self._draw_apart()
        self.compile(config.optim.lr)

    def _batch(self) -> int:
        """Returns the images of a step of all workers together, as many for each.

        Raises:
            UserError: optim.batch, or the val images, cannot be shared among them.
        """
        images, workers, batch = len(self.samples.images), self.workers.count, self.config.optim.batch
        if batch % workers:
            raise UserError(
                f"optim.batch = {batch} cannot be shared by {workers} workers: expected a multiple of {workers}, such "
                f"as {-(-batch // workers) * workers}"
            )
        if min(images, len(self.data.samples("val").images)) < workers:
            raise UserError(f"there are fewer training or val images than workers ({workers}): start fewer workers")
        return min(batch, images // workers * workers)

    def _draw_apart(self) -> None:
        """Gives the dropout of each worker another seed: its images are others, and so must be its masks."""
        for variable in self.method.variables:
            if variable.name == SEED_STATE:
                seed, count = variable.numpy().tolist()
                variable.assign(np.array([(seed + SEED_STEP * self.workers.number) % 2**31, count], variable.dtype))

    def batches(self, seed: int, steps: range, share: slice | None = None) -> tf.data.Dataset:
        """Returns the augmented training batches (x, targets) of `steps`, in an order drawn from `seed`.

        share: of each batch, a worker's; None: all of it.
        """
        return batches.training_batches(
            self.samples, self.task.encode, self.batch, seed, steps, augment=self.augmentation, share=share
        )

    def compile(self, lr: float) -> None:
        """Gives the method a new optimizer, whose learning rate is `lr`."""
        self.optim = dataclasses.replace(self.config.optim, lr=lr)
        compile_method(self.method, self.task, self.optim, self.steps, jit=bool(self.config.device.jit))

    def fit(
        self, run: Run | None, callbacks: list[keras.callbacks.Callback] | None = None, ends: Ends | None = None
    ) -> None:
        """Trains from the last checkpoint of `run`, or from the start, to the end.

        Args:
            run: the run; None: the chief alone has it.
            callbacks: of Keras, called after those of the training.
            ends: asked, with the history, after each epoch and before the first one that is trained here.
        """
        epochs = self.optim.epochs
        done, self.history = self._restore(run)
        schedule = self._schedule()
        if done == epochs or any(callback.plateau.stopped for callback in schedule):
            return
        if ends and self.history and ends(self.history):  # a kill came before the run was finished
            return
        score = self.task.balanced_score if schedule else self.task.score
        with progress.stage("compiling the first step") as stage:
            after = [*(callbacks or []), *([_Ends(ends, self.history)] if ends else [])]
            self._fit_epochs(run, done, score, schedule, stage, after)

    def _fit_epochs(
        self,
        run: Run | None,
        done: int,
        score: str,
        schedule: list[PlateauSchedule],
        stage: progress.Stage,
        callbacks: list[keras.callbacks.Callback],
    ) -> None:
        """Trains the epochs after the first `done`; `score`: the column whose best row is the epoch to keep."""
        epochs, task, val = self.optim.epochs, self.task, self.data.samples("val")
        line = Progress(epochs, self.steps * self.batch, self.batch, clock := Clock(), task.epoch_line, stage)
        between = self.method.callbacks()
        share = self.workers.share(self.batch)
        self.method.fit(
            self.batches(self.config.seed, range(done * self.steps, epochs * self.steps), share),
            initial_epoch=done,
            epochs=epochs,
            steps_per_epoch=self.steps,
            shuffle=False,
            verbose=0,
            callbacks=[
                clock,
                Validation(task, val, [*between, line]),
                *between,
                *schedule,
                line,
                StopAtNaN(),
                checkpoint.Checkpoint(run, self.history, score),
                *callbacks,
            ],
        )

    def _restore(self, run: Run | None) -> tuple[int, list[dict[str, float]]]:
        """Returns (whole epochs done, history) after bringing back the last checkpoint, if there is one.

        All workers begin with the numbers of the chief.
        """
        variables = checkpoint.trained_variables(self.method)
        state: dict[str, Any] = {"epoch": 0, "history": []}
        with self.workers.agreeing():
            if run and run.last_path.exists():
                if self.optim.checkpoint == "best":  # reported now, not after the epochs that are left
                    checkpoint.read(run.best_path, self.method.network.variables)
                state = checkpoint.load(run.last_path, variables)
                run.write_history(state["history"])  # a kill between the two left the last line out
        if self.workers.count > 1:
            state = self.workers.tell(state)
            self.workers.adopt(variables)
            self._draw_apart()
        return state["epoch"], state["history"]

    def _schedule(self) -> list[PlateauSchedule]:
        """Returns the callback of optim.schedule = "plateau", as far as the history has brought it."""
        if self.optim.schedule != "plateau":
            return []
        plateau = Plateau(self.optim, self.config.plateau)
        for row in self.history:
            plateau.after_epoch(row["loss"], row[self.task.balanced_score])
        return [PlateauSchedule(plateau, self.task.balanced_score)]


class _Ends(keras.callbacks.Callback):
    """Ends the training after an epoch, its checkpoint written, where `ends` says so."""

    def __init__(self, ends: Ends, history: list[dict[str, float]]) -> None:
        super().__init__()
        self.ends, self.history = ends, history

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Asks."""
        self.model.stop_training = self.model.stop_training or self.ends(self.history)


def build_method(model: keras.Model, config: Config, training: TrainingContext) -> Method:
    """Returns the methods of `config` around `model`, the first one innermost; none is plain training.

    With optim.ema, what averages their weights is around them all.

    What they draw at random depends on the seed alone, not on what was drawn before.
    """
    keras.utils.set_random_seed(config.seed)
    method: Any = model
    for name in configs.methods(config):
        method = plugins.load("methods", name).build(method, config, training)
    method = method if isinstance(method, Method) else Method(method)
    return Averaging(method, float(config.optim.ema)) if config.optim.ema else method


def compile_method(
    method: Method, task: Task, optim: Optim, steps_per_epoch: int, total_steps: int | None = None, jit: bool = False
) -> None:
    """Gives `method` the loss and the metrics of `task` and the optimizer of `optim`.

    Args:
        method: the method, not yet compiled or to be compiled again.
        task: the task.
        optim: the [optim] section.
        steps_per_epoch: the steps of an epoch.
        total_steps: how long the schedule of the learning rate is, by default all epochs.
        jit: compile the step with XLA.
    """
    optimizer = optimizers.build(optim, steps_per_epoch, total_steps)
    method.compile(optimizer, task.loss, task.metrics(), jit_compile=jit)
    method.optimizer.build(method.trainable_variables)
