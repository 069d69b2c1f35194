"""The learning rate by the step. That of optim.schedule = "plateau" follows the loss and is a callback (`plateau`)."""

import math
from typing import Any

import keras
from keras import ops

from tinytrain.config.schema import Optim
from tinytrain.train.one_cycle import OneCycle


@keras.saving.register_keras_serializable("tinytrain")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then half a cosine to 0, a step at a time.

    With peak η, W warm-up steps and T steps in all: η·(t + 1)/W for t < W, then η·½(1 + cos(π(t − W)/(T − W))). A share
    f = `warmup_from` > 0 begins the warm-up at fη instead, as NetAug does: η·(f + (1 − f)·t/W) for t < W. With `every`
    the rate changes only where t is a multiple of it, as PyTorch's does if stepped once an epoch (methods.md F.10).
    """

    def __init__(
        self, peak: float, warmup_steps: int, total_steps: int, warmup_from: float = 0.0, every: int = 1
    ) -> None:
        self.peak, self.warmup_steps, self.total_steps = peak, warmup_steps, total_steps
        self.warmup_from, self.every = warmup_from, every

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of step `step`, counted from 0."""
        step = ops.cast(step // self.every * self.every, "float32")
        progress = (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1)
        cosine = 0.5 * (1.0 + ops.cos(math.pi * ops.clip(progress, 0.0, 1.0)))
        return self.peak * ops.where(
            step < self.warmup_steps, _warmup(step, self.warmup_steps, self.warmup_from), cosine
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the schedule."""
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "warmup_from": self.warmup_from,
            "every": self.every,
        }


@keras.saving.register_keras_serializable("tinytrain")
class WarmupSteps(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up as that of `WarmupCosine`, then the peak, multiplied by `factor` from each of the steps `drops`.

    GluonCV's scheduler with lr-decay-epoch is like this (detection.md E): a drop at epoch 160, counted from 0.
    """

    def __init__(
        self, peak: float, warmup_steps: int, drops: list[int], factor: float, warmup_from: float = 0.0
    ) -> None:
        self.peak, self.warmup_steps, self.drops = peak, warmup_steps, drops
        self.factor, self.warmup_from = factor, warmup_from

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of step `step`, counted from 0."""
        step = ops.cast(step, "float32")
        dropped = ops.sum(ops.cast(step >= ops.convert_to_tensor(self.drops, "float32"), "float32"))
        warmup = ops.where(step < self.warmup_steps, _warmup(step, self.warmup_steps, self.warmup_from), 1.0)
        return self.peak * warmup * ops.power(self.factor, dropped)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the schedule."""
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "drops": self.drops,
            "factor": self.factor,
            "warmup_from": self.warmup_from,
        }


def _warmup(step: Any, warmup_steps: int, warmup_from: float) -> Any:
    """Returns the share of the peak in step `step` of a warm-up."""
    first = 0 if warmup_from else 1  # from 0 the first step would be lost
    return warmup_from + (1 - warmup_from) * (step + first) / max(warmup_steps, 1)


def build(
    config: Optim, steps_per_epoch: int, total_steps: int | None = None
) -> keras.optimizers.schedules.LearningRateSchedule | float:
    """Returns the schedule of `config`, or optim.lr where no schedule depends on the step alone.

    Args:
        config: the [optim] section.
        steps_per_epoch: the steps of an epoch.
        total_steps: how many steps there are, by default those of all epochs.
    """
    total = config.epochs * steps_per_epoch if total_steps is None else total_steps
    if config.schedule == "one_cycle":
        low, high = config.cycle_momentum
        return OneCycle(config.lr, total, config.cycle_rise, config.cycle_start, config.cycle_end, (low, high))
    warmup = min(round(config.warmup_epochs * steps_per_epoch), total - 1)
    if config.schedule == "steps":
        drops = [round(float(drop) * steps_per_epoch) for drop in config.drops]
        return WarmupSteps(config.lr, warmup, drops, config.drop_factor, config.warmup_from)
    if not config.schedule.startswith("cosine"):
        return config.lr
    every = steps_per_epoch if config.schedule == "cosine_epochs" else 1
    return WarmupCosine(config.lr, warmup, total, config.warmup_from, every)
