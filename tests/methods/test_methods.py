"""Every training method of the room: it learns, resumes to the same weights, and leaves a plain model behind.

A new file in tinytrain/methods is tested by this one without a line here, unless it needs keys to begin at all: NEEDS.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import shortened
from kills import assert_same_weights, copy_after_an_epoch
from small_training import SMALLEST

from tinytrain.commands import fit as train
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data.load import load_dataset
from tinytrain.data.splits import Splits
from tinytrain.nn.build import build_model
from tinytrain.quantize import cosine_head, tf_keras_clone
from tinytrain.run import Run
from tinytrain.train import trainer
from tinytrain.train.resolve import resolve

SHORT = ["model.name=mobilenet_v2_tiny", "model.width=0.1", "model.resolution=32", "model.dropout=0.1"]
SHORT += ["data.train_images=128", "optim.epochs=2", "optim.batch=64", "optim.warmup_epochs=0", "optim.ema=0.9"]
NEEDS = {"distill": ["distill.teacher={network}"], "tinytl": ["model.weights={network}"]}  # a .keras file
NAMES = plugins.names("methods")
NESTED = ["netaug+distill+sam", "dml+sam", "tinytl group"]
INNERMOST = ["netaug", "tinytl"]  # which NESTED has anyway


def words(name, folder, small=()):
    """Returns the KEY=VALUE words of a short training with the method `name`, "" for none.

    small: words of the network that a teacher or the weights to begin from must have, too.
    """
    network, needing = folder / "network.keras", [part for part in name.split("+") if part in NEEDS]
    if needing and not network.exists():
        config = configs.load(None, [*SHORT, *small])
        build_model(resolve(config, load_dataset(config)), classes=10).save(network)
    more = [word.format(network=network) for part in needing for word in NEEDS[part]]
    return [*SHORT, f"method={name}", *more]


def fit(name, folder, run, *more, small=(), **options):
    return train.fit(configs.load(None, [*words(name, folder, small), *more]), folder / run, **options)


@pytest.mark.parametrize("name", shortened(NAMES, short=["am_softmax"]))
def test_every_method_resumes_to_the_same_weights_and_leaves_a_plain_model(name, tmp_path, monkeypatch):
    small = [] if name == "tinytl" else SMALLEST  # which has no inverted blocks
    with monkeypatch.context() as patch:
        copy_after_an_epoch(patch, tmp_path / "stopped")
        whole = fit(name, tmp_path, "whole", *small, small=small)
    assert not Run(tmp_path / "stopped").finished
    stopped = fit(name, tmp_path, "stopped", *small, small=small, resume=True)
    assert_same_weights(stopped, whole)
    model = keras.saving.load_model(whole.model_path)  # plain Keras: no custom objects
    assert model.output_shape == (None, 10)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    tf_keras_clone.rebuild(
        cosine_head.linear(model, np.zeros((1, *model.input_shape[1:]), np.float32), 1.0)
    )  # what `tinytrain export` begins with


@pytest.mark.parametrize(
    "name",
    shortened(["", *(name for name in NAMES if name not in INNERMOST), *NESTED], short=["am_softmax"]),
)
def test_a_run_that_stopped_after_its_last_epoch_saves_the_network_that_it_had_trained(name, tmp_path):
    """Nothing of a method may be lost that last.npz does not hold."""
    name, _, norm = name.partition(" ")
    small = ["data.train_images=64", "data.check=false"]
    small += ["model.resolution=16", "model.stem=cifar"] if name == "tinytl" else SMALLEST
    more = ["tinytl.norm=group", "tinytl.weight_bits=8"] if norm else []
    run = fit(name, tmp_path, "run", *small, *more, "optim.epochs=1", "optim.checkpoint=last", small=small)
    expected, result = keras.saving.load_model(run.model_path).get_weights(), run.metrics()
    run.metrics_path.unlink()
    run.model_path.unlink()
    again = train.fit(run.config(), run.folder, resume=True)
    for own, theirs in zip(keras.saving.load_model(run.model_path).get_weights(), expected, strict=True):
        np.testing.assert_array_equal(own, theirs)
    assert again.metrics() == result


@pytest.mark.parametrize("name", shortened(NAMES, short=[name for name in NAMES if name not in INNERMOST]))
def test_every_method_learns_a_batch_by_heart(name, tmp_path):
    # TinyTL leaves the weights that it begins from and BatchNorm's statistics alone: PyTorch's random ones let
    # so little through that nothing can be learnt from.
    more = ["model.init=he"] if name == "tinytl" else SMALLEST
    config = configs.load(None, [*words(name, tmp_path, more), *more, "optim.schedule=constant", "optim.lr=0.1"])
    source = load_dataset(config)
    config = resolve(config, source)
    learner = trainer.Trainer(config, Splits(source, config), build_model(config, 10))
    [(x, y)] = learner.batches(0, range(1))
    before = [variable.numpy() for variable in learner.method.trainable_variables]
    step, losses = tf.function(learner.method.train_step), []
    for _ in range(72 if name == "tinytl" else 24):  # its frozen random weights let little through
        learner.method.reset_metrics()
        losses.append(float(step((x, y))["loss"]))
    assert np.isfinite(losses).all()
    assert np.mean(losses[-4:]) < 0.95 * np.mean(losses[:4])  # a single step goes up and down with what is drawn
    moved = [np.abs(own - old).max() for own, old in zip(learner.method.trainable_variables, before, strict=True)]
    assert max(moved) > 1e-4


def off_switch(name):
    return getattr(plugins.load("methods", name), "OFF", [])


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NAMES if off_switch(name)])
def test_every_method_that_is_switched_off_is_plain_training(name, tmp_path):
    small = [] if name == "tinytl" else SMALLEST
    ours = fit(name, tmp_path, "off", *small, *off_switch(name), small=small)
    plain = fit("", tmp_path, "plain", *small)
    models = [keras.saving.load_model(run.model_path) for run in (ours, plain)]
    for own, expected in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(own, expected)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_has_a_meaning_and_its_own_keys(name):
    module = plugins.load("methods", name)
    assert module.__doc__.strip()
    default, own = Config(), [dotted for dotted in [*configs.keys()] if dotted.startswith(f"{name}.")]
    auto = {dotted for dotted in own if configs.get_key(default, dotted) == "auto"}
    defaults = module.defaults("mobilenet_v2", 10) if auto else {}
    assert set(defaults) == auto
    for dotted, value in defaults.items():
        configs.set_key(default, dotted, value)  # of the type of the key, and in its range
    assert all(word.startswith(f"{name}.") for word in off_switch(name))
