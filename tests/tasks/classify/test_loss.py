"""The weighted loss against Keras' own, by hand."""

import keras
import numpy as np
import pytest

from tinytrain.tasks.classify import loss


def test_the_weighted_loss_is_the_loss_times_the_weight():
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(6, 3)).astype("float32"), np.eye(3, dtype="float32")[[0, 1, 2, 2, 1, 0]]
    labels[5] = [0.25, 0.75, 0]
    weights = np.array([0.5, 1.0, 3.0], np.float32)
    plain = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1, reduction=None)
    expected = np.mean(plain(labels, logits).numpy() * [0.5, 1, 3, 3, 1, 0.875])
    assert float(loss.build(0.1, weights)(labels, logits)) == pytest.approx(expected, rel=1e-5)
