"""Worked by hand, and against scikit-learn where it computes the same."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score

from tinytrain import metrics

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(200, 7)).astype("float32") * 3
LABELS = RANDOM.integers(0, 7, 200)


@pytest.mark.parametrize("k", [1, 5])
def test_top_k_and_loss_against_scikit_learn(k):
    expected = top_k_accuracy_score(LABELS, LOGITS, k=k, labels=range(7))
    assert metrics.top_k(LOGITS, LABELS, k) == pytest.approx(expected)
    expected = log_loss(LABELS, metrics.softmax(LOGITS), labels=range(7))
    assert metrics.cross_entropy(LOGITS, LABELS) == pytest.approx(expected)


def test_macro_f1_against_scikit_learn():
    assert metrics.macro_f1(LOGITS, LABELS) == pytest.approx(f1_score(LABELS, LOGITS.argmax(1), average="macro"))
    few, some = LOGITS[:4], LABELS[:4]
    assert metrics.macro_f1(few, some) == pytest.approx(f1_score(some, few.argmax(1), average="macro"))
    assert metrics.summary(LOGITS, LABELS)["macro_f1"] == metrics.macro_f1(LOGITS, LABELS)


def test_mean_average_precision_by_hand():
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    labels = np.array([0, 1, 0, 1])
    # class 0: hits at ranks 1 and 3: precision 1, 2/3 -> (1 + 2/3)/2; class 1: ranks 1 and 3 of the reverse order
    assert metrics.mean_average_precision(scores, labels) == pytest.approx((5 / 6 + 5 / 6) / 2)


def test_average_precision_is_interpolated():
    scores = np.array([[0.9, 0.0], [0.8, 0.0], [0.7, 0.0]])
    labels = np.array([1, 0, 0])
    # class 0: hits at ranks 2 and 3, precision 1/2 and 2/3, interpolated to 2/3 and 2/3; class 1: all tie, 1/3
    assert metrics.mean_average_precision(scores, labels) == pytest.approx((2 / 3 + 1 / 3) / 2)


def test_a_constant_output_has_the_precision_of_chance():
    assert metrics.mean_average_precision(np.zeros((10, 2)), np.array([0] * 5 + [1] * 5)) == pytest.approx(0.5)


def test_recall_is_per_class_and_unknown_without_images():
    scores = np.array([[3, 1, 0], [0, 2, 1], [5, 4, 0], [1, 0, 0]], float)
    np.testing.assert_array_equal(metrics.recall(scores, np.array([0, 1, 1, 0])), [1.0, 0.5, np.nan])
