"""How accurate an export is: the sections "accuracy" and "diagnosis" of report.json."""

from typing import Any

import numpy as np

from tinytrain.exporting.int8_model import Int8Model, Validation
from tinytrain.tflite.int8_values import dequantize
from tinytrain.tflite.model import Model
from tinytrain.train.task import Task


def section(model: Int8Model, outputs: np.ndarray, validated: np.ndarray | None, graph: Model) -> dict[str, Any]:
    """Returns the section "accuracy": the task's figure on the images of the proof, and under "val" on val images.

    Args:
        model: the model with its images.
        outputs: (N, classes) int8, its first output for its images.
        validated: (M, classes) int8 of its val images, None if it has none.
        graph: its .tflite.
    """
    on_val = None if model.val is None or validated is None else _measured(model.task, model.val, validated, graph)
    return _measured(model.task, model, outputs, graph) | {"val": on_val}


def _measured(task: Task, known: Int8Model | Validation, outputs: np.ndarray, graph: Model) -> dict[str, Any]:
    """Returns the figure of the trained model, of the fine-tuned weights in float and of the int8 outputs.

    "images" is how many they were measured on. The second figure is None without a fine-tune.
    """
    labels = known.labels
    if labels is None:
        return {"float": None, "float_finetuned": None, "int8": None, "images": 0}
    figures = {
        kind: None if each is None else task.figures.measure(each, labels)
        for kind, each in _kinds(known, outputs, graph).items()
    }
    return figures | {"images": len(outputs)}


def _kinds(known: Int8Model | Validation, outputs: np.ndarray, graph: Model) -> dict[str, np.ndarray | None]:
    """Returns the outputs of each kind of model in real units, by their keys in report.json."""
    int8 = dequantize(outputs, graph.outputs[0])
    return {"float": known.float_scores, "float_finetuned": known.finetuned_scores, "int8": int8}


def diagnosis(model: Int8Model, validated: np.ndarray | None, graph: Model) -> dict[str, Any]:
    """Returns the section "diagnosis", if the model was measured layer by layer: layers and classes of the val images.

    Classes that quantization has taken most from come first. The arguments are those of `section`.
    """
    val = model.val
    if model.layers is None or val is None or validated is None:
        return {}
    rows = model.task.diagnosis(_kinds(val, validated, graph), val.labels)
    return {"diagnosis": {"layers": model.layers, "classes": sorted(rows, key=quantization_change)}}


def quantization_change(row: dict[str, Any]) -> float:
    """Returns what quantization alone changed of a share: int8 less the float share of the same weights."""
    same_weights = row.get("float_finetuned")
    return row["int8"] - (row["float"] if same_weights is None else same_weights)
