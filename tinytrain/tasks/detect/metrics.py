"""What a detector is measured by, from the detections and the annotations of a whole split.

All figures are means over the classes that have boxes to be found; a class without any is left out, it is not 0.
A box is half-open (`data/boxes.py`), so its sides are x1 - x0 and y1 - y0. Codes that keep VOC's last pixel inside the
box, such as GluonCV's VOC07MApMetric, add 1 instead: it is the same overlap.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinytrain.data import boxes
from tinytrain.tasks.detect import errors, operating_point, overlaps
from tinytrain.tasks.detect.average_precision import Curve, curves
from tinytrain.tasks.detect.matching import Matches, by_coco_rule, by_voc_rule
from tinytrain.tasks.detect.overlaps import Overlaps

COCO_IOUS = np.linspace(0.5, 0.95, 10)
HALF = COCO_IOUS[:1]
IOU_75 = 5  # in COCO_IOUS
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}  # areas in square pixels


def ap50(detections: np.ndarray, annotations: np.ndarray) -> float | None:
    """Returns the mean of the classes' 101-point AP at IoU 0.5, 0..1, as COCO has it; None without a box to find.

    Args:
        detections: (N, D, 6) x0, y0, x1, y1, score, class; class -1 pads.
        annotations: (N, M, 7) as in `data/boxes.py`, in the same pixels.
    """
    found = overlaps.find(detections, annotations)
    return _mean(curve.coco() for curve in curves(found, by_coco_rule(found, HALF))[0].values())


def best_threshold(detections: np.ndarray, annotations: np.ndarray) -> float:
    """Returns the score with the largest F1 at IoU 0.5 over all classes together; arguments as `ap50`.

    It is one that detect.score may be.
    """
    found = overlaps.find(detections, annotations)
    return operating_point.best_threshold(found, by_coco_rule(found, HALF))


def ap_by_size(detections: np.ndarray, annotations: np.ndarray) -> dict[str, float | None]:
    """Returns COCO's AP of "small", "medium" and "large" boxes by their area; arguments as `ap50`."""
    return _by_size(overlaps.find(detections, annotations))


def summary(
    detections: np.ndarray,
    annotations: np.ndarray,
    classes: list[str],
    threshold: float,
    scales: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns what metrics.json holds of a split; a figure that nothing defines is None.

    {"ap50", "ap50_voc07", "ap50_voc10", "ap", "ap75", "ap_small", "ap_medium", "ap_large", "per_class": {name:
    {"ap50", "boxes", "precision", "recall"}}, "threshold", "precision", "recall", "f1", "errors": {"duplicates",
    "confusions", "badly_placed", "background", "missed"}, "images", "boxes"}. Precision, recall, F1 and errors are of
    detections with a score of `threshold` or more, at IoU 0.5, of all classes together. "boxes" are those to be found:
    neither difficult nor a crowd.

    Args:
        detections: (N, D, 6) in pixels of the original images, D at most 100 as COCO counts them.
        annotations: (N, M, 7), likewise.
        classes: their names.
        threshold: a score.
        scales: (N, 2) pixels of the network's image for each pixel of the original, in x and in y; with them,
            "ap_small" and its like also stand as "ap_small_input", by the area that a box has for the network.
    """
    found = overlaps.find(detections, annotations)
    coco = by_coco_rule(found, COCO_IOUS)
    by_iou = curves(found, coco)
    everything = operating_point.counts(found, coco, threshold)
    result = {key: _mean(row.values()) for key, row in average_precisions(found, by_iou).items()}
    result["ap75"] = _mean(curve.coco() for curve in by_iou[IOU_75].values())
    result |= {f"ap_{size}": value for size, value in _by_size(found).items()}
    if scales is not None:
        by_size = _by_size(overlaps.find(*_scaled(detections, annotations, scales)))
        result |= {f"ap_{size}_input": value for size, value in by_size.items()}
    return result | {
        "per_class": {name: _of_class(found, coco, by_iou[0], threshold, label) for label, name in enumerate(classes)},
        "threshold": float(threshold),
        "precision": everything.precision,
        "recall": everything.recall,
        "f1": everything.f1,
        "errors": errors.outcome(detections, annotations, threshold).counts(),
        "images": len(annotations),
        "boxes": everything.boxes,
    }


def average_precisions(found: Overlaps, by_iou: list[dict[int, Curve]]) -> dict[str, dict[int, float]]:
    """Returns "ap50", "ap50_voc07", "ap50_voc10" and "ap" of each class with boxes to be found.

    Args:
        found: within classes, from IoU 0.5 on.
        by_iou: the curves of each class at each of COCO_IOUS.
    """
    voc = curves(found, by_voc_rule(found, HALF))[0]
    return {
        "ap50": {label: curve.coco() for label, curve in by_iou[0].items()},
        "ap50_voc07": {label: curve.voc07() for label, curve in voc.items()},
        "ap50_voc10": {label: curve.voc10() for label, curve in voc.items()},
        "ap": {label: float(np.mean([row[label].coco() for row in by_iou])) for label in by_iou[0]},
    }


def _of_class(
    found: Overlaps, matches: Matches, at_half: dict[int, Curve], threshold: float, label: int
) -> dict[str, float | int | None]:
    counts = operating_point.counts(found, matches, threshold, label)
    return {
        "ap50": at_half[label].coco() if label in at_half else None,
        "boxes": counts.boxes,
        "precision": counts.precision,
        "recall": counts.recall,
    }


def _by_size(found: Overlaps) -> dict[str, float | None]:
    by_iou = {size: curves(found, by_coco_rule(found, COCO_IOUS, area)) for size, area in SIZES.items()}
    return {size: _mean(curve.coco() for row in rows for curve in row.values()) for size, rows in by_iou.items()}


def _scaled(detections: np.ndarray, annotations: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    transforms = np.concatenate([scales, np.zeros_like(scales)], axis=1)
    scaled = detections.copy()
    scaled[..., :4] *= np.tile(scales, 2)[:, None]
    return scaled, boxes.transformed(annotations, transforms)


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return float(np.mean(listed)) if listed else None
