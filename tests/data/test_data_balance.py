"""Uneven classes: the weights of the loss and the places of the images, by hand and against scikit-learn and Keras."""

import numpy as np
import pytest
from encoding import one_hot
from sklearn.utils.class_weight import compute_class_weight
from small_training import SMALLEST

from tinytrain.data import balance, boxes
from tinytrain.data import batches as pipeline
from tinytrain.data.images import Samples
from tinytrain.errors import UserError

LABELS = np.repeat([0, 1, 2], [10, 4, 3])


def test_the_weights_are_scikit_learns():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(balance.class_weights(LABELS, 3), expected, rtol=1e-6)
    with pytest.raises(UserError, match="1 class without a training image"):
        balance.class_weights(LABELS, 4)


def test_every_class_has_as_many_places_and_every_image_its_share():
    images = np.arange(17, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    shown = Samples.of(images, LABELS).take(balance.oversample(LABELS, seed=0))
    assert np.bincount(shown.annotations).tolist() == [10, 10, 10]
    assert len(shown.images) == len(shown.annotations) == 30
    numbers = shown.images[np.arange(30)][:, 0, 0, 0]
    np.testing.assert_array_equal(LABELS[numbers], shown.annotations)
    times = np.bincount(numbers, minlength=17)
    assert (times[:10] == 1).all()
    assert sorted(times[10:14]) == [2, 2, 3, 3]
    assert sorted(times[14:]) == [3, 3, 4]
    np.testing.assert_array_equal(balance.oversample(LABELS, seed=0), shown.images.index)


def test_images_without_a_box_are_shown_once():
    shown = balance.oversample(np.array([boxes.NO_BOX, 0, 0, 0, 1, boxes.NO_BOX]), seed=0)
    assert shown.tolist() == [0, 1, 2, 3, 4, 4, 4, 5]


def test_batches_are_made_of_the_places():
    images = np.arange(17, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 1), np.uint8)
    shown = Samples.of(images, LABELS).take(balance.oversample(LABELS, seed=0))
    batches = list(pipeline.training_batches(shown, one_hot(3), 10, 0, range(3)))
    np.testing.assert_array_equal(sum(y.numpy().sum(axis=0) for _, y in batches), [10, 10, 10])


@pytest.mark.parametrize("rule", ["class_weights", "balanced_sampling"])
def test_fit_trains_with_it(rule, image_folder, command_line):
    image_folder(classes=("blue", "red"), count=12)
    root = image_folder(classes=("green",), count=60)
    words = ["fit", f"data.spec=folder:{root}", f"data.balance={rule}", *SMALLEST, "optim.epochs=1"]
    status, _, stderr = command_line(*words, "optim.batch=16", "--out", "run")
    assert status == 0, stderr
    assert "macro_f1" in (root.parent / "run/metrics.json").read_text()
