"""The validation after each epoch: each worker runs its share of the val images, and what they find is summed."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinytrain.data import batches
from tinytrain.data.images import Samples
from tinytrain.train.method import Method
from tinytrain.train.task import Task
from tinytrain.workers import collectives

BATCH, WHOLE_BATCH = 256, 64  # images at a time; of tasks that keep the outputs of all, which have larger networks


class Validation(keras.callbacks.Callback):
    """Adds val_loss, the metrics of the task and its figures on the val images to the logs of each epoch.

    Of workers that train together, first the figures of the epoch become those of all, and the running statistics of
    BatchNorm the mean of theirs.

    Args:
        task: measures.
        samples: the val images.
        before: callbacks whose `on_test_begin` is called before the network is run.
    """

    def __init__(self, task: Task, samples: Samples, before: Sequence[keras.callbacks.Callback]) -> None:
        super().__init__()
        self.task, self.samples, self.before = task, samples, before
        self.metrics, self.loss = task.metrics(), keras.metrics.Mean("loss")
        self.workers = collectives.here()
        self.share = samples.take(np.arange(len(samples.images))[self.workers.share(len(samples.images))])
        self.step: Any = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Runs the network on all val images."""
        logs = {} if logs is None else logs
        if self.workers.count > 1:
            logs |= self._of_all_workers(self.model)
        for callback in self.before:
            callback.on_test_begin()
        self.step = self.step or tf.function(self._measured)
        for metric in (self.loss, *self.metrics):
            metric.reset_state()
        size = WHOLE_BATCH if self.task.validates_whole_split else BATCH
        kept = [self.step(x, y) for x, y in batches.evaluation_batches(self.share, self.task.encode, size)]
        _add_up(self.workers, [self.loss, *self.metrics])
        logs |= {f"val_{metric.name}": float(metric.result()) for metric in (self.loss, *self.metrics)}
        if self.task.validates_whole_split:
            whole = tf.nest.map_structure(
                lambda *parts: self.workers.gather_rows(np.concatenate([part.numpy() for part in parts])), *kept
            )
            figures = self.task.evaluate(whole, self.samples)
            logs |= {f"val_{figure.key}": figures[figure.key] for figure in self.task.figures.tested}

    def _of_all_workers(self, model: Method) -> dict[str, float]:
        """Returns the figures of the epoch of all workers, after making their running statistics one."""
        self.workers.average(model.running_statistics())
        _add_up(self.workers, model.metrics)
        return {metric.name: float(metric.result()) for metric in model.metrics}

    def _measured(self, x: tf.Tensor, y: Any) -> Any:
        outputs = self.model(x, training=False)
        self.loss.update_state(self.task.loss(y, outputs), sample_weight=tf.shape(x)[0])
        for metric in self.metrics:
            metric.update_state(y, outputs)
        return self.task.keep(outputs) if self.task.validates_whole_split else ()


def _add_up(workers: collectives.Workers, metrics: Sequence[keras.metrics.Metric]) -> None:
    """Gives metrics, whose states are sums, those of all workers."""
    workers.add_up([variable for metric in metrics for variable in metric.variables])
