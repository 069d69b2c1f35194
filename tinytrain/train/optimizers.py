"""Optimizers as the papers (PyTorch) define them, where Keras' own differ.

Keras' SGD keeps lr·g in its velocity, so that a drop of the learning rate acts late, and its `weight_decay` is
decoupled. Here the velocity keeps g and the decay is added to the gradient (methods.md F.1, F.2):

    g ← g + λw        (not for biases, γ and β, unless optim.decay says all)
    v ← μv + g
    w ← w − η(g + μv)  with Nesterov momentum, else w − ηv

The η of biases, β included, is optim.bias_lr times that of the rest (methods.md C.2: no bias decay, doubled rate).
"""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

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


@keras.saving.register_keras_serializable("tinytrain")
class SGD(keras.optimizers.Optimizer):
    """SGD with momentum and coupled weight decay, equal to torch.optim.SGD (dampening 0)."""

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        nesterov: bool = True,
        coupled_decay: float = 0.0,
        decay_all: bool = False,
        bias_lr: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum, self.nesterov, self.coupled_decay = momentum, nesterov, coupled_decay
        self.decay_all, self.bias_lr = decay_all, bias_lr

    def build(self, variables: list[keras.Variable]) -> None:
        """Adds one velocity for each variable."""
        if self.built:
            return
        super().build(variables)
        self.decayed = [self.decay_all or decays(variable) for variable in variables]
        self.rates = [self.bias_lr if variable.name in BIASES else 1.0 for variable in variables]
        self.velocities = [self.add_variable_from_reference(variable, name="velocity") for variable in variables]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Updates one variable in place; the fused kernel computes v and w exactly as above."""
        index = self._get_variable_index(variable)
        velocity = self.velocities[index]
        if self.coupled_decay and self.decayed[index]:
            gradient = gradient + self.coupled_decay * variable
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=velocity.value.handle,
            lr=tf.cast(learning_rate, variable.dtype) * self.rates[index],
            grad=gradient,
            momentum=tf.constant(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the optimizer."""
        return super().get_config() | {
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "coupled_decay": self.coupled_decay,
            "decay_all": self.decay_all,
            "bias_lr": self.bias_lr,
        }


@keras.saving.register_keras_serializable("tinytrain")
class Adam(keras.optimizers.Optimizer):
    """Adam with coupled weight decay, equal to torch.optim.Adam: ε is added to √(v/(1−β₂ᵗ)), not to √v."""

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        coupled_decay: float = 0.0,
        decay_all: bool = False,
        bias_lr: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.coupled_decay = beta_1, beta_2, epsilon, coupled_decay
        self.decay_all, self.bias_lr = decay_all, bias_lr

    def build(self, variables: list[keras.Variable]) -> None:
        """Adds the first and second moment of each variable."""
        if self.built:
            return
        super().build(variables)
        self.decayed = [self.decay_all or decays(variable) for variable in variables]
        self.rates = [self.bias_lr if variable.name in BIASES else 1.0 for variable in variables]
        self.first = [self.add_variable_from_reference(variable, name="first_moment") for variable in variables]
        self.second = [self.add_variable_from_reference(variable, name="second_moment") for variable in variables]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Updates one variable in place."""
        index = self._get_variable_index(variable)
        first, second = self.first[index], self.second[index]
        step = ops.cast(self.iterations + 1, variable.dtype)
        if self.coupled_decay and self.decayed[index]:
            gradient = gradient + self.coupled_decay * variable
        first.assign(self.beta_1 * first + (1 - self.beta_1) * gradient)
        second.assign(self.beta_2 * second + (1 - self.beta_2) * ops.square(gradient))
        mean = first / (1 - ops.power(self.beta_1, step))
        deviation = ops.sqrt(second / (1 - ops.power(self.beta_2, step)))
        rate = ops.cast(learning_rate, variable.dtype) * self.rates[index]
        variable.assign(variable - rate * mean / (deviation + self.epsilon))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the optimizer."""
        return super().get_config() | {
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "coupled_decay": self.coupled_decay,
            "decay_all": self.decay_all,
            "bias_lr": self.bias_lr,
        }


def build(config: Optim, steps_per_epoch: int, total_steps: int | None = None) -> keras.optimizers.Optimizer:
    """Returns the optimizer of `config` with its schedule; that of "plateau" is a callback (`plateau`).

    total_steps: how long the schedule is, by default all epochs.
    """
    rate = schedules.build(config, steps_per_epoch, total_steps)
    options: dict[str, Any] = {
        "coupled_decay": config.weight_decay,
        "decay_all": config.decay == "all",
        "bias_lr": config.bias_lr,
    }
    if config.name == "adam":
        return Adam(rate, **options)
    return SGD(rate, config.momentum, config.nesterov, **options)
