"""How accurate an export is: the sections "accuracy" and "diagnosis" of report.json."""

from typing import Any

import numpy as np

from tinytrain.exporting.int8_model import Int8Model, Validation
from tinytrain.tasks.classify import metrics
from tinytrain.tflite.int8_values import dequantize
from tinytrain.tflite.model import Model


def section(model: Int8Model, outputs: np.ndarray, validated: np.ndarray | None, graph: Model) -> dict[str, Any]:
    """Returns the section "accuracy": top-1 on the images that the model is proven on, and under "val" on val images.

    Args:
        model: the model with its images.
        outputs: (N, classes) int8, its first output for its images.
        validated: (M, classes) int8 of its val images, None if it has none.
        graph: its .tflite.
    """
    on_val = None if model.val is None or validated is None else _top_1(model.val, validated, graph)
    return _top_1(model, outputs, graph) | {"val": on_val}


def _top_1(known: Int8Model | Validation, outputs: np.ndarray, graph: Model) -> dict[str, Any]:
    """Returns top-1 of the trained model, of the fine-tuned weights in float and of the int8 outputs, and the images.

    The middle one is None without a fine-tune, where it is the first.
    """
    if known.labels is None:
        return {"float": None, "float_finetuned": None, "int8": None, "images": 0}
    scores = {
        "float": known.float_scores,
        "float_finetuned": known.finetuned_scores,
        "int8": dequantize(outputs, graph.outputs[0]),
    }
    found = {kind: None if each is None else metrics.top_k(each, known.labels, 1) for kind, each in scores.items()}
    return found | {"images": len(outputs)}


def diagnosis(model: Int8Model, validated: np.ndarray | None, graph: Model) -> dict[str, Any]:
    """Returns the section "diagnosis", if the model was measured layer by layer: layers and classes of the val images.

    Classes that quantization has taken most from come first. The arguments are those of `section`.
    """
    val = model.val
    if model.layers is None or val is None or validated is None:
        return {}
    before, after = (
        metrics.recall(each, val.labels) for each in (val.float_scores, dequantize(validated, graph.outputs[0]))
    )
    tuned = None if val.finetuned_scores is None else metrics.recall(val.finetuned_scores, val.labels)
    images = np.bincount(val.labels, minlength=len(model.classes))
    rows = [
        {
            "class": name,
            "images": int(images[number]),
            "float": float(before[number]),
            "float_finetuned": None if tuned is None else float(tuned[number]),
            "int8": float(after[number]),
        }
        for number, name in enumerate(model.classes)
        if images[number]
    ]
    return {"diagnosis": {"layers": model.layers, "classes": sorted(rows, key=quantization_change)}}


def quantization_change(row: dict[str, Any]) -> float:
    """Returns what quantization alone changed of a share: int8 less the float share of the same weights."""
    same_weights = row.get("float_finetuned")
    return row["int8"] - (row["float"] if same_weights is None else same_weights)
