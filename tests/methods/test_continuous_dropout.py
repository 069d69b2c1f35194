"""Continuous dropout: its distributions by their moments, where it stands, and that nothing of it is left."""

import keras
import numpy as np
import pytest
import scipy.stats

from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.methods import continuous_dropout
from tinytrain.methods.continuous_dropout import ContinuousDropout, ContinuousDropoutTraining
from tinytrain.train import checkpoint


def build(dropout=0.0):
    keras.utils.set_random_seed(0)
    options = {"classes": 4, "resolution": 16, "channels": 3, "width": 0.25, "stem": "cifar", "dropout": dropout}
    return plugins.load("models", "resnet8").build(**options)


def test_uniform_masks_are_uniform_in_0_to_2_once_scaled():
    x = np.ones((500, 40), "float32")
    masks = np.asarray(ContinuousDropout("uniform", seed=1)(x, training=True))
    assert scipy.stats.kstest(masks.ravel(), scipy.stats.uniform(0, 2).cdf).pvalue > 0.01
    assert len(np.unique(masks)) > 19_000  # a number of its own for each feature of each image


@pytest.mark.parametrize("sigma", [0.2, 0.5])
def test_gaussian_masks_are_clipped_at_0_and_1(sigma):
    x = np.full((500, 40), 3.0, "float32")
    masks = np.asarray(ContinuousDropout("gaussian", sigma, seed=1)(x, training=True)) / 3 * 0.5
    tail = scipy.stats.norm.cdf(-0.5 / sigma)  # P(m ≤ 0) = P(m ≥ 1)
    for end in (0.0, 1.0):
        assert np.isclose(masks, end, atol=1e-6).mean() == pytest.approx(tail, abs=0.012)
    inner = masks[(masks > 1e-6) & (masks < 1 - 1e-6)].ravel()
    ends = 0.5 / sigma
    assert scipy.stats.kstest(inner, scipy.stats.truncnorm(-ends, ends, 0.5, sigma).cdf).pvalue > 0.01
    assert masks.mean() == pytest.approx(0.5, abs=0.01)


def test_it_takes_the_place_of_the_dropout_before_the_classifier_and_leaves_a_plain_model():
    model = build(dropout=0.5)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)).astype("float32")
    before = model(x).numpy()
    method = ContinuousDropoutTraining(model, "uniform")
    names = [layer.name for layer in method.network.layers]
    assert names[-2:] == ["continuous_dropout", model.layers[-1].name]
    assert "dropout" not in names
    np.testing.assert_allclose(method(x, training=False), before, rtol=0, atol=2e-5 * np.abs(before).max())
    assert np.abs(np.asarray(method(x, training=True)) - before).max() > 1e-3
    finished = method.finish()
    assert finished is model
    assert [layer.name for layer in finished.layers][-2:] == ["dropout", model.layers[-1].name]


def test_a_checkpoint_brings_the_next_masks_back(tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)).astype("float32")
    method = ContinuousDropoutTraining(build(), "gaussian")
    checkpoint.save(tmp_path / "last.npz", method.variables, {"epoch": 1})
    first = np.asarray(method(x, training=True))
    assert np.abs(np.asarray(method(x, training=True)) - first).max() > 1e-4
    other = ContinuousDropoutTraining(build(), "gaussian")
    checkpoint.load(tmp_path / "last.npz", other.variables)
    np.testing.assert_array_equal(np.asarray(other(x, training=True)), first)


def test_another_method_inside_or_no_classifier_at_the_end_is_refused():
    with pytest.raises(UserError, match="continuous_dropout changes the network itself: expected it as the first one"):
        continuous_dropout.build(ContinuousDropoutTraining(build(), "uniform"), Config(), None)
    image = keras.Input((8, 8, 3))
    headless = keras.Model(image, keras.layers.Conv2D(4, 3, name="conv")(image), name="headless")
    with pytest.raises(UserError, match=r"'headless' ends with the layer 'conv' of class Conv2D"):
        continuous_dropout.with_continuous_dropout(headless, "uniform", 0.2)
