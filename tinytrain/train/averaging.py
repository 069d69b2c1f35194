"""Averages of the weights over the steps of a training, which are evaluated and saved in place of the last ones.

    a ← d·a + (1 − d)·w    after each step of the optimizer,    d = min(optim.ema, (1 + t)/(10 + t))

t counts the steps from 0, so that a short training does not end with the weights that it began with; it is the rule of
TensorFlow's ExponentialMovingAverage with `num_updates`. BatchNorm's running statistics are averaged with the weights.
"""

import keras
import tensorflow as tf

from tinytrain.train.method import Method, MethodWrapper


class Averaging(MethodWrapper):
    """The outermost method of a training with optim.ema: the others train, and what they train is averaged.

    Within an epoch the networks hold the weights that are trained, and else the averages; `exchange` swaps both. A
    checkpoint after an epoch thus has the averages in the place of the weights, and nothing else needs to know of them.

    Args:
        inner: the method whose weights are averaged.
        decay: optim.ema, d of the formula above, below 1.
    """

    def __init__(self, inner: Method, decay: float) -> None:
        self.decay = decay
        super().__init__(inner)

    def build(self, input_shape: tuple) -> None:
        """Makes the averages, which begin as what is averaged, under the same names."""
        averaged = [*self.inner.trainable_variables, *self.inner.running_statistics()]
        self._averaged = lambda: averaged  # not an attribute, or Keras would track the variables a second time
        self.averages = [
            keras.Variable(variable.numpy(), dtype=variable.dtype, trainable=False, name=variable.name)
            for variable in averaged
        ]
        super().build(input_shape)

    def after_step(self, number: tf.Tensor) -> None:
        """Moves the averages towards the weights, after the hook of the inner method."""
        super().after_step(number)
        step = tf.cast(number, tf.float32)
        decay = tf.minimum(self.decay, (1.0 + step) / (10.0 + step))
        for average, variable in zip(self.averages, self._averaged(), strict=True):
            average.assign_sub(tf.cast(1.0 - decay, average.dtype) * (average.value - variable.value))

    def exchange(self) -> None:
        """Swaps averages and weights."""
        for average, variable in zip(self.averages, self._averaged(), strict=True):
            held = tf.identity(variable.value)
            variable.assign(average.value)
            average.assign(held)

    def kept_for(self, variable: keras.Variable) -> list[keras.Variable]:
        """Returns the average of `variable`, too."""
        pairs = zip(self.averages, self._averaged(), strict=True)
        return [*super().kept_for(variable), *(average for average, other in pairs if other is variable)]

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns the one that exchanges the weights, before those of the inner method, which see what it made."""
        return [_Exchange(self), *self.inner.callbacks()]


class _Exchange(keras.callbacks.Callback):
    """Gives the networks the weights that are trained for an epoch, and the averages for all that follows it."""

    def __init__(self, averaging: Averaging) -> None:
        super().__init__()
        self.averaging = averaging

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Brings the trained weights back."""
        self.averaging.exchange()

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Puts the averages in their place."""
        self.averaging.exchange()
