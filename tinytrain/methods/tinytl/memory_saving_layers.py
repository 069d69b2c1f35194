"""Layers for training a network with frozen kernels: they keep only what their gradients need.

Each computes what the Keras layer that it replaces does. TensorFlow's own gradients keep whole activations: the input
of the fused BatchNorm, the output of ReLU.
"""

import math
from typing import Any

import tensorflow as tf
from keras import layers

STANDARDIZING_EPSILON = 1e-5


def standardized(kernel: tf.Tensor, depthwise: bool = False) -> tf.Tensor:
    """Returns a kernel (k, k, C, F) whose output filters each have mean 0 and (unbiased) standard deviation 1."""
    kernel = tf.convert_to_tensor(kernel)
    axes = [0, 1] if depthwise else [0, 1, 2]
    count = math.prod(kernel.shape[axis] for axis in axes)
    centered = kernel - tf.reduce_mean(kernel, axes, keepdims=True)
    variance = tf.reduce_sum(centered**2, axes, keepdims=True) / (count - 1)
    return centered / (tf.sqrt(variance) + STANDARDIZING_EPSILON)


class AffineBatchNormalization(layers.BatchNormalization):
    """BatchNorm with its running statistics, in training, too: no gradient, for β or the input, needs the input."""

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: None = None) -> tf.Tensor:
        """Returns x·γ/√(σ²+ε) + β − μ·γ/√(σ²+ε)."""
        scale = self.gamma * tf.math.rsqrt(self.moving_variance + self.epsilon)
        shift = tf.cast(self.beta - self.moving_mean * scale, inputs.dtype)
        scale = tf.cast(scale, inputs.dtype)

        @tf.custom_gradient
        def affine(x: tf.Tensor, shift: tf.Tensor) -> tuple[tf.Tensor, Any]:
            def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                total = tf.reduce_sum(upstream, [0, 1, 2])
                with tf.control_dependencies([total]):  # else it may run late and keep `upstream` alive
                    return upstream * scale, total

            return x * scale + shift, gradient

        return affine(inputs, shift)


class MaskReLU(layers.ReLU):
    """ReLU or ReLU6 that keeps a bool for each value, one byte, where Keras' layer keeps the four of its output."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the clipped `inputs`."""

        @tf.custom_gradient
        def clip(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
            passes = x > 0 if self.max_value is None else (x > 0) & (x < self.max_value)
            with tf.control_dependencies([passes]):  # else it may run late and keep `x` alive
                y = tf.nn.relu(x) if self.max_value is None else tf.nn.relu6(x)
            return y, lambda upstream: tf.where(passes, upstream, tf.zeros((), upstream.dtype))

        return clip(inputs)


class HardSwish(layers.Activation):
    """Hard swish, x·relu6(x + 3)/6, that keeps only its input for the gradient."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the hard swish of `inputs`."""

        @tf.custom_gradient
        def swish(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                slope = tf.where(x >= 3, tf.ones((), x.dtype), (2 * x + 3) / 6)
                return tf.where(x > -3, upstream * slope, tf.zeros((), x.dtype))

            return x * tf.nn.relu6(x + 3) / 6, gradient

        return swish(inputs)


class GroupedConv2D(layers.Conv2D):
    """A convolution without bias that runs one operator for each group.

    TensorFlow has no gradient of grouped convolutions on the CPU.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns (B, ⌈H/stride⌉, ⌈W/stride⌉, filters)."""
        kernels = tf.split(self.effective_kernel(), self.groups, axis=-1)
        parts = tf.split(inputs, self.groups, axis=-1)
        return tf.concat(
            [tf.nn.conv2d(x, w, self.strides, "SAME") for x, w in zip(parts, kernels, strict=True)], axis=-1
        )

    def effective_kernel(self) -> tf.Tensor:
        """Returns the kernel of the convolution, (k, k, C/groups, filters)."""
        return self.kernel.value


class StandardizedConv2D(GroupedConv2D):
    """A GroupedConv2D with standardized weights; the gradient passes through the standardization."""

    def effective_kernel(self) -> tf.Tensor:
        """Returns the standardized kernel."""
        return standardized(self.kernel.value)
