"""What holds for every task in tinytrain/tasks, found by itself."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.train import figures
from tinytrain.train import task as tasks

NAMES = plugins.names("tasks")
CLASSES = ["a", "b", "c", "d"]
RANDOM = np.random.default_rng(0)
ANNOTATIONS = RANDOM.integers(0, len(CLASSES), 40)


def made(name):
    settings = [f"task={name}", "model.name=resnet8", "model.width=0.25", "model.resolution=16", "model.channels=3"]
    config = configs.load(None, [*settings, "model.init=he", "model.stem=cifar", "device.precision=float32"])
    return tasks.of(config, CLASSES), tasks.build_network(config, CLASSES)


def arrays(outputs):
    return keras.tree.map_structure(lambda tensor: np.asarray(tensor), outputs)


def encoded(task):
    return task.encode(tf.constant(ANNOTATIONS), tf.constant([[1.0, 1.0, 0.0, 0.0]] * len(ANNOTATIONS)))


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_and_its_gradient_is_finite(name):
    task, network = made(name)
    x, targets = RANDOM.uniform(-1, 1, (40, 16, 16, 3)).astype("float32"), encoded(task)
    task.weigh(ANNOTATIONS)
    losses = []
    for _ in range(8):
        with tf.GradientTape() as tape:
            loss = task.loss(targets, network(x, training=True))
        assert loss.shape == ()
        losses.append(float(loss))
        gradients = tape.gradient(loss, network.trainable_variables)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
        for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
            variable.assign_sub(0.05 * gradient)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_measured_has_a_figure_in_0_to_1(name):
    task, network = made(name)
    outputs = arrays(network(RANDOM.uniform(-1, 1, (40, 16, 16, 3)).astype("float32")))
    result = task.evaluate(outputs, ANNOTATIONS)
    keys = {figure.key for figure in task.figures.tested}
    assert keys <= set(result)
    assert {task.figures.main.key, task.figures.balanced.key, task.figures.second.key} <= keys
    assert all(0 <= result[key] <= 1 for key in keys)
    assert result["images"] == 40
    assert task.figures.measure(outputs, ANNOTATIONS) == pytest.approx(result[task.figures.main.key])
    assert 0 <= task.figures.golden_case(outputs, ANNOTATIONS) < 40
    assert task.figures.golden_case(outputs, None) == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_metrics_of_the_training_are_those_of_the_evaluation(name):
    """On the same outputs the columns of history.csv that choose the epoch are the figures of metrics.json."""
    task, network = made(name)
    outputs = network(RANDOM.uniform(-1, 1, (40, 16, 16, 3)).astype("float32"))
    result, found = task.evaluate(arrays(outputs), ANNOTATIONS), {}
    for metric in task.metrics():
        metric.update_state(encoded(task), outputs)
        found[metric.name] = float(metric.result())
    for score in (task.score, task.balanced_score):
        key = score.removeprefix("val_")
        assert found[key] == pytest.approx(result[key], rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_the_figures_need_no_tensorflow(name):
    assert figures.of(name).main.label
    code = f"import sys; from tinytrain.train import figures; figures.of({name!r}); print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
