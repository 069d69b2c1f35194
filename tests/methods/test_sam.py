"""SAM against the formula with plain Keras gradients, its off-switch, and that the weights come back exactly."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import shortened
from small_training import SOFT_LABELS, compiled, images, labels, netaug, shallow

from tinytrain.config import load as configs
from tinytrain.methods import sam
from tinytrain.methods.distill import Distill
from tinytrain.methods.sam import SAM
from tinytrain.train.method import Method, Objective, TrainingContext

LOSS = keras.losses.CategoricalCrossentropy(from_logits=True)
X, Y = images(16, 16), labels(16)


def objective(scale=1.0):
    return Objective(lambda logits: LOSS(Y, logits), lambda loss: scale * loss, Y)


def plain_gradients(model):
    with tf.GradientTape() as tape:
        loss = LOSS(Y, model(X, training=True))
    return float(loss), [g.numpy() for g in tape.gradient(loss, model.trainable_variables)]


def twins():
    first, second = shallow(), shallow()
    second.set_weights(first.get_weights())
    return first, second


@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_the_gradient_is_that_of_the_point_uphill(scale):
    ours, plain = twins()
    method = SAM(Method(ours), 0.3)
    before = [v.numpy() for v in method.trainable_variables]
    first_loss, first = plain_gradients(plain)
    norm = np.sqrt(sum((g.astype("float64") ** 2).sum() for g in first))
    for variable, g in zip(plain.trainable_variables, first, strict=True):
        variable.assign_add(0.3 * g / norm)
    uphill_loss, expected = plain_gradients(plain)
    step = method.gradients(X, objective(scale), tf.constant(0))
    assert float(step.loss) == pytest.approx(uphill_loss, rel=1e-4)
    assert uphill_loss > first_loss + 0.01
    length = np.sqrt(sum((g.astype("float64") ** 2).sum() for g in expected))
    for own, wanted in zip(step.gradients, expected, strict=True):
        np.testing.assert_allclose(own / scale, wanted, atol=1e-4 * length)
    for variable, value in zip(method.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("batch_norm", ["both", "first"])
def test_rho_zero_is_plain_training(batch_norm):
    ours, plain = twins()
    ours, plain = compiled(SAM(Method(ours), 0.0, batch_norm)), compiled(Method(plain))
    for step in range(3):
        for method in (ours, plain):
            method.train_step((images(16, 16, step), labels(16, step)))
    for own, expected in zip(ours.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(own, expected)


@pytest.mark.long
def test_the_statistics_are_those_of_the_first_pass_or_of_both():
    statistics = {}
    for batch_norm in ("plain", "first", "both"):
        keras.utils.set_random_seed(0)
        inner = Method(shallow())
        method = inner if batch_norm == "plain" else SAM(inner, 0.5, batch_norm)
        tf.function(lambda method=method: method.gradients(X, objective(), tf.constant(0)).loss)()
        statistics[batch_norm] = {v.path: v.numpy() for v in inner.non_trainable_variables if "moving" in v.name}
    moved = []
    keys = {name: list(values.values()) for name, values in statistics.items()}
    for one, two, three in zip(keys["plain"], keys["first"], keys["both"], strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-7)
        moved.append(np.abs(three - one).max())
    assert max(moved) > 1e-2


class TwoStudents(Method):
    """Two networks that do not know of each other, of which one has far larger gradients."""

    def trained(self, model):
        self.other = Method(shallow())
        return super().trained(model)

    def students(self):
        return [self.network.trainable_variables, self.other.trainable_variables]

    def gradients(self, x, objective, number):
        first = Method.differentiate(
            self, lambda: self.network(x, training=True), objective, [v.value for v in self.network.trainable_variables]
        )
        second = self.other.differentiate(
            lambda: 100 * self.other.network(x, training=True),
            objective,
            [v.value for v in self.other.trainable_variables],
        )
        return first._replace(gradients=[*first.gradients, *second.gradients])


def test_networks_side_by_side_have_a_norm_each():
    inner = TwoStudents(shallow())
    gradients = inner.gradients(X, objective(), tf.constant(0)).gradients
    steps, finite = SAM(inner, 0.5)._perturbations(gradients)
    assert finite
    half = len(inner.network.trainable_variables)
    for part in (steps[:half], steps[half:]):
        assert float(tf.linalg.global_norm(part)) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("around", shortened(["netaug", "distill"], short=["distill"]))
def test_it_nests_and_is_traced_once(around):
    inner = netaug(shallow()) if around == "netaug" else Distill(Method(shallow()), shallow(), 1.0, 1.0, SOFT_LABELS)
    method = compiled(SAM(inner, 0.05))
    traces = []

    @tf.function
    def step(x, y):
        traces.append(1)
        return method.train_step((x, y))

    losses = [float(step(X, Y)["loss"]) for _ in range(8)]
    assert len(traces) == 1
    assert losses[-1] < losses[0]


def test_a_training_that_overflows_leaves_the_weights_finite():
    """What mixed precision skips: the first gradients are not finite, and neither is the point uphill."""
    method = SAM(Method(shallow()), 0.5)
    before = [v.numpy() for v in method.trainable_variables]
    step = method.gradients(X, objective(float("inf")), tf.constant(0))
    assert not all(np.isfinite(g).all() for g in step.gradients)
    for variable, value in zip(method.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_the_config_says_how():
    config = configs.load(None, ["method=sam", "sam.rho=0.1", "sam.batch_norm=first"])
    found = sam.build(shallow(), config, TrainingContext(1, 1, lambda seed, steps: tf.data.Dataset.range(steps)))
    assert (found.rho, found.batch_norm) == (0.1, "first")
