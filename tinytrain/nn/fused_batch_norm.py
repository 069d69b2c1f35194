"""BatchNorm with TensorFlow's fused kernel: faster, and with PyTorch's running variance."""

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """BatchNormalization over the channels of (B, H, W, C), with TensorFlow's fused kernel.

    It computes what Keras' layer computes, whose separate operations take up to a third of a training step on the CPU.
    One difference: the running variance is unbiased (n − 1), as in PyTorch and so in the papers (methods.md F.4).
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        """Returns the normalized batch, and updates the running statistics in training."""
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
    """Returns a copy of `model`, weights included, with the fused layer for every BatchNorm over channels."""

    def clone(layer: keras.Layer) -> keras.Layer:
        fusable = type(layer) is keras.layers.BatchNormalization and layer.center and layer.scale
        kind = FusedBatchNormalization if fusable and len(layer.input.shape) == 4 else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy
