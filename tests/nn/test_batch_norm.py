"""The running statistics of BatchNorm against PyTorch's rule, in NumPy."""

import keras
import numpy as np
import pytest

from tinytrain.nn import blocks
from tinytrain.nn.fused_batch_norm import with_fused_batch_norm

MOMENTUM = 0.1  # torch.nn.BatchNorm2d's own: the share of the new batch


def test_running_statistics_move_as_pytorchs_with_the_unbiased_variance():
    image = keras.Input((4, 4, 3))
    plain = keras.Model(image, blocks.batch_norm(image, "norm"))
    network = with_fused_batch_norm(plain)
    random, mean, variance = np.random.default_rng(0), np.zeros(3), np.ones(3)
    for number in range(3):
        x = random.normal([1, -2, 3], [0.5, 2, 4], (2, 4, 4, 3)) + number
        network(x.astype("float32"), training=True)
        mean = (1 - MOMENTUM) * mean + MOMENTUM * x.mean((0, 1, 2))
        variance = (1 - MOMENTUM) * variance + MOMENTUM * x.var((0, 1, 2), ddof=1)
    (norm,) = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_fused_layer_normalises_as_keras_does(training):
    image = keras.Input((4, 4, 3))
    plain = keras.Model(image, blocks.batch_norm(image, "norm"))
    plain.set_weights([np.array(values, "float32") for values in ([1, 2, 3], [0, -1, 1], [0.5, 1, -1], [2, 0.5, 1])])
    x = np.random.default_rng(0).normal(0, 0.03, (2, 4, 4, 3)).astype("float32")  # so small that epsilon counts
    np.testing.assert_allclose(
        with_fused_batch_norm(plain)(x, training=training), plain(x, training=training), atol=1e-4
    )
