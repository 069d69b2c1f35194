"""Method: what stands between a plain model and `keras.Model.fit`, and owns the training step.

The base class is plain training. A training method of `tinytrain/methods` is a subclass that changes `train_step`; it
wraps a functional model, never subclasses one (keras rewrites the base classes of a functional subclass), and `finish`
gives the plain model back without a trace of the method.
"""

from typing import Any

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """BatchNormalization over the channels of (B, H, W, C) by TensorFlow's fused kernel.

    The same function as Keras' layer, whose separate operations cost up to a third of a training step on the CPU. One
    difference: the running variance is the unbiased one (n − 1), as in PyTorch and so in the papers (methods.md F.4).
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        """Returns the normalised batch; in training it updates the running statistics."""
        running = None if training else (self.moving_mean.value, self.moving_variance.value)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.cast(self.gamma, tf.float32),
            tf.cast(self.beta, tf.float32),
            *(running or ()),
            epsilon=self.epsilon,
            is_training=running is None,
        )
        if running is None:
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
            self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1.0 - self.momentum))
        return outputs


def with_fused_batch_norm(model: keras.Model) -> keras.Model:
    """Returns a copy of `model`, weights included, in which every BatchNorm over channels is the fused one."""

    def clone(layer: keras.Layer) -> keras.Layer:
        fusable = type(layer) is keras.layers.BatchNormalization and layer.center and layer.scale
        kind = FusedBatchNormalization if fusable and len(layer.input.shape) == 4 else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


class Method(keras.Model):
    """Plain training of `model`; other methods change `train_step`.

    The weights that are trained belong to a copy, `network`, that is fast in training. `finish` brings them back.
    """

    def __init__(self, model: keras.Model, **kwargs: Any) -> None:
        super().__init__(name=f"{model.name}_training", **kwargs)
        self._plain = lambda: model  # not an attribute, or Keras would track its weights a second time
        self.network = with_fused_batch_norm(model)
        self.build(model.input_shape)

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the logits (B, classes) of the images (B, H, W, C)."""
        return self.network(x, training=training)

    def build(self, input_shape: tuple) -> None:
        """Marks the method as built: its network always is."""
        self.built = True

    def finish(self) -> keras.Model:
        """Returns the plain model with the trained weights."""
        plain = self._plain()
        plain.set_weights(self.network.get_weights())
        return plain
