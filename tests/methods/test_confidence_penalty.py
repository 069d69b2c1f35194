"""The confidence penalty against its formula worked by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinytrain.methods.am_softmax import AMSoftmax
from tinytrain.methods.confidence_penalty import ConfidencePenalty, mean_entropy
from tinytrain.nn.blocks import classifier, image_input
from tinytrain.train.method import Method, Objective

RANDOM = np.random.default_rng(0)
X = tf.constant(RANDOM.uniform(-1, 1, (6, 4, 4, 3)), tf.float32)
Y = np.eye(5, dtype="float32")[RANDOM.integers(0, 5, 6)]
OBJECTIVE = Objective(lambda z: keras.losses.CategoricalCrossentropy(from_logits=True)(Y, z), lambda loss: loss, Y)


def network():
    keras.utils.set_random_seed(0)
    image = image_input(4, 3)
    x = keras.layers.Conv2D(16, 3, name="conv")(image)
    return keras.Model(image, classifier(x, 5, 0.0))


def softmax(z):
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_entropy_of_even_and_of_certain_answers():
    assert float(mean_entropy(tf.zeros([2, 4]))) == pytest.approx(np.log(4))
    assert float(mean_entropy(tf.constant([[0.0, 200.0], [0.0, 0.0]]))) == pytest.approx(np.log(2) / 2)
    three = np.log([[0.5, 0.25, 0.25]])  # ½·ln 2 + 2·¼·ln 4 = 1.5·ln 2
    assert float(mean_entropy(tf.constant(three))) == pytest.approx(1.5 * np.log(2))


@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_loss_and_gradient_are_those_of_the_formula(beta):
    """∂H/∂z_j = −p_j·(log p_j + H): the gradient of the last bias is the sum over the images of ∂L/∂z."""
    method = ConfidencePenalty(Method(network()), beta)
    step = method.gradients(X, OBJECTIVE, tf.constant(0))
    p = softmax(np.float64(method.network(X, training=True)))
    entropy = -(p * np.log(p)).sum(1, keepdims=True)
    assert float(step.loss) == pytest.approx(-(Y * np.log(p)).sum(1).mean() - beta * entropy.mean(), rel=1e-5)
    of_logits = (p - Y) + beta * p * (np.log(p) + entropy)
    np.testing.assert_allclose(step.gradients[-1], of_logits.mean(axis=0), atol=1e-6)


def test_with_am_softmax_it_is_the_entropy_of_the_scaled_cosines():
    inner = AMSoftmax(network(), 0.35, 5.0)
    plain = inner.gradients(X, OBJECTIVE, tf.constant(0))
    step = ConfidencePenalty(inner, 0.5).gradients(X, OBJECTIVE, tf.constant(0))
    p = softmax(5.0 * np.float64(plain.outputs))
    assert float(step.loss - plain.loss) == pytest.approx(0.5 * (p * np.log(p)).sum(1).mean(), rel=1e-4)
