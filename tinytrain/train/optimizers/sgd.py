"""SGD with momentum, and weight decay that is added to the gradient (methods.md F.1, F.2).

    g ← g + λw        (not for biases, γ and β, unless optim.decay says all)
    v ← μv + g
    w ← w − η(g + μv)  with Nesterov momentum, else w − ηv

Keras' SGD keeps lr·g in its velocity, so that a drop of the learning rate acts late, and its `weight_decay` is
decoupled.
"""

from typing import Any

import keras
import tensorflow as tf

from tinytrain.config.schema import Optim
from tinytrain.train.one_cycle import momentum_of
from tinytrain.train.optimizers import BIASES, decays


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
            momentum=tf.cast(momentum_of(self, self.momentum, variable.dtype), variable.dtype),
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


def build(config: Optim, rate: Any) -> SGD:
    """Returns SGD as `config` describes it."""
    return SGD(rate, config.momentum, config.nesterov, config.weight_decay, config.decay == "all", config.bias_lr)
