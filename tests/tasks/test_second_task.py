"""A second task with two outputs and a loss of its own: the trainer, evaluation and methods know nothing of either."""

import dataclasses
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data.load import load_dataset
from tinytrain.data.splits import Splits
from tinytrain.datasets import digits
from tinytrain.errors import UserError
from tinytrain.nn import pretrained
from tinytrain.nn.predict import predict
from tinytrain.train import fit, task
from tinytrain.train.figures import Figure, Figures

RIGHT, NEAR = Figure("right", "digits right", "Digits right"), Figure("near", "ink near")
WORDS = ["data.spec=inked", "task=ink", "model.name=resnet8", "model.width=0.25", "model.resolution=16"]
WORDS += ["data.train_images=200", "data.val_images=100", "optim.epochs=1", "optim.batch=20", "data.check=false"]
WORDS += ["optim.lr=0.005"]


class Ink(task.Task):
    """Which digit an image shows, and how much ink there is: annotations (N, 2), a class index and a share."""

    name, methods, augmentations = "ink", frozenset({"sam", "netaug"}), frozenset({"flip"})

    def head(self, network):
        ink = keras.layers.Dense(1, dtype="float32", name="ink")(network.get_layer("pool").output)
        return keras.Model(network.input, {"digit": network.output, "ink": ink}, name=network.name)

    def encode(self, annotations, transforms):
        return {"digit": tf.cast(annotations[:, 0], tf.int64), "ink": annotations[:, 1:], "scale": transforms[:, 0]}

    def weigh(self, annotations):
        self.weighed = len(annotations)

    def loss(self, targets, outputs):
        digit = tf.nn.sparse_softmax_cross_entropy_with_logits(targets["digit"], outputs["digit"])
        return tf.reduce_mean(digit) + 10 * tf.reduce_mean(tf.square(outputs["ink"] - targets["ink"]))

    def metrics(self):
        right = lambda y, z: tf.cast(y["digit"] == tf.argmax(z["digit"], -1), tf.float32)  # noqa: E731
        near = lambda y, z: tf.cast(tf.abs(y["ink"] - z["ink"]) < 0.1, tf.float32)  # noqa: E731
        return [Of(right, "right"), Of(near, "near")]

    def evaluate(self, outputs, samples):
        annotations = samples.annotations
        error = outputs["ink"][:, 0] - annotations[:, 1]
        return {"right": measure(outputs, annotations), "near": float((abs(error) < 0.1).mean())}

    def decode(self, outputs):
        return outputs["digit"].argmax(axis=1)

    def diagnosis(self, outputs, samples):
        return []

    def report(self, outputs, samples):
        return None

    def line(self, folder, result):
        return f"{folder}: {result['test']['right']:.2f}"


class Of(keras.metrics.Mean):
    """The mean of a function of targets and outputs."""

    def __init__(self, function, name):
        super().__init__(name=name)
        self.function = function

    def update_state(self, targets, outputs, sample_weight=None):
        super().update_state(self.function(targets, outputs))


def measure(outputs, annotations):
    return float((outputs["digit"].argmax(axis=1) == annotations[:, 0]).mean())


Ink.figures = Figures(RIGHT, NEAR, NEAR, (RIGHT, NEAR), measure, lambda outputs, annotations: 0, lambda config: 2)


def inked(argument, data):
    """Returns the digits, each with its share of ink."""
    dataset = digits.load("", data)
    images = dataset.image_sets["all"]
    ink = [np.asarray(image).mean() / 255 for image in images.images(lambda image: image)]
    annotations = np.stack([images.annotations, ink], axis=1).astype(np.float32)
    sets = {"all": type(images)(annotations, images.names, "digits and ink", images.images)}
    return type(dataset)(dataset.classes, sets, channels=1, side=32, flip=False)


@pytest.fixture(autouse=True)
def plugged_in(monkeypatch):
    names = plugins.names
    monkeypatch.setattr(
        plugins, "names", lambda room: [*names(room), *{"tasks": ["ink"], "datasets": ["inked"]}.get(room, [])]
    )
    made = {"tasks.ink": {"FIGURES": Ink.figures, "build": Ink}, "datasets.inked": {"load": inked}}
    for name, content in made.items():
        monkeypatch.setitem(sys.modules, f"tinytrain.{name}", types.SimpleNamespace(**content))


@pytest.mark.parametrize(
    "method", ["", pytest.param("sam", marks=pytest.mark.long), pytest.param("netaug", marks=pytest.mark.long)]
)
def test_it_trains_and_is_evaluated(method, tmp_path):
    config = configs.load(None, [*WORDS, f"method={method}", "netaug.statistics_images=40"])
    run = fit.fit(config, tmp_path / "run")
    model = pretrained.load_trained(run)
    data = Splits(load_dataset(run.config()), run.config())
    ours = Ink(config, data.dataset.classes)
    for split in ("val", "test"):
        samples = data.samples(split)
        outputs = predict(model, samples.images)
        assert {name: array.shape[1] for name, array in outputs.items()} == {"digit": 10, "ink": 1}
        assert run.metrics()[split] == pytest.approx(ours.evaluate(outputs, samples))
    images, annotations = data.arrays("val")
    outputs, (row,) = predict(model, images), run.history()
    shifted = outputs["digit"] - outputs["digit"].max(axis=1, keepdims=True)
    own = shifted[np.arange(len(images)), annotations[:, 0].astype(int)]
    entropy = np.mean(np.log(np.exp(shifted).sum(axis=1)) - own)
    expected = entropy + 10 * np.mean((outputs["ink"][:, 0] - annotations[:, 1]) ** 2)
    assert float(row["val_loss"]) == pytest.approx(expected, rel=1e-4)
    assert {"right", "near", "val_right", "val_near"} <= set(row)
    assert float(row["val_right"]) == pytest.approx(run.metrics()["val"]["right"])
    assert np.bincount(annotations[:, 0].astype(int)).min() >= 8  # stratified by the class in the annotation


def test_what_it_does_not_allow_is_refused_and_what_is_on_by_default_left_out():
    for words, what in ((["method=dml"], "method dml"), (["augment.mixup=0.2"], "augment mixup")):
        with pytest.raises(UserError, match=f"the task ink cannot be trained with {what}: expected none, or some of"):
            task.of(configs.load(None, [*WORDS, *words]), [])
    ours = task.of(configs.load(None, [*WORDS, "augment.flip=true"]), [])
    assert (ours.augment().crop, ours.augment().flip) == (0.0, True)
    of_boxes = {"distort": False, "expand": 0.0, "iou_crop": False}
    assert task.of(Config(), []).augment() == dataclasses.replace(Config().augment, **of_boxes)


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="'inc'"):
        configs.check(configs.load(None, ["task=inc"]))
