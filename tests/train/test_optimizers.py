"""Each optimizer against its formula in NumPy (the update rules of PyTorch's documentation), step by step."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinytrain.config import load as configs
from tinytrain.config.schema import Optim
from tinytrain.data.load import load_dataset
from tinytrain.data.splits import Splits
from tinytrain.run import Run
from tinytrain.train import optimizers, schedules
from tinytrain.train.optimizers.adam import Adam
from tinytrain.train.optimizers.adamw import AdamW
from tinytrain.train.optimizers.sgd import SGD
from tinytrain.train.resolve import resolve
from tinytrain.train.task import build_network
from tinytrain.train.trainer import Trainer

GRADIENTS = np.random.default_rng(0).normal(size=(12, 3)).astype("float32")
LR = [0.1] * 4 + [0.01] * 4 + [0.3] * 4  # a drop and a rise: where Keras' own SGD differs


class Steps(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return keras.ops.take(keras.ops.convert_to_tensor(LR), step)


def run(optimizer, name="kernel"):
    variable = keras.Variable(np.array([1.0, -2.0, 0.5], "float32"), name=name)
    optimizer.build([variable])
    trace = []
    for gradient in GRADIENTS:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        trace.append(variable.numpy())
    return np.array(trace)


def sgd_by_hand(nesterov, decay, momentum=0.9):
    w, v, trace = np.array([1.0, -2.0, 0.5]), np.zeros(3), []
    for g, lr in zip(GRADIENTS, LR, strict=True):
        g = g + decay * w
        v = momentum * v + g
        w = w - lr * (g + momentum * v if nesterov else v)
        trace.append(w)
    return np.array(trace)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_sgd(nesterov, decay):
    ours = run(SGD(Steps(), 0.9, nesterov, decay))
    np.testing.assert_allclose(ours, sgd_by_hand(nesterov, decay), rtol=1e-5)


def test_sgd_differs_from_keras_after_a_drop_of_the_learning_rate():
    """The reason for our own: with this schedule Keras' velocity still carries the old learning rate."""
    theirs = run(keras.optimizers.SGD(Steps(), 0.9, nesterov=True))
    by_hand = sgd_by_hand(nesterov=True, decay=0.0)
    np.testing.assert_allclose(theirs[:4], by_hand[:4], rtol=1e-5)
    assert np.abs(theirs[4:] - by_hand[4:]).max() > 0.1


def test_adam():
    w, m, v = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    expected = []
    for t, (g, lr) in enumerate(zip(GRADIENTS, LR, strict=True), 1):
        g = g + 0.05 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(w)
    np.testing.assert_allclose(run(Adam(Steps(), coupled_decay=0.05)), expected, rtol=2e-5)


def test_adamw_shrinks_the_weight_and_leaves_the_decay_out_of_the_moments():
    w, m, v = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    expected = []
    for t, (g, lr) in enumerate(zip(GRADIENTS, LR, strict=True), 1):
        w = (1 - lr * 0.2) * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        expected.append(w)
    np.testing.assert_allclose(run(AdamW(Steps(), 0.2)), expected, rtol=2e-5)
    again = AdamW.from_config(AdamW(0.1, 0.2, bias_lr=2).get_config())
    assert (again.decoupled_decay, again.bias_lr, again.coupled_decay) == (0.2, 2, 0)


def test_two_steps_of_adamw_by_hand():
    """Constant gradients: each step of Adam is -η·sign(g), whatever their size, and before it the weight loses ηλw."""
    built = optimizers.build(Optim(name="adamw", lr=0.1, schedule="constant", weight_decay=0.5), 1)
    variables = [keras.Variable([1.0, 2.0], name="kernel"), keras.Variable([1.0, 2.0], name="bias")]
    built.build(variables)
    for _ in range(2):
        built.apply([tf.constant([3.0, -0.01])] * 2, variables)
    # kernel: 1 → 0.95 − 0.1 = 0.85 → 0.8075 − 0.1;  2 → 1.9 + 0.1 = 2 → 1.9 + 0.1
    np.testing.assert_allclose(variables[0].numpy(), [0.7075, 2.0], rtol=1e-5)
    np.testing.assert_allclose(variables[1].numpy(), [0.8, 2.2], rtol=1e-5)


@pytest.mark.parametrize("name", ["bias", "gamma", "beta"])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_no_decay_on_biases_and_batch_norm(kind, name):
    np.testing.assert_array_equal(run(kind(Steps(), coupled_decay=0.5), name), run(kind(Steps()), name))
    assert (run(kind(Steps(), coupled_decay=0.5)) != run(kind(Steps()))).any()


def test_the_schedule_at_its_corners():
    schedule = schedules.WarmupCosine(0.4, warmup_steps=10, total_steps=110)
    values = {step: float(schedule(step)) for step in (0, 4, 9, 10, 60, 109, 110, 200)}
    expected = {0: 0.04, 4: 0.2, 9: 0.4, 10: 0.4, 60: 0.2, 109: 0.2 * (1 + np.cos(np.pi * 0.99)), 110: 0.0, 200: 0.0}
    assert values == pytest.approx(expected, abs=1e-7)
    assert float(schedules.WarmupCosine(0.4, 0, 10)(0)) == pytest.approx(0.4)


def test_the_warmup_begins_at_a_share_of_the_peak():
    """NetAug's on ImageNet: lr/16, a 5-step warm-up here: 0.4·(1/16 + 15/16·t/5)."""
    schedule = schedules.WarmupCosine(0.4, warmup_steps=5, total_steps=15, warmup_from=1 / 16)
    values = {step: float(schedule(step)) for step in (0, 1, 2, 4, 5, 10, 15)}
    assert values == pytest.approx({0: 0.025, 1: 0.1, 2: 0.175, 4: 0.325, 5: 0.4, 10: 0.2, 15: 0.0}, abs=1e-7)
    again = schedules.WarmupCosine.from_config(schedule.get_config())
    assert float(again(1)) == pytest.approx(0.1)


def test_build_reads_the_share_of_the_warmup():
    built = optimizers.build(
        Optim(name="sgd", lr=0.2, epochs=4, warmup_epochs=1.0, warmup_from=0.25), steps_per_epoch=5
    )
    assert float(built.learning_rate) == pytest.approx(0.05)


def test_build_reads_the_config():
    built = optimizers.build(
        Optim(name="sgd", lr=0.2, epochs=4, warmup_epochs=1.0, weight_decay=0.01, nesterov=False), steps_per_epoch=5
    )
    assert isinstance(built, SGD)
    assert (built.nesterov, built.coupled_decay) == (False, 0.01)
    assert float(built.learning_rate) == pytest.approx(0.2 / 5)
    assert isinstance(optimizers.build(Optim(name="adam"), 5), Adam)


def test_an_epoch_at_a_time():
    """torch's CosineAnnealingLR stepped once an epoch: the last of 300 trains at ½(1 + cos(π·299/300))."""
    built = optimizers.build(
        Optim(name="sgd", lr=0.05, epochs=300, warmup_epochs=0, schedule="cosine_epochs"), steps_per_epoch=4
    )
    rates = []
    for step in (0, 3, 4, 600, 1199):
        built.iterations.assign(step)
        rates.append(float(built.learning_rate))
    cosine = [0.025 * (1 + math.cos(math.pi * epoch / 300)) for epoch in (0, 0, 1, 150, 299)]
    assert rates == pytest.approx(cosine, rel=1e-5, abs=1e-8)
    assert rates[-1] > 1e-6


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_biases_have_a_rate_of_their_own_and_who_decays(name):
    """methods.md C.2: kernels decay, biases and β move twice as fast, γ and the head of cosines neither."""
    names = ["kernel", "bias", "gamma", "beta", "class_directions"]
    moved = {}
    for decay in ("kernels", "all"):
        variables = [keras.Variable([1.0], name=name) for name in names]
        config = Optim(name=name, lr=0.1, schedule="constant", weight_decay=0.5, bias_lr=2, decay=decay, nesterov=False)
        built = optimizers.build(config, 1)
        built.build(variables)
        built.apply([tf.constant([1.0])] * 5, variables)
        moved[decay] = [1 - float(variable[0]) for variable in variables]
    if name == "sgd":
        assert moved["kernels"] == pytest.approx([0.15, 0.2, 0.1, 0.2, 0.1])
        assert moved["all"] == pytest.approx([0.15, 0.3, 0.15, 0.3, 0.15])
    else:  # the first step of Adam has the length of the rate, whatever the gradient
        assert moved["kernels"] == pytest.approx([0.1, 0.2, 0.1, 0.2, 0.1], rel=1e-4)


STEPS = Optim(name="sgd", lr=1e-3, epochs=10, warmup_epochs=2, schedule="steps", drops=[6.0, 8.0])


def rates_of(config, steps, steps_per_epoch=4):
    built = optimizers.build(config, steps_per_epoch)
    rates = []
    for step in steps:
        built.iterations.assign(step)
        rates.append(float(built.learning_rate))
    return rates


def test_the_rate_falls_at_the_start_of_the_epochs_that_are_named():
    """8 steps of warm-up from 0; epochs 6 and 8, counted from 0, begin with steps 24 and 32."""
    steps = [0, 3, 7, 8, 23, 24, 31, 32, 39]
    expected = [1.25e-4, 5e-4, 1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]
    assert rates_of(STEPS, steps) == pytest.approx(expected, rel=1e-5)
    from_a_tenth = dataclasses.replace(STEPS, warmup_from=0.1, drop_factor=0.5)
    assert rates_of(from_a_tenth, [0, 4, 8, 24, 32]) == pytest.approx([1e-4, 5.5e-4, 1e-3, 5e-4, 2.5e-4], rel=1e-5)


def test_drops_may_fall_inside_an_epoch_and_the_schedule_is_rebuilt_from_its_config():
    inside = dataclasses.replace(STEPS, epochs=1, warmup_epochs=0, drops=[0.5, 0.75])
    assert rates_of(inside, [1, 2, 3]) == pytest.approx([1e-3, 1e-4, 1e-5], rel=1e-5)
    schedule = schedules.build(STEPS, 4)
    again = schedules.WarmupSteps.from_config(schedule.get_config())
    assert [float(again(step)) for step in (3, 24)] == pytest.approx([5e-4, 1e-4], rel=1e-5)


def test_a_resumed_training_has_the_rates_of_a_whole_one(tmp_path):
    """128 images are 2 steps of 64 an epoch; history.csv holds the rate that comes after each epoch."""
    words = ["model.name=resnet8", "model.width=0.25", "model.resolution=16", "data.train_images=128"]
    words += ["data.check=false", "optim.schedule=steps", "optim.drops=[1, 2]", "optim.warmup_epochs=0", "optim.lr=0.1"]
    config = configs.load(None, [*words, "optim.epochs=3"])

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    dataset = load_dataset(config)
    resolved = resolve(config, dataset)
    run = Run(tmp_path)

    def trainer():
        return Trainer(resolved, Splits(dataset, resolved), build_network(resolved, dataset.classes))

    with pytest.raises(KeyboardInterrupt):
        trainer().fit(run, [Stop()])
    trainer().fit(run)
    assert [float(row["lr"]) for row in run.history()] == pytest.approx([0.01, 0.001, 0.001], rel=1e-5)
