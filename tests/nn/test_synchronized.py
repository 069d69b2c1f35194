"""BatchNorm whose statistics workers share: alone it is Keras' layer, and two shares together have one batch's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinytrain.nn.fused_batch_norm import FusedBatchNormalization, synchronize, with_fused_batch_norm
from tinytrain.workers import collectives
from tinytrain.workers.cluster import Cluster

X = np.random.default_rng(0).normal(3, 2, (8, 5, 4, 6)).astype("float32")


def layer(kind, **options):
    made = kind(momentum=0.9, epsilon=1e-3, **options)
    made.build(X.shape)
    made.gamma.assign(np.linspace(0.5, 2, 6))
    made.beta.assign(np.linspace(-1, 1, 6))
    return made


def results(made):
    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        y = made(x, training=True)
        loss = tf.reduce_sum(tf.sin(y))
    return [y, *tape.gradient(loss, [x, made.gamma.value, made.beta.value]), made.moving_mean, made.moving_variance]


def test_a_single_worker_computes_what_the_fused_layer_does():
    expected, found = (
        results(layer(FusedBatchNormalization)),
        results(layer(FusedBatchNormalization, synchronized=True)),
    )
    for value, same in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, same, rtol=1e-4, atol=1e-5)


def test_the_running_variance_is_the_unbiased_one():
    made = layer(FusedBatchNormalization, synchronized=True)
    made(X, training=True)
    np.testing.assert_allclose(made.moving_mean, 0.1 * X.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(made.moving_variance, 0.9 + 0.1 * X.var((0, 1, 2), ddof=1), rtol=1e-5)


def test_the_mean_over_two_workers_makes_one_batch_of_two(monkeypatch):
    """The exchange is played: what the other worker would send is computed from its half by hand."""
    halves = X[:4], X[4:]

    class Played(collectives.Workers):
        def __init__(self):
            super().__init__(Cluster(("a:1", "b:1"), 0))

        def mean(self, tensors):
            [own] = tensors
            other = np.stack([halves[1].mean((0, 1, 2)), np.square(halves[1]).mean((0, 1, 2))])
            return [(own + other) / 2]

    monkeypatch.setattr(collectives, "_here", Played())
    made = layer(FusedBatchNormalization, synchronized=True)
    found = made(halves[0], training=True)
    monkeypatch.undo()
    whole = layer(FusedBatchNormalization)
    np.testing.assert_allclose(found, whole(X, training=True)[:4], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made.moving_mean, whole.moving_mean, rtol=1e-4)
    np.testing.assert_allclose(made.moving_variance, whole.moving_variance, rtol=1e-4)


@pytest.mark.parametrize("nested", [False, True])
def test_every_batch_norm_inside_of_a_model_is_synchronized(nested):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.BatchNormalization(name="bn")(keras.layers.Conv2D(2, 1)(image)))
    copy = with_fused_batch_norm(model)
    outer = keras.Sequential([copy]) if nested else copy
    assert not copy.get_layer("bn").synchronized
    synchronize(outer)
    assert copy.get_layer("bn").synchronized
    assert not model.get_layer("bn").synchronized
