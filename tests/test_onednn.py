"""The gradient of a 1x1 convolution with a stride, which oneDNN computes outside of its memory."""

import numpy as np
import pytest
import tensorflow as tf

from tinytrain import onednn

onednn.mend()


def gradients(images, kernel, of_output, strides, padding="SAME", layout="NHWC"):
    """Returns TensorFlow's gradients of sum(convolution · of_output) with respect to images and kernel, in a graph."""

    @tf.function
    def both(images, kernel, of_output):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            output = tf.nn.conv2d(images, kernel, strides, padding, layout)
        return tape.gradient(output, [images, kernel], of_output)

    values = [tf.constant(value, tf.float32) for value in (images, kernel, of_output)]
    return [value.numpy() for value in both(*values)]


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("side", [48, 47])
@pytest.mark.parametrize(("inputs", "outputs"), [(4, 8), (8, 16), (15, 16), (16, 32)])
def test_gradients_of_a_strided_1x1_convolution_are_the_matrix_products(inputs, outputs, side, stride):
    random = np.random.default_rng(0)
    images, kernel = random.standard_normal((4, side, side, inputs)), random.standard_normal((inputs, outputs))
    seen = images[:, ::stride, ::stride]  # the pixels that a 1x1 kernel looks at
    of_output = random.standard_normal((*seen.shape[:3], outputs))
    for padding in ("SAME", "VALID"):
        of_images, of_kernel = gradients(images, kernel[None, None], of_output, stride, padding)
        expected = np.zeros_like(images)
        expected[:, ::stride, ::stride] = of_output @ kernel.T
        np.testing.assert_allclose(of_images, expected, rtol=1e-4, atol=1e-4)
        matrix = seen.reshape(-1, inputs).T @ of_output.reshape(-1, outputs)
        np.testing.assert_allclose(of_kernel[0, 0], matrix, rtol=1e-3, atol=1e-3)


def test_training_a_narrow_shortcut_of_large_maps_does_not_break_the_heap():
    # Without the mending these steps end the process: 8 of 8 trainings of such a network did.
    images, kernel = tf.random.normal((32, 48, 48, 8)), tf.random.normal((1, 1, 8, 16))
    of_output = tf.random.normal((32, 24, 24, 16))
    first = gradients(images, kernel, of_output, 2)[1]
    for _ in range(30):
        np.testing.assert_array_equal(gradients(images, kernel, of_output, 2)[1], first)
