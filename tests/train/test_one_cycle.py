"""1cycle against the numbers of PyTorch's OneCycleLR, worked by hand, and what the optimizers make of its momentum."""

import math

import keras
import numpy as np
import pytest

from tinytrain.config import load as configs
from tinytrain.config.schema import Optim
from tinytrain.errors import UserError
from tinytrain.train import optimizers, schedules
from tinytrain.train.one_cycle import OneCycle

CONFIG = Optim(name="sgd", lr=1.0, schedule="one_cycle", epochs=2, nesterov=False, weight_decay=0)


def half(begin, finish, progress):
    return finish + (begin - finish) / 2 * (1 + math.cos(math.pi * progress))


def test_rate_and_momentum_at_the_corners_of_twenty_steps():
    """T = 20: up to t₁ = 0.3·20 − 1 = 5, down over the 14 steps to t = 19; halfway are t = 2.5 and 12."""
    schedule = schedules.build(CONFIG, steps_per_epoch=10)
    rates = [float(schedule(step)) for step in (0, 2, 5, 12, 19, 40)]
    assert rates == pytest.approx([0.04, half(0.04, 1, 0.4), 1.0, (1 + 4e-6) / 2, 4e-6, 4e-6], rel=1e-4, abs=1e-7)
    momenta = [float(schedule.momentum(step)) for step in (0, 5, 12, 19)]
    assert momenta == pytest.approx([0.95, 0.85, 0.9, 0.95], rel=1e-6)
    assert float(schedule.momentum(2)) == pytest.approx(half(0.95, 0.85, 0.4))
    again = OneCycle.from_config(schedule.get_config())
    assert [float(again(step)) for step in (2, 8)] == [float(schedule(step)) for step in (2, 8)]


def test_every_rate_of_thirty_two_steps_is_pytorchs():
    """Its phases end at 0.3·32 − 1 = 8.6, between two steps, and at 31."""
    schedule = OneCycle(0.1, 32, 0.3, 10.0, 100.0)
    expected = [
        half(0.01, 0.1, step / 8.6) if step <= 8.6 else half(0.1, 1e-4, (step - 8.6) / (31 - 8.6)) for step in range(32)
    ]
    np.testing.assert_allclose([float(schedule(step)) for step in range(32)], expected, rtol=1e-4)


def steps_of(name):
    """Returns the weights after each of ten steps, and (gradient, rate, momentum) of each."""
    built = optimizers.build(
        Optim(name=name, lr=0.1, schedule="one_cycle", epochs=1, nesterov=False, weight_decay=0), 10
    )
    variable = keras.Variable(np.array([1.0, -2.0], "float32"), name="kernel")
    built.build([variable])
    gradients = np.random.default_rng(0).normal(size=(10, 2)).astype("float32")
    found = []
    for gradient in gradients:
        built.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        found.append(variable.numpy())
    cycle = [  # t₁ = 2, the end is 9
        (half(0.004, 0.1, t / 2), half(0.95, 0.85, t / 2))
        if t <= 2
        else (half(0.1, 4e-7, (t - 2) / 7), half(0.85, 0.95, (t - 2) / 7))
        for t in range(10)
    ]
    return found, [(gradient, *both) for gradient, both in zip(gradients, cycle, strict=True)]


def test_sgd_takes_the_momentum_of_the_step():
    found, steps = steps_of("sgd")
    w, v, expected = np.array([1.0, -2.0]), np.zeros(2), []
    for g, rate, momentum in steps:
        v = momentum * v + g
        w = w - rate * v
        expected.append(w)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_takes_it_as_its_first_beta(name):
    """The bias correction is 1 − β₁ᵗ with the β₁ of the step, as in torch.optim.Adam."""
    found, steps = steps_of(name)
    w, m, v, expected = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2), []
    for t, (g, rate, beta) in enumerate(steps, 1):
        m, v = beta * m + (1 - beta) * g, 0.999 * v + 0.001 * g**2
        w = w - rate * (m / (1 - beta**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(w)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_training_of_one_step_has_a_rate_and_a_wrong_pair_of_momenta_is_refused():
    assert 0 < float(schedules.build(CONFIG, 1, total_steps=1)(0)) <= 1
    for typed in ("[0.95, 0.85]", "[0.9]"):
        with pytest.raises(UserError, match=r"optim\.cycle_momentum = .*such as \[0\.85, 0\.95\]"):
            configs.load(None, [f"optim.cycle_momentum={typed}"])
