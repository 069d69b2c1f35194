"""The validation of tasks whose figures need all images of the split at once, in one pass after each epoch."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinytrain.data import batches
from tinytrain.data.images import Samples
from tinytrain.train.callbacks import Progress
from tinytrain.train.task import Task

BATCH = 64  # images


class WholeSplit(keras.callbacks.Callback):
    """Adds val_loss, the metrics of the task and its figures on the val images to the logs of each epoch.

    Args:
        task: measures.
        samples: the val images.
        line: whose clock stops when the validation begins.
    """

    def __init__(self, task: Task, samples: Samples, line: Progress) -> None:
        super().__init__()
        self.task, self.samples, self.line = task, samples, line
        self.metrics, self.loss = task.metrics(), keras.metrics.Mean("loss")
        self.step: Any = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Runs the network on all val images."""
        self.line.on_test_begin()
        self.step = self.step or tf.function(self._measured)
        for metric in (self.loss, *self.metrics):
            metric.reset_state()
        kept = [self.step(x, y) for x, y in batches.evaluation_batches(self.samples, self.task.encode, BATCH)]
        whole = tf.nest.map_structure(lambda *parts: np.concatenate([part.numpy() for part in parts]), *kept)
        figures = self.task.evaluate(whole, self.samples)
        measured = {metric.name: float(metric.result()) for metric in (self.loss, *self.metrics)}
        measured |= {figure.key: figures[figure.key] for figure in self.task.figures.tested}
        if logs is not None:
            logs |= {f"val_{name}": value for name, value in measured.items()}

    def _measured(self, x: tf.Tensor, y: Any) -> Any:
        outputs = self.model(x, training=False)
        self.loss.update_state(self.task.loss(y, outputs), sample_weight=tf.shape(x)[0])
        for metric in self.metrics:
            metric.update_state(y, outputs)
        return self.task.keep(outputs)
