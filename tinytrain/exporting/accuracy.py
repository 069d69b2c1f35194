"""How accurate an export is: the sections "accuracy" and "diagnosis" of report.json."""

from typing import Any

import numpy as np

from tinytrain.evaluation_data import int8_outputs
from tinytrain.exporting.int8_model import Int8Model, Validation
from tinytrain.tflite.model import Model
from tinytrain.train.task import Task

LARGEST_FALL = 0.02  # of the main figure by int8 before a warning: chance moves that of a few hundred images as far
FEWEST_LOST = 5  # images of a classifier before a warning: that all of 5 changes are for the worse is 1 chance in 32


def section(
    model: Int8Model, outputs: list[np.ndarray], validated: list[np.ndarray] | None, graph: Model
) -> dict[str, Any]:
    """Returns the section "accuracy": the task's figure on the images of the proof, and under "val" on val images.

    Args:
        model: the model with its images.
        outputs: (N, elements) int8 of each of its outputs, for its images.
        validated: (M, elements) int8 likewise for its val images, None if it has none.
        graph: its .tflite.
    """
    on_val = None if model.val is None or validated is None else _measured(model.task, model.val, validated, graph)
    return _measured(model.task, model, outputs, graph) | {"val": on_val}


def _measured(task: Task, known: Int8Model | Validation, outputs: list[np.ndarray], graph: Model) -> dict[str, Any]:
    """Returns the figure of the trained model, of the fine-tuned weights in float and of the int8 outputs.

    "images" is how many they were measured on. The second figure is None without a fine-tune. "int8_balanced" is that
    of int8 with every class counted the same, None for a task whose figure is a mean over classes anyway.
    """
    samples = known.samples
    if samples is None:
        return {"float": None, "float_finetuned": None, "int8": None, "int8_balanced": None, "images": 0}
    kept, balanced = _kinds(task, known, outputs, graph), task.figures.measure_balanced
    figures = {kind: None if each is None else task.measure(each, samples) for kind, each in kept.items()}
    int8 = balanced(kept["int8"], samples.annotations) if balanced else None
    return figures | {"int8_balanced": int8, "images": len(outputs[0])}


def _kinds(
    task: Task, known: Int8Model | Validation, outputs: list[np.ndarray], graph: Model
) -> dict[str, np.ndarray | None]:
    """Returns what is kept of the outputs of each kind of model (`Task.keep`), by their keys in report.json."""
    int8 = int8_outputs.kept(task, outputs, graph)
    return {"float": known.float_scores, "float_finetuned": known.finetuned_scores, "int8": int8}


def diagnosis(model: Int8Model, validated: list[np.ndarray] | None, graph: Model) -> dict[str, Any]:
    """Returns the section "diagnosis", if the model was measured layer by layer: layers and classes of the val images.

    Classes that quantization has taken most from come first. The arguments are those of `section`.
    """
    val = model.val
    if model.layers is None or val is None or val.samples is None or validated is None:
        return {}
    rows = model.task.diagnosis(_kinds(model.task, val, validated, graph), val.samples)
    return {"diagnosis": {"layers": model.layers, "classes": sorted(rows, key=quantization_change)}}


def fall(accuracy: dict[str, Any], task: str = "classify") -> str:
    """Returns in a sentence that int8 is much worse than the float model, and what to do; "" if it is not.

    Args:
        accuracy: the section of report.json; the val images speak where there are some, as qat.* is tuned by them.
        task: what the network does.
    """
    row = accuracy.get("val") or accuracy
    if row["float"] is None or row["int8"] is None or (lost := row["float"] - row["int8"]) <= LARGEST_FALL:
        return ""
    if task == "classify" and round(lost * row["images"]) < FEWEST_LOST:
        return ""
    by_fine_tune = row["float"] - (row["float"] if row["float_finetuned"] is None else row["float_finetuned"])
    if 2 * by_fine_tune >= lost:
        remedy = (
            f"{'mostly ' * (by_fine_tune < lost)}because of the fine-tune ({100 * by_fine_tune:.1f}): lower qat.lr, "
            "or skip it with qat.epochs=0"
        )
    else:
        remedy = "because of quantization: --diagnose shows where, and qat.epochs sets how long it is fine-tuned"
    images = "val" if accuracy.get("val") else "test"
    return f"int8 is {100 * lost:.1f} points below the float model on the {images} images, {remedy}"


def quantization_change(row: dict[str, Any]) -> float:
    """Returns what quantization alone changed of a share: int8 less the float share of the same weights."""
    same_weights = row.get("float_finetuned")
    return row["int8"] - (row["float"] if same_weights is None else same_weights)
