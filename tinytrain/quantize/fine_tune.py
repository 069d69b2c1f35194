"""The quantization-aware fine-tune: the fake-quantized graph as a Method, trained with a Task and our optimizers.

The graph is of tf_keras, which tensorflow-model-optimization needs; the trainer is Keras 3. Both train the same
tf.Variables: `SharedVariable` is the Keras 3 view of one of them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tinytrain.config.schema import Config, Optim
from tinytrain.errors import UserError
from tinytrain.methods.distill import Distill
from tinytrain.quantize import qat
from tinytrain.train.method import Method
from tinytrain.train.task import Task
from tinytrain.train.trainer import compile_method

MOMENTUM = 0.9


def fine_tune(
    float_clone: tf_keras.Model,
    task: Task,
    config: Config,
    batches: tf.data.Dataset,
    steps: int,
    calibration: np.ndarray,
    progress: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> tf_keras.Model:
    """Returns the fake-quantized `float_clone` after `steps` steps; 0 steps are post-training quantization.

    SGD with momentum 0.9 and the weight decay of the training; the learning rate falls from qat.lr to 0 in a cosine.
    With qat.distill > 0 the float clone teaches its int8 self (methods/distill). Equal input gives an equal result.

    Args:
        float_clone: the trained network; it keeps its weights.
        task: its loss.
        config: [optim] with the weight decay and [qat].
        batches: (x (B, R, R, C) float32 in [-1, 1), targets), at least `steps` of them.
        steps: how many are taken.
        calibration: (N, R, R, C) float32 in [-1, 1), training images that set the ranges to begin with.
        progress: called with (step, steps, loss) after every step.

    Raises:
        UserError: `batches` ends early, or the loss or the weights are not finite.
    """
    model = qat.quantize(float_clone, calibration)
    if steps:
        _train(model, float_clone, task, config, batches, steps, progress)
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise UserError(f"after the fine-tune the weights are not finite: lower qat.lr, it is {config.qat.lr:g}")
    return model


def optimizer_of(config: Config) -> Optim:
    """Returns the [optim] of the fine-tune: what is not named here is that of the training, or not used."""
    # In the velocity a coupled decay adds up to 1/(1 − μ) of itself, which the decoupled one of AdamW does not.
    share = 1 - MOMENTUM if config.optim.name == "adamw" else 1.0
    return dataclasses.replace(
        config.optim,
        name="sgd",
        weight_decay=share * config.optim.weight_decay,
        lr=config.qat.lr,
        schedule="cosine",
        drops="none",
        warmup_epochs=0.0,
        momentum=MOMENTUM,
        nesterov=False,
        bias_lr=1.0,
    )


def _train(
    model: tf_keras.Model,
    float_clone: tf_keras.Model,
    task: Task,
    config: Config,
    batches: tf.data.Dataset,
    steps: int,
    progress: Callable[[int, int, float], None],
) -> None:
    method: Method = QuantizationAware(model)
    if config.qat.distill:
        method = Distill(method, float_clone, config.qat.distill, config.qat.temperature, task.distillation)
    compile_method(method, task, optimizer_of(config), steps, total_steps=steps)
    watch = _Watch(steps, config.qat.lr, progress)
    method.fit(batches, epochs=1, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[watch])
    if watch.done < steps:
        raise UserError(f"the fine-tune ran out of images after {watch.done} of {steps} steps")


class SharedVariable(keras.Variable):
    """A trainable tf.Variable as a variable of Keras 3: both hold the same numbers. Its name says its role."""

    def __init__(self, variable: tf.Variable, name: str) -> None:
        self._shared = variable
        super().__init__(variable, dtype=variable.dtype.name, name=name)

    def _initialize(self, value: Any) -> None:
        self._value = self._shared


class QuantizationAware(Method):
    """Training of a fake-quantized `model`, in place."""

    def __init__(self, model: tf_keras.Model) -> None:
        keras.Model.__init__(self, name="quantization_aware")
        self._quantized = lambda: model
        biases = {id(wrapper.quantize_config.bias) for wrapper in qat.operators(model)}
        self.shared = [
            SharedVariable(variable, "bias" if id(variable) in biases else "kernel")
            for variable in model.trainable_variables
        ]
        self.build(())

    @property
    def network(self) -> tf_keras.Model:
        """The fake-quantized model."""
        return self._quantized()


class _Watch(keras.callbacks.Callback):
    """Reports each step and ends the training at a loss that is not finite."""

    def __init__(self, steps: int, lr: float, progress: Callable[[int, int, float], None]) -> None:
        super().__init__()
        self.steps, self.lr, self.progress, self.done = steps, lr, progress, 0

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Resets the mean of the loss, so that it is the loss of one step."""
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Looks at the loss of the step."""
        loss, self.done = float((logs or {})["loss"]), self.done + 1
        if not np.isfinite(loss):
            raise UserError(f"the loss of the fine-tune is {loss} at step {self.done}: lower qat.lr, it is {self.lr:g}")
        self.progress(self.done, self.steps, loss)
