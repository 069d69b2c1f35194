"""Keeps oneDNN from writing beyond its memory in the gradient of a 1x1 convolution with a stride, ResNet's shortcut.

With fewer input channels than a vector has floats, its kernel for this gradient writes past its workspace
(https://github.com/uxlfoundation/oneDNN/issues/6035): the program crashes, hangs or goes on with wrong weights. It is
so in TensorFlow 2.21, for example in each training of a ResNet-8 of width 0.5 on images of 96 pixels.
"""

from typing import Any

import tensorflow as tf

NAME = "Conv2D"
FEWEST = 16  # input channels that are safe: the floats of AVX-512's vectors, the longest ones


def mend() -> None:
    """Replaces TensorFlow's gradient of Conv2D for such convolutions; once is enough."""
    from tensorflow.python.framework import ops  # no public function replaces a gradient that is registered

    entry = ops.gradient_registry._registry[NAME]
    if entry["type"] is not _gradient:
        _usual.append(entry["type"])
        entry["type"] = _gradient


_usual: list[Any] = []  # TensorFlow's own gradient


def _gradient(op: Any, grad: tf.Tensor) -> list[tf.Tensor]:
    """Returns the gradients of a Conv2D `op` with respect to its images and its kernel."""
    images, kernel = op.inputs
    height, width, channels, _ = kernel.shape
    strides, layout = op.get_attr("strides"), op.get_attr("data_format")
    concerned = (height, width) == (1, 1) and max(strides) > 1 and (channels is None or channels < FEWEST)
    if not concerned or layout not in (b"NHWC", "NHWC") or op.get_attr("padding") in (b"EXPLICIT", "EXPLICIT"):
        return _usual[0](op, grad)
    # The same convolution with a kernel as large as the stride, which is 0 but in its corner: another kernel of oneDNN
    # computes its gradient, as fast. Both begin at the first pixel, as neither is padded there.
    corner = tf.raw_ops.Conv2DBackpropFilter(
        input=images,
        filter_sizes=tf.concat([strides[1:3], tf.shape(kernel)[2:]], 0),
        out_backprop=grad,
        strides=strides,
        padding="SAME",
    )[:1, :1]
    of_images = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(images), filter=kernel, out_backprop=grad, strides=strides, padding="SAME"
    )
    return [of_images, corner]
