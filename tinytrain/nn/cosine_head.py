"""The cosine head: its logits are the cosines between the features of an image and the direction of each class.

It replaces the last Dense layer of a functional model. There are two forms, with the same weights in the same order:
- in the plain model (`with_cosine_head`), Keras' own layers: UnitNormalization of the features (B, F), then a Dense
  layer without bias whose columns, the directions of the classes, have length 1;
- in the network in training (`in_training`), directions of any length, which every forward pass normalizes, so that
  plain gradient steps stay on the sphere (methods.md C.6).
Its loss is `train.additive_margin_loss.am_softmax`, for AM-Softmax and for the slow student of mutual learning.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tinytrain.errors import UserError
from tinytrain.nn.blocks import Tensor
from tinytrain.nn.graph import walk

MIN_SQUARED_LENGTH = 1e-24  # shorter vectors are not normalized, as in Keras' UnitNormalization


def with_cosine_head(model: keras.Model, dropout: float | None = None, keep_weights: bool = True) -> keras.Model:
    """Returns a copy of `model` with a cosine head, whose directions are drawn at random.

    Args:
        model: a functional model: images (B, H, W, C) -> logits (B, classes), whose last layer is Dense.
        dropout: the rate before the head, in place of the model's own; None leaves that as it is.
        keep_weights: copy all weights but the head's, instead of drawing new ones.

    Raises:
        UserError: the last layer is not Dense, or applies an activation.
    """
    head = classifier(model)

    def clone(layer: keras.Layer) -> keras.Layer:
        if layer is head:
            return layers.Dense(layer.units, use_bias=False, name=layer.name, dtype=layer.dtype_policy)
        return type(layer).from_config(layer.get_config())

    def features(x: Tensor) -> Tensor:
        return layers.UnitNormalization(name=f"{head.name}_features", dtype=head.dtype_policy)(x)

    copy = _copy(model, head, clone, features, dropout, keep_weights)
    kernel = copy.get_layer(head.name).kernel
    kernel.assign(keras.initializers.RandomNormal(stddev=1.0)(kernel.shape))
    normalize_directions(copy)
    return copy


def with_dropout(model: keras.Model, dropout: float, keep_weights: bool) -> keras.Model:
    """Returns a copy of `model` with another dropout rate and a new draw of its head; see `with_cosine_head`."""

    def clone(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config(layer.get_config())

    return _copy(model, classifier(model), clone, lambda x: x, dropout, keep_weights)


def _copy(
    model: keras.Model,
    head: keras.layers.Dense,
    clone: Callable[[keras.Layer], keras.Layer],
    features: Callable[[Tensor], Tensor],
    dropout: float | None,
    keep_weights: bool,
) -> keras.Model:
    """Returns a copy of `model` of the layers that `clone` makes; `features` is applied to the input of the head."""
    replaced = None if dropout is None else _dropout_before(model, head)

    def call(layer: keras.Layer, *args: Any, **kwargs: Any) -> Tensor:
        if layer.name == replaced:
            return args[0]
        if layer.name != head.name:
            return layer(*args, **kwargs)
        options = {"name": f"{layer.name}_dropout", "dtype": layer.dtype_policy}
        x = layers.Dropout(dropout, **options)(args[0]) if dropout else args[0]
        return layer(features(x))

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in copy.layers if keep_weights else ():
        if layer.weights and layer.name != head.name:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return copy


def classifier(model: keras.Model) -> keras.layers.Dense:
    """Returns the last layer of `model`; raises UserError if it is not Dense, or applies an activation."""
    graph = walk(model)
    last = graph.producer(graph.outputs[0])
    layer = last.layer if last else model
    if not isinstance(layer, layers.Dense) or layer.activation is not keras.activations.linear:
        raise UserError(
            f"the model '{model.name}' ends with the layer '{layer.name}' of class {type(layer).__name__}: "
            "a cosine head can only replace a Dense layer without activation"
        )
    return layer


def _dropout_before(model: keras.Model, head: keras.Layer) -> str | None:
    """Returns the name of the Dropout layer in front of `head`, if there is one."""
    graph = walk(model)
    (call,) = [call for call in graph.calls if call.layer is head]
    producer = graph.producer(call.inputs[0])
    return producer.layer.name if producer and isinstance(producer.layer, layers.Dropout) else None


def normalize_directions(model: keras.Model) -> None:
    """Scales each column of the last layer's kernel, the direction of a class, to length 1, in place."""
    kernel = classifier(model).kernel
    values = kernel.numpy().astype("float64")
    kernel.assign(values / np.sqrt(np.maximum(np.square(values).sum(axis=0), MIN_SQUARED_LENGTH)))


def in_training(model: keras.Model) -> keras.Model:
    """Returns the form for training of `model`, which has a cosine head: the same function, weights included."""
    head = classifier(model)

    def clone(layer: keras.Layer) -> keras.Layer:
        if layer is head:
            return CosineClassifier(layer.units, name=layer.name, dtype=layer.dtype_policy)
        kind = SafeUnitNormalization if type(layer) is layers.UnitNormalization else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


class SafeUnitNormalization(layers.UnitNormalization):
    """UnitNormalization with a gradient of 0 for features that are all 0; Keras' layer gives 1e12, with XLA NaN."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns `inputs` scaled to length 1 along the axis; zeros stay zeros."""
        square = tf.reduce_sum(tf.square(inputs), self.axis, keepdims=True)
        nonzero = square > MIN_SQUARED_LENGTH
        inverse = tf.math.rsqrt(tf.where(nonzero, square, tf.ones_like(square)))
        return inputs * tf.where(nonzero, inverse, tf.zeros_like(inverse))


class CosineClassifier(layers.Layer):
    """Maps unit features (B, F) to cosines (B, units); its directions, of any length, are normalized in every call."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: tuple) -> None:
        """Adds the directions, (F, units). They are not called a kernel, so that they do not decay (methods.md C.2)."""
        self.directions = self.add_weight(shape=(input_shape[-1], self.units), name="directions")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns cosθ, clipped to ±1, which rounding could exceed."""
        directions = tf.math.l2_normalize(tf.convert_to_tensor(self.directions), 0, MIN_SQUARED_LENGTH)
        return tf.clip_by_value(tf.matmul(inputs, directions), -1.0, 1.0)
