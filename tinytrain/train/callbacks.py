"""What a training shows on standard error, and when it stops by itself."""

import math
import time
from collections.abc import Callable

import keras

from tinytrain import progress
from tinytrain.errors import UserError
from tinytrain.tables import duration

TOLD_AT = (0.25, 0.5, 0.75)  # of the epochs: where it is told how long the others take, and after the first two
LEAST_TOLD = 60.0  # seconds


class Diverged(UserError):
    """The training loss is no longer finite."""


class Clock(keras.callbacks.Callback):
    """Knows when an epoch began, if it comes before all other callbacks."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Reads the time, and the processor time of this process, of all its threads."""
        self.started, self.cpu_started = time.perf_counter(), time.process_time()


class Progress(keras.callbacks.Callback):
    """Shows each epoch as a stage, then a line of figures; adds lr, seconds, processor seconds and speed to the logs.

    The seconds are those of the training, without the validation. What the callbacks between `clock` and this one do
    before the first step, and before the validation, is part of them: a method's work between the steps.
    """

    def __init__(
        self,
        epochs: int,
        images_per_epoch: int,
        batch: int,
        clock: Clock,
        line: Callable[[dict[str, float]], str],
        stage: progress.Stage,
    ) -> None:
        super().__init__()
        self.epochs, self.images, self.batch, self.clock = epochs, images_per_epoch, batch, clock
        self.line = line  # the figures of an epoch, as the task shows them
        self.stage = stage  # begins as that of the first step, which takes long to compile
        self.seconds, self.cpu_seconds, self.compiled = 0.0, 0.0, False
        self.begun: list[tuple[int, float]] = []  # epochs, and when they began; in the first one, much is compiled

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Begins the stage of the epoch; now and then tells how long the rest of the training takes."""
        self.begun.append((epoch, time.perf_counter()))
        if len(self.begun) == 3 or (len(self.begun) > 3 and epoch in [round(part * self.epochs) for part in TOLD_AT]):
            (first, began), (_, now) = self.begun[1], self.begun[-1]
            left = self.epochs - epoch
            seconds = (now - began) / (epoch - first) * left
            if seconds >= LEAST_TOLD:
                progress.write(f"about {duration(seconds)} for the {left} epochs that are left")
        self.name = f"epoch {epoch + 1}/{self.epochs}"
        if self.compiled:
            self.stage.begin(self.name, self.images, "image")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Counts the images of the step."""
        if not self.compiled:
            self.stage.begin(self.name, self.images, "image")
            self.compiled = True
        self.stage.advance(self.batch)

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Stops the clock: the validation comes next."""
        self.seconds = time.perf_counter() - self.clock.started
        self.cpu_seconds = time.process_time() - self.clock.cpu_started
        self.stage.begin(f"{self.name}, validation")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Prints the epoch's line."""
        logs = logs if logs is not None else {}
        logs["lr"] = float(self.model.optimizer.learning_rate)
        logs["seconds"], logs["cpu_seconds"] = self.seconds, self.cpu_seconds
        logs["images_per_second"] = self.images / self.seconds
        self.stage.close()
        progress.write(f"{self.name}  {self.line(logs)}  {logs['images_per_second']:,.0f} images/s")
        self.stage.begin(f"{self.name}, saving the checkpoint")


class StopAtNaN(keras.callbacks.Callback):
    """Raises Diverged, a UserError, at the first step whose loss is not a number."""

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Checks the running mean of the loss, which stays NaN or infinite once a step's loss was."""
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            step = int(self.model.optimizer.iterations)
            lr = float(self.model.optimizer.learning_rate)
            raise Diverged(
                f"the training loss became {loss} at step {step} (learning rate {lr:.3g}): "
                "train with a lower optim.lr or a longer optim.warmup_epochs"
            )
