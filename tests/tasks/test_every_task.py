"""What holds for every task in tinytrain/tasks, found by itself."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import box_datasets
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.data import boxes
from tinytrain.data.boxes import Box
from tinytrain.data.images import Samples
from tinytrain.train import figures
from tinytrain.train import task as tasks
from tinytrain.train.resolve import resolve

NAMES = plugins.names("tasks")
CLASSES = ["a", "b", "c", "d"]
RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(-1, 1, (40, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module", params=NAMES)
def made(request, tmp_path_factory):
    """Returns a task, a function that makes its untrained network, and 40 images of noise with annotations."""
    settings = [f"task={request.param}", "model.name=mobilenet_v1", "model.width=0.25", "model.resolution=32"]
    config = configs.load(None, [*settings, "model.channels=3", "device.precision=float32"])
    if request.param in boxes.TASKS:
        rows = [[Box(int(label), (4.0 * n, 5.0, 4.0 * n + 20, 29.0)) for n, label in enumerate(RANDOM.permutation(2))]]
        rows += [[Box(2 + n % 2, (8.0, 8.0, 24.0 + n % 8, 30.0))] for n in range(19)]
        pairs = [(box_datasets.noise(n, (32, 32)), each) for n, each in enumerate(2 * rows)]
        dataset = box_datasets.dataset(tmp_path_factory.mktemp("boxes"), {"all": pairs}, CLASSES)
        config = resolve(config, dataset)
        annotations = dataset.image_sets["all"].annotations
    else:
        annotations = RANDOM.integers(0, len(CLASSES), 40)
    samples = Samples.of(np.zeros((40, 32, 32, 3), np.uint8), annotations)
    return tasks.of(config, CLASSES), lambda: tasks.build_network(config, CLASSES), samples


def arrays(outputs):
    return keras.tree.map_structure(lambda tensor: np.asarray(tensor), outputs)


def encoded(task, samples):
    return task.encode(tf.constant(samples.annotations), tf.constant(samples.transforms))


def test_the_loss_falls_and_its_gradient_is_finite(made):
    task, build, samples = made
    network, targets = build(), encoded(task, samples)
    task.weigh(samples.annotations)
    optimizer, losses = keras.optimizers.Adam(0.005), []
    for _ in range(8):
        with tf.GradientTape() as tape:
            loss = task.loss(targets, network(X, training=True))
        assert loss.shape == ()
        losses.append(float(loss))
        gradients = tape.gradient(loss, network.trainable_variables)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
    assert losses[-1] < losses[0]


def test_all_that_is_measured_has_a_figure_in_0_to_1(made):
    task, build, samples = made
    outputs = arrays(task.keep(build()(X)))
    result = task.evaluate(outputs, samples)
    keys = {figure.key for figure in task.figures.tested}
    assert keys <= set(result)
    assert {task.figures.main.key, task.figures.balanced.key, task.figures.second.key} <= keys
    assert all(0 <= result[key] <= 1 for key in keys)
    assert result["images"] == 40
    assert task.measure(outputs, samples) == pytest.approx(result[task.figures.main.key])
    if task.figures.golden_case:
        assert 0 <= task.figures.golden_case(outputs, samples.annotations) < 40
        assert task.figures.golden_case(outputs, None) == 0


def test_a_diagnosis_has_a_row_for_each_class_that_it_counts(made):
    task, build, samples = made
    kept = arrays(task.keep(build()(X)))
    rows = task.diagnosis({"float": kept, "float_finetuned": None, "int8": kept}, samples)
    assert [row["class"] for row in rows] == CLASSES
    for row in rows:
        assert set(row) == {"class", task.figures.counted, "float", "float_finetuned", "int8"}
        assert row[task.figures.counted] > 0
        assert 0 <= row["float"] == row["int8"] <= 1
    if task.figures.counted == "boxes":
        assert sum(row["boxes"] for row in rows) == (samples.annotations[..., boxes.CLASS] >= 0).sum()
    else:
        assert sum(row["images"] for row in rows) == len(samples.annotations)


def test_the_metrics_of_the_training_are_those_of_the_evaluation(made):
    """On the same outputs the columns of history.csv that choose the epoch are the figures of metrics.json."""
    task, build, samples = made
    if task.validates_whole_split:
        pytest.skip("its columns come from `evaluate` itself")
    outputs = build()(X)
    result, found = task.evaluate(arrays(outputs), samples), {}
    for metric in task.metrics():
        metric.update_state(encoded(task, samples), outputs)
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
