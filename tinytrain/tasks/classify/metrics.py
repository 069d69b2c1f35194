"""What a classifier is measured by, from the logits (or the int8 outputs) of a whole split.

scikit-learn and SciPy compute them, but where ties decide, of which int8 outputs are full, and where a limit of theirs
would show: scikit-learn's top-k takes the last classes of a tie, not the first as argmax does, its reciprocal rank
(label_ranking_average_precision_score) is that of the end of a tie, not of its middle, and its log_loss cuts off
probabilities below 2e-16. In average precision all images of a tie share the precision at its end, there and here.

scikit-learn is imported where it is needed: `tinytrain bench`, which counts top-1 alone, starts without it.
"""

import numpy as np
import scipy.special


def top_k(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Returns the share of images, 0..1, whose true class is among the k highest scores (argmax order on ties).

    Args:
        scores: (N, classes), logits, probabilities or int8.
        labels: (N,) class indices.
        k: how many count.
    """
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :k]
    return float((order == labels[:, None]).any(axis=1).mean())


def top1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of images, 0..1, whose true class has the highest score, of equal ones the first."""
    return top_k(scores, labels, 1)


def first_right(scores: np.ndarray, labels: np.ndarray | None) -> int:
    """Returns the number of the first image that is classified right; 0 if there is none, or labels are unknown."""
    return 0 if labels is None else int((scores.argmax(axis=1) == labels).argmax())


def recall(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns per class (classes,) the share of its images that are classified right, 0..1; NaN without images."""
    from sklearn.metrics import recall_score

    classes = np.arange(scores.shape[1])
    return recall_score(labels, scores.argmax(axis=1), labels=classes, average=None, zero_division=np.nan)


def balanced_top1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean over classes of their recall, 0..1; a class without an image is left out (methods.md C.9)."""
    return float(np.nanmean(recall(scores, labels)))


def mean_reciprocal_rank(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean over images of 1/rank of the true class, 0..1 (methods.md C.9).

    It is mAP as the text of Prokofiev and Sovrasov (2021) defines it, which their tables do not hold.
    Ranks are counted from 1 at the highest score; classes of equal score all have the rank in the middle of their tie.
    """
    true_scores = np.take_along_axis(scores, labels[:, None], axis=1)
    higher, equal = (scores > true_scores).sum(axis=1), (scores == true_scores).sum(axis=1)
    return float(np.mean(1 / (higher + (equal + 1) / 2)))


def macro_f1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean over classes of F1 = 2·hits / (images + predictions), 0..1: every class counts the same.

    A class without an image that is never predicted is left out.
    """
    from sklearn.metrics import f1_score

    return float(f1_score(labels, scores.argmax(axis=1), average="macro"))


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean over classes of the area under the interpolated precision-recall curve (VOC), 0..1.

    For each class all images are ranked by that class's probability; images of equal probability share the precision at
    the end of their tie. A class without an image is left out (methods.md C.9, the reading of the released code).
    """
    present = np.unique(labels)
    return float(np.mean([_average_precision(scores[:, c], labels == c) for c in present]))


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean cross-entropy in nats of float logits, without label smoothing."""
    log_probabilities = scipy.special.log_softmax(logits.astype(np.float64), axis=1)
    return -float(np.mean(np.take_along_axis(log_probabilities, labels[:, None], axis=1)))


def summary(logits: np.ndarray, labels: np.ndarray) -> dict[str, float | int]:
    """Returns {"top1", "top5", "balanced_top1", "macro_f1", "map", "map_mrr", "loss", "images"} of logits (N, classes).

    The logits are in real units, the accuracies in 0..1. "map" is the classwise reading of the released code, "map_mrr"
    the reciprocal rank of the paper's text.
    """
    return {
        "top1": top_k(logits, labels, 1),
        "top5": top_k(logits, labels, 5),
        "balanced_top1": balanced_top1(logits, labels),
        "macro_f1": macro_f1(logits, labels),
        "map": mean_average_precision(softmax(logits), labels),
        "map_mrr": mean_reciprocal_rank(logits, labels),
        "loss": cross_entropy(logits, labels),
        "images": len(labels),
    }


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities (N, classes) float64."""
    return scipy.special.softmax(logits.astype(np.float64), axis=1)


def _average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    from sklearn.metrics import precision_recall_curve

    precision, recalls, _ = precision_recall_curve(positive, scores)  # from recall 1 down to 0
    best = np.maximum.accumulate(precision[:-1])  # at this recall or beyond
    return float((best * -np.diff(recalls)).sum())
