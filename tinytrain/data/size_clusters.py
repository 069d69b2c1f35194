"""Clusters of box sizes: k-means whose distance is 1 − IoU of boxes with the same centre.

A pixel then counts for more on a small box (YOLO9000, Redmon and Farhadi, 2016; arXiv 1612.08242, section 2).
"""

import numpy as np

from tinytrain.errors import UserError

MOST_SIZES = 20_000  # more boxes than that are sampled
RESTARTS, MOST_STEPS = 10, 300
STEP = np.sqrt(2)  # between anchors beyond the sizes that occur


def iou(sizes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Returns (n, A) float64, the IoU of boxes of `sizes` (n, 2) and `anchors` (A, 2) that have the same centre."""
    sizes, anchors = np.asarray(sizes, np.float64), np.asarray(anchors, np.float64)
    common = np.minimum(sizes[:, None], anchors).prod(axis=2)
    return common / (sizes.prod(axis=1)[:, None] + anchors.prod(axis=1) - common)


def by_area(sizes: np.ndarray) -> np.ndarray:
    """Returns `sizes` (n, 2), the smallest area first; equal ones by width."""
    return sizes[np.lexsort((sizes[:, 0], sizes.prod(axis=1)))]


def kmeans(sizes: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns (count, 2) float64, the means of `count` clusters of box sizes, by area; the same seed gives the same.

    Where there are fewer different sizes than anchors, these are anchors, and the others go on beyond the largest and
    the smallest in steps of √2.

    Args:
        sizes: (n, 2) width and height.
        count: how many anchors.
        seed: draws the starts, and a sample where there are more than MOST_SIZES.

    Raises:
        UserError: there is no box.
    """
    random = np.random.default_rng(seed)
    sizes = np.round(np.asarray(sizes, np.float64).reshape(-1, 2), 2)  # equal boxes differ where float32 rounded them
    if len(sizes) > MOST_SIZES:
        sizes = random.choice(sizes, MOST_SIZES, replace=False)
    distinct = by_area(np.unique(sizes, axis=0))
    if not len(distinct):
        raise UserError("the training images have no boxes to fit anchors to: draw some, or check the data")
    if len(distinct) <= count:
        return _extended(distinct, count)
    runs = [_improved(sizes, _start(sizes, count, random)) for _ in range(RESTARTS)]
    return by_area(min(runs, key=lambda run: run[0])[1])


def _extended(sizes: np.ndarray, count: int) -> np.ndarray:
    """Returns `sizes`, sorted, with more below and above them in turn."""
    missing = count - len(sizes)
    above = [sizes[-1] * STEP**step for step in range(1, 1 + (missing + 1) // 2)]
    below = [sizes[0] / STEP**step for step in range(1, 1 + missing // 2)]
    return by_area(np.array([*below, *sizes, *above]))


def _start(sizes: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Returns (count, 2) of the sizes, drawn as k-means++ does: far ones sooner.

    The sum of distances is minimized here, not of their squares, so the probability goes with the distance.
    """
    anchors = sizes[random.integers(len(sizes))][None]
    while len(anchors) < count:
        distance = np.maximum(1 - iou(sizes, anchors).max(axis=1), 0)
        anchors = np.concatenate([anchors, sizes[random.choice(len(sizes), p=distance / distance.sum())][None]])
    return anchors


def _improved(sizes: np.ndarray, anchors: np.ndarray) -> tuple[float, np.ndarray]:
    """Returns (sum of the distances, anchors): the means of the clusters, once these do not change any more."""
    nearest = np.full(len(sizes), -1)
    for _ in range(MOST_STEPS):  # a mean need not lessen a distance of IoU, so that clusters might change for ever
        previous, nearest = nearest, iou(sizes, anchors).argmax(axis=1)
        if (nearest == previous).all():
            break
        clusters = [sizes[nearest == number] for number in range(len(anchors))]
        anchors = np.array(
            [cluster.mean(axis=0) if len(cluster) else anchors[number] for number, cluster in enumerate(clusters)]
        )
    return float((1 - iou(sizes, anchors).max(axis=1)).sum()), anchors
