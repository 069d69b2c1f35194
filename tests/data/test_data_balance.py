"""Uneven classes: the weights of the loss and the places of the images, by hand and against scikit-learn and Keras."""

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tinytrain.data import balance
from tinytrain.data import batches as pipeline
from tinytrain.errors import UserError

LABELS = np.repeat([0, 1, 2], [10, 4, 3])


def test_the_weights_are_scikit_learns():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(balance.class_weights(LABELS, 3), expected, rtol=1e-6)
    with pytest.raises(UserError, match="1 classes have no training image"):
        balance.class_weights(LABELS, 4)


def test_the_weighted_loss_is_the_loss_times_the_weight():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(6, 3)).astype("float32"), np.eye(3, dtype="float32")[[0, 1, 2, 2, 1, 0]]
    labels[5] = [0.25, 0.75, 0]
    weights = np.array([0.5, 1.0, 3.0], np.float32)
    plain = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1, reduction=None)
    expected = np.mean(plain(labels, logits).numpy() * [0.5, 1, 3, 3, 1, 0.875])
    assert float(balance.WeightedCrossEntropy(weights, 0.1)(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_every_class_has_as_many_places_and_every_image_its_share():
    images = np.arange(17, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    shown, labels = balance.evenly(images, LABELS, seed=0)
    assert np.bincount(labels).tolist() == [10, 10, 10]
    assert len(shown) == len(labels) == 30
    numbers = shown[np.arange(30)][:, 0, 0, 0]
    np.testing.assert_array_equal(LABELS[numbers], labels)
    times = np.bincount(numbers, minlength=17)
    assert (times[:10] == 1).all()
    assert sorted(times[10:14]) == [2, 2, 3, 3]
    assert sorted(times[14:]) == [3, 3, 4]
    again, _ = balance.evenly(images, LABELS, seed=0)
    np.testing.assert_array_equal(again.index, shown.index)


def test_batches_are_made_of_the_places():
    images = np.arange(17, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    shown, labels = balance.evenly(images, LABELS, seed=0)
    batches = list(pipeline.training_batches(shown, labels, 3, 10, 0, range(3)))
    np.testing.assert_array_equal(sum(y.numpy().sum(axis=0) for _, y in batches), [10, 10, 10])


@pytest.mark.parametrize("rule", ["class_weights", "balanced_sampling"])
def test_fit_trains_with_it(rule, image_folder, command_line):
    image_folder(classes=("blue", "red"), count=12)
    root = image_folder(classes=("green",), count=60)
    words = ["fit", f"data.spec=folder:{root}", f"data.balance={rule}", "model.width=0.25", "optim.epochs=1"]
    status, _, stderr = command_line(*words, "optim.batch=16", "--out", "run")
    assert status == 0, stderr
    assert "macro_f1" in (root.parent / "run/metrics.json").read_text()
