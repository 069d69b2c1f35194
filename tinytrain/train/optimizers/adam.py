"""Adam with weight decay that is added to the gradient, as torch.optim.Adam has it (methods.md F.1)."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tinytrain.config.schema import Optim
from tinytrain.train.one_cycle import momentum_of
from tinytrain.train.optimizers import BIASES, decays


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
        beta_1 = momentum_of(self, self.beta_1, variable.dtype)
        first.assign(beta_1 * first + (1 - beta_1) * gradient)
        second.assign(self.beta_2 * second + (1 - self.beta_2) * ops.square(gradient))
        mean = first / (1 - ops.power(beta_1, step))
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


def build(config: Optim, rate: Any) -> Adam:
    """Returns Adam as `config` describes it."""
    return Adam(rate, coupled_decay=config.weight_decay, decay_all=config.decay == "all", bias_lr=config.bias_lr)
