"""AdamW (Loshchilov and Hutter, 2019; arXiv 1711.05101): Adam whose weight decay stays out of the moments.

    w ← w − ηλw,    then the step of Adam with the gradient g alone

as torch.optim.AdamW has it. Adam divides the coupled decay λw by √v like the gradient, so that weights with large
gradients hardly decay; here all decay at the same rate. A usual λ is therefore larger, 0.01 and more.
"""

from typing import Any

import keras
import tensorflow as tf

from tinytrain.config.schema import Optim
from tinytrain.train.optimizers.adam import Adam


@keras.saving.register_keras_serializable("tinytrain")
class AdamW(Adam):
    """Adam with decoupled weight decay, equal to torch.optim.AdamW; its other arguments are those of Adam."""

    def __init__(self, learning_rate: Any = 1e-3, decoupled_decay: float = 0.0, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        self.decoupled_decay = decoupled_decay

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Updates one variable in place."""
        index = self._get_variable_index(variable)
        if self.decoupled_decay and self.decayed[index]:
            rate = tf.cast(learning_rate, variable.dtype) * self.rates[index]
            variable.assign(variable * (1 - rate * self.decoupled_decay))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the optimizer."""
        return super().get_config() | {"decoupled_decay": self.decoupled_decay}


def build(config: Optim, rate: Any) -> AdamW:
    """Returns AdamW as `config` describes it."""
    return AdamW(rate, config.weight_decay, decay_all=config.decay == "all", bias_lr=config.bias_lr)
