"""Optimizers as the papers (PyTorch) define them, where Keras' own differ: one file each, its name is optim.name.

A module has `build(config, rate)`, which returns the optimizer of the `Optim` section `config`; `rate` is its learning
rate, a number or a schedule. Weight decay acts on what `decays` says, unless optim.decay is "all"; the η of biases, β
included, is optim.bias_lr times that of the rest (methods.md C.2: no bias decay, doubled rate).
"""

import keras

from tinytrain.config import plugins
from tinytrain.config.schema import Optim
from tinytrain.train import schedules

BIASES = ("bias", "beta")


def decays(variable: keras.Variable) -> bool:
    """Returns whether weight decay acts on `variable`: on kernels, not on biases, BatchNorm's γ or a cosine head."""
    return variable.name.endswith("kernel")


def slots(optimizer: keras.optimizers.Optimizer, variable: keras.Variable) -> list[keras.Variable]:
    """Returns what `optimizer` keeps for `variable`, such as its velocity: nothing if it is not trained."""
    if not variable.trainable:
        return []
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of Keras' loss scaling
    index = optimizer._get_variable_index(variable)
    kinds = [getattr(optimizer, name) for name in ("velocities", "first", "second") if hasattr(optimizer, name)]
    return [kind[index] for kind in kinds]


def build(config: Optim, steps_per_epoch: int, total_steps: int | None = None) -> keras.optimizers.Optimizer:
    """Returns the optimizer of `config` with its schedule; that of "plateau" is a callback (`plateau`).

    Args:
        config: the [optim] section.
        steps_per_epoch: the steps of an epoch.
        total_steps: how long the schedule is, by default all epochs.
    """
    rate = schedules.build(config, steps_per_epoch, total_steps)
    return plugins.load("train.optimizers", config.name).build(config, rate)
