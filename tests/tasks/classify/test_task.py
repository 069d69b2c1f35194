"""What the task of classification minimises and proves itself on, by hand."""

import numpy as np
import pytest

from tinytrain.config import load as configs
from tinytrain.tasks import classify

CLASSES = ["a", "b", "c", "d"]
LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype("float32") * 3
LABELS = np.array([0, 1, 2, 3, 0, 1])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_cross_entropy_with_label_smoothing_over_the_classes(smoothing):
    task = classify.build(configs.load(None, [f"optim.label_smoothing={smoothing}"]), CLASSES)
    targets = np.asarray(task.encode(LABELS, np.zeros((6, 4), "float32")))
    np.testing.assert_array_equal(targets, np.eye(4)[LABELS])
    spread = (1 - smoothing) * targets + smoothing / 4
    log_p = LOGITS - np.log(np.exp(np.float64(LOGITS)).sum(axis=1, keepdims=True))
    assert float(task.loss(targets, LOGITS)) == pytest.approx(-(spread * log_p).sum(axis=1).mean(), rel=1e-5)


def test_the_golden_case_is_the_first_image_that_is_classified_right():
    golden_case, outputs = classify.FIGURES.golden_case, np.eye(4)[[1, 3, 2, 2, 0, 1]]
    assert golden_case(outputs, LABELS) == 2
    assert golden_case(outputs, (LABELS + 1) % 4) == 0  # none but the first
    assert golden_case(outputs, None) == 0


def test_a_network_that_knows_its_training_images_much_better_overfits():
    task = classify.build(configs.load(None, []), CLASSES)
    [sentence] = task.doubts({}, {"top1": 0.76, "val_top1": 0.62})
    assert "top-1 was 76.0 % in training and 62.0 % on val" in sentence
    assert task.doubts({}, {"top1": 0.71, "val_top1": 0.62}) == []
