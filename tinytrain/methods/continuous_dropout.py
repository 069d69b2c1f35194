"""Continuous dropout (Shen et al., 2018; arXiv 1911.12675): features are multiplied by random numbers from 0 to 1.

    training: y = x·m / E[m]    with m from U(0, 1), or from N(0.5, σ²) clipped to 0 … 1, one for each feature
    after it: y = x

E[m] is 0.5 for both. The paper halves the weights after the training instead, which computes the same; the authors'
code scales in training, as here (jasonustc/caffe-multigpu). It stands where model.dropout does, before the classifier,
and takes the place of that. The finished model has no such layer.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.nn.blocks import Tensor
from tinytrain.train.method import Method, TrainingContext, require_functional

MEAN = 0.5  # of the masks


def build(inner: Any, config: Config, training: TrainingContext) -> "ContinuousDropoutTraining":
    """Returns continuous dropout around the plain model `inner`; raises UserError around another method."""
    options = config.continuous_dropout
    return ContinuousDropoutTraining(
        require_functional(inner, "continuous_dropout"), options.distribution, options.sigma
    )


class ContinuousDropout(layers.Layer):
    """Multiplies each value by a random number of mean 1 in training; else the identity.

    Args:
        distribution: "uniform" or "gaussian".
        sigma: σ of the Gaussian, before it is clipped.
        seed: of the layer's own random numbers.
        **kwargs: of the Keras layer.
    """

    def __init__(self, distribution: str, sigma: float = 0.2, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.distribution, self.sigma, self.seed = distribution, sigma, seed
        self.seed_generator = keras.random.SeedGenerator(seed)  # a checkpoint holds its state

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns values of the shape of `inputs`."""
        if not training:
            return inputs
        shape = tf.shape(inputs)
        if self.distribution == "uniform":
            mask = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        else:
            mask = keras.random.normal(shape, MEAN, self.sigma, dtype="float32", seed=self.seed_generator)
            mask = tf.clip_by_value(mask, 0.0, 1.0)
        return inputs * tf.cast(mask / MEAN, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild the layer."""
        own = {"distribution": self.distribution, "sigma": self.sigma, "seed": self.seed}
        return super().get_config() | own


class ContinuousDropoutTraining(Method):
    """Trains a copy of `model` with continuous dropout before its classifier."""

    def __init__(self, model: keras.Model, distribution: str, sigma: float = 0.2, **kwargs: Any) -> None:
        super().__init__(with_continuous_dropout(model, distribution, sigma), **kwargs)
        self._plain = lambda: model


def with_continuous_dropout(model: keras.Model, distribution: str, sigma: float) -> keras.Model:
    """Returns a copy of `model`, weights included, with continuous dropout in place of that before its classifier.

    Raises:
        UserError: the last layer is not Dense.
    """
    classifier = model.layers[-1]
    if not isinstance(classifier, layers.Dense):
        raise UserError(
            f"the model '{model.name}' ends with the layer '{classifier.name}' of class {type(classifier).__name__}: "
            "continuous_dropout expected a Dense classifier"
        )

    def call(layer: keras.Layer, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if layer.name == classifier.name:
            x = ContinuousDropout(distribution, sigma, name="continuous_dropout", dtype=layer.dtype_policy)(x)
        return x if isinstance(layer, layers.Dropout) else layer(x, *args, **kwargs)

    copy = keras.models.clone_model(
        model, clone_function=lambda layer: type(layer).from_config(layer.get_config()), call_function=call
    )
    copy.set_weights(model.get_weights())
    return copy
