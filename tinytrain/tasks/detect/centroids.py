"""What the head "centroid" is measured by: it says where objects are and how many, not how large they are.

So it has no AP. A detection finds an object if their centres are close; by default closer than the diagonal of the
detection's cell, so that a neighbour of the right cell still counts, as users of FOMO expect. The order of the matches
and what is ignored are those of COCO's rule, with closeness in place of IoU.
"""

from functools import partial

import numpy as np

from tinytrain.tasks.detect import operating_point
from tinytrain.tasks.detect.matching import Matches, by_coco_rule
from tinytrain.tasks.detect.overlaps import Overlaps, find

LEAST = 1e-9  # a closeness: that of the distance itself is 0, and just does not count


def centroid_f1(
    detections: np.ndarray, annotations: np.ndarray, distance: float | None = None, threshold: float = 0.0
) -> dict[str, float | None]:
    """Returns {"precision", "recall", "f1", "count_error"} over all classes together; None where nothing defines it.

    Each detection takes the free object of its class whose centre is nearest, if it is closer than `distance`;
    detections go by score falling, each object is found once. "count_error" is that of `operating_point`.

    Args:
        detections: (N, D, 6) the cells as x0, y0, x1, y1, score, class, one for each object; class -1 pads.
        annotations: (N, M, 7) as in `data/boxes.py`, in the same pixels.
        distance: pixels; None: the diagonal of the detection's cell.
        threshold: the lowest score of a detection.
    """
    found, matches = closest(detections, annotations, distance)
    counts = operating_point.counts(found, matches, threshold)
    count_error = operating_point.count_error(found, matches, threshold, len(annotations))
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1, "count_error": count_error}


def best_threshold(detections: np.ndarray, annotations: np.ndarray, distance: float | None = None) -> float:
    """Returns the score with the largest F1 of `centroid_f1`, one that detect.score may be; arguments as there."""
    return operating_point.best_threshold(*closest(detections, annotations, distance))


def closest(detections: np.ndarray, annotations: np.ndarray, distance: float | None = None) -> tuple[Overlaps, Matches]:
    """Returns the pairs of a detection and an object of its class that are close, and which of them are matched.

    Arguments as in `centroid_f1`.
    """
    found = find(detections, annotations, LEAST, measure=partial(closeness, distance=distance))
    return found, by_coco_rule(found, np.array([LEAST]))


def closeness(
    corners: np.ndarray, true_corners: np.ndarray, crowd: np.ndarray, distance: float | None = None
) -> np.ndarray:
    """Returns (n,) 1 where the centres are the same, 0 at the distance; 1 for a centre inside a crowd.

    It is a `Measure` of overlap; distance: as in `centroid_f1`.
    """
    centres, true_centres = ((each[:, :2] + each[:, 2:]) / 2 for each in (corners, true_corners))
    limit = np.linalg.norm(corners[:, 2:] - corners[:, :2], axis=1) if distance is None else distance
    inside = ((true_corners[:, :2] <= centres) & (centres < true_corners[:, 2:])).all(axis=1)
    close = 1 - np.linalg.norm(centres - true_centres, axis=1) / limit
    return np.where(crowd, inside.astype(float), close)
