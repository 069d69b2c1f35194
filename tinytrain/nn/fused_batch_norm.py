"""BatchNorm with TensorFlow's fused kernel: faster, and with PyTorch's running variance; synchronised if asked for."""

from typing import Any

import keras
import tensorflow as tf

from tinytrain.workers import collectives


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """BatchNormalization over the channels of (B, H, W, C), with TensorFlow's fused kernel.

    It computes what Keras' layer computes, whose separate operations take up to a third of a training step on the CPU.
    One difference: the running variance is unbiased (n − 1), as in PyTorch and so in the papers (methods.md F.4).

    With `synchronized`, an argument of Keras' layer, the statistics of a batch are those of all workers that share it.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        """Returns the normalized batch, and updates the running statistics in training."""
        running = None if training else (self.moving_mean.value, self.moving_variance.value)
        outputs, mean, variance = normalize(self, inputs, self.gamma, self.beta, running)
        if running is None:
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
            self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1.0 - self.momentum))
        return outputs


def normalize(
    layer: keras.layers.BatchNormalization, x: tf.Tensor, gamma: Any, beta: Any, running: Any = None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns (normalized batch, mean, variance), the last two of its channels, the variance unbiased.

    Args:
        layer: says ε, and whether statistics are synchronized between workers.
        x: (B, H, W, C).
        gamma: (C,) the scale.
        beta: (C,) the offset.
        running: mean and variance (C,) to normalize with; None: those of the batch.
    """
    if running is None and layer.synchronized:
        return _synchronized(x, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta), layer.epsilon)
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x,
        tf.cast(gamma, tf.float32),
        tf.cast(beta, tf.float32),
        *(running or ()),
        epsilon=layer.epsilon,
        is_training=running is None,
    )
    return outputs, mean, variance


def _synchronized(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns what `normalize` does, with the statistics of all workers' batches: torch.nn.SyncBatchNorm.

    The mean and the mean of squares are averaged in one exchange; each worker has as many values.
    """
    workers = collectives.here()
    values = tf.cast(x, tf.float64 if x.dtype == tf.float64 else tf.float32)
    moments = tf.stack([tf.reduce_mean(values, (0, 1, 2)), tf.reduce_mean(tf.square(values), (0, 1, 2))])
    mean, square = tf.unstack(workers.differentiable_mean(moments))
    variance = tf.maximum(square - tf.square(mean), 0.0)
    scale = tf.cast(gamma, values.dtype) * tf.math.rsqrt(variance + epsilon)
    outputs = values * scale + (tf.cast(beta, values.dtype) - mean * scale)
    count = tf.cast(tf.size(values) // tf.size(mean) * workers.count, values.dtype)
    return tf.cast(outputs, x.dtype), mean, variance * count / tf.maximum(count - 1.0, 1.0)


def with_fused_batch_norm(model: keras.Model) -> keras.Model:
    """Returns a copy of `model`, weights included, with the fused layer for every BatchNorm over channels."""

    def clone(layer: keras.Layer) -> keras.Layer:
        fusable = type(layer) is keras.layers.BatchNormalization and layer.center and layer.scale
        kind = FusedBatchNormalization if fusable and len(layer.input.shape) == 4 else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def synchronize(model: keras.Model) -> None:
    """Makes every BatchNorm over channels that is trained inside of `model` take the statistics of all workers."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            synchronize(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
