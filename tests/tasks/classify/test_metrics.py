"""Worked by hand, and against scikit-learn where it computes the same."""

import keras
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss, top_k_accuracy_score

from tinytrain.tasks.classify import metrics, training_metrics

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(200, 7)).astype("float32") * 3
LABELS = RANDOM.integers(0, 7, 200)


@pytest.mark.parametrize("k", [1, 5])
def test_top_k_and_loss_against_scikit_learn(k):
    expected = top_k_accuracy_score(LABELS, LOGITS, k=k, labels=range(7))
    assert metrics.top_k(LOGITS, LABELS, k) == pytest.approx(expected)
    expected = log_loss(LABELS, metrics.softmax(LOGITS), labels=range(7))
    assert metrics.cross_entropy(LOGITS, LABELS) == pytest.approx(expected)


def test_macro_f1_by_hand():
    """Images of each class 2, 1, 1, 0, answers 1, 3, 0, 0; class 3 is left out."""
    scores, labels = np.eye(4)[[0, 1, 1, 1]], np.array([0, 0, 1, 2])
    assert metrics.macro_f1(scores, labels) == pytest.approx((2 / 3 + 2 / 4 + 0) / 3)
    assert metrics.summary(scores, labels)["macro_f1"] == metrics.macro_f1(scores, labels)


def test_the_loss_by_hand_and_of_an_answer_that_is_as_wrong_as_can_be():
    assert metrics.cross_entropy(np.array([[0, np.log(3)]]), np.array([1])) == pytest.approx(np.log(4 / 3))
    assert metrics.cross_entropy(np.array([[0.0, 1000.0]]), np.array([0])) == pytest.approx(1000)


def test_of_equal_scores_the_first_classes_count():
    tied = np.array([[1, 1, 1], [0, 1, 1]], np.int8)
    assert [metrics.top_k(tied, np.array([label, label]), 1) for label in range(3)] == [0.5, 0.5, 0]
    assert [metrics.top_k(tied, np.array([label, label]), 2) for label in range(3)] == [0.5, 1, 0.5]


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


def test_balanced_top1_against_scikit_learn_and_the_metric_of_the_training():
    few, some = LOGITS[:60], LABELS[:60] * (RANDOM.random(60) < 0.6)  # many images of class 0
    expected = balanced_accuracy_score(some, few.argmax(1))
    assert metrics.balanced_top1(few, some) == pytest.approx(expected)
    assert abs(expected - metrics.top_k(few, some, 1)) > 0.01
    metric = training_metrics.BalancedTop1(7)
    for part in (slice(0, 25), slice(25, 60)):
        metric.update_state(np.eye(7)[some[part]], few[part])
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


def test_top1_of_the_training_is_keras_own_for_whole_images_and_weighted_by_the_shares_of_mixed_ones():
    random = np.random.default_rng(3)
    logits = random.normal(size=(64, 5)).astype(np.float32)
    whole = np.eye(5, dtype=np.float32)[random.integers(0, 5, 64)]
    expected = keras.metrics.CategoricalAccuracy()(whole, logits)
    found = keras.metrics.MeanMetricWrapper(training_metrics.share_of_predicted)
    assert float(found(whole, logits)) == pytest.approx(float(expected))
    # a right guess of the larger part, of the smaller one, of none, and of an image mixed with one of its class
    mixed = np.array([[0.7, 0.3, 0], [0.7, 0.3, 0], [0.7, 0.3, 0], [1, 0, 0]], np.float32)
    guesses = 9 * np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    assert np.asarray(training_metrics.share_of_predicted(mixed, guesses)) == pytest.approx([0.7, 0.3, 0, 1])


def test_the_reciprocal_rank_by_hand():
    scores = np.array([[3, 2, 1, 0], [3, 2, 1, 0], [3, 2, 1, 0], [5, 5, 5, 0], [0, 0, 0, 0]])
    # ranks 1, 2 and 4; the middle of a tie of three, 2; the middle of a tie of all four, 2.5
    expected = (1 + 1 / 2 + 1 / 4 + 1 / 2 + 1 / 2.5) / 5
    assert metrics.mean_reciprocal_rank(scores, np.array([0, 1, 3, 1, 2])) == pytest.approx(expected)


def test_the_published_map_is_no_reciprocal_rank():
    """C.9: of top-1 and top-5 of a published row, every reciprocal rank is above its mAP."""
    top1, top5, published = 0.8224, 0.9529, 0.8235
    scores = np.zeros((10000, 100))
    scores[:, :] = -np.arange(100)
    labels = np.full(10000, 99)
    labels[: round(10000 * top5)] = 4
    labels[: round(10000 * top1)] = 0
    assert metrics.mean_reciprocal_rank(scores, labels) > published + 0.02


def test_recall_is_per_class_and_unknown_without_images():
    scores = np.array([[3, 1, 0], [0, 2, 1], [5, 4, 0], [1, 0, 0]], float)
    np.testing.assert_array_equal(metrics.recall(scores, np.array([0, 1, 1, 0])), [1.0, 0.5, np.nan])
