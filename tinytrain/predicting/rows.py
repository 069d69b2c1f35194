"""What `tinytrain predict` tells of a picture, for its line of JSON."""

from pathlib import Path
from typing import Any

import numpy as np

from tinytrain.data import boxes
from tinytrain.predicting.model import DETECT, Model
from tinytrain.predicting.pictures import Prepared
from tinytrain.tasks.detect.decode import in_original

TOP = 3  # classes
DIGITS, PIXEL_DIGITS = 4, 2  # after the point, of scores and of corners


def row(path: Path, prepared: Prepared, values: np.ndarray, model: Model) -> dict[str, Any]:
    """Returns {"image", "size"} with "boxes", or with "label", "probability" and "top".

    Args:
        path: the image file.
        prepared: the image in it.
        values: what the model answered: (D, 6) detections, or (classes,) probabilities.
        model: the model.
    """
    known = {"image": str(path), "size": list(prepared.size)}
    if model.task == DETECT:
        return known | {"boxes": _boxes(values, prepared, model.classes)}
    best = np.argsort(-values, kind="stable")[:TOP]
    named = model.classes if len(model.classes) == len(values) else []
    top = [{"label": _name(number, named), "probability": _rounded(values[number])} for number in best.tolist()]
    return known | top[0] | {"top": top}


def _boxes(detections: np.ndarray, prepared: Prepared, classes: list[str]) -> list[dict[str, Any]]:
    """Returns the boxes in pixels of the upright original, clipped to it; what lies in a border is left out."""
    found = detections[detections[:, 5] != boxes.NO_BOX]
    original = in_original(found[None].astype(np.float64), np.array([prepared.transform], np.float64))[0]
    limits = np.array([*prepared.size, *prepared.size], np.float64)
    corners = np.clip(original[:, :4], 0, limits)
    inside = (corners[:, :2] < corners[:, 2:]).all(axis=1)
    return [
        {
            "label": _name(int(label), classes),
            "score": _rounded(score),
            "box": [round(edge, PIXEL_DIGITS) for edge in box],
        }
        for box, (score, label) in zip(corners[inside].tolist(), original[inside, 4:].tolist(), strict=True)
    ]


def _name(number: int, classes: list[str]) -> str:
    return classes[number] if number < len(classes) else str(number)


def _rounded(share: float) -> float:
    return round(float(share), DIGITS)
