"""BatchNorm by the fused kernel of TensorFlow: fast, and with the running variance of PyTorch."""

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
