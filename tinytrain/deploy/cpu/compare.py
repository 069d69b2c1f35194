"""How far the outputs of a model are from those of the same model elsewhere, and when that is too far."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytrain.data.source import counted
from tinytrain.deploy.cpu.exported import FLOAT
from tinytrain.tflite.tflite_interpreter import NOISE_LIMIT, distance

FLOAT_LIMIT = 1e-3  # of the largest output; sums in another order are 100 times nearer


def of_float(outputs: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> dict[str, Any]:
    """Returns how far float outputs (N, …) are from those of another runtime for the same images.

    {"images", "largest_difference", "largest_output" (of the reference, without its sign), "limit" (a share of that),
    "parts" (whether the difference is beyond it)}, of the output that is furthest apart.
    """
    rows = []
    for output, reference in zip(outputs, references, strict=True):
        largest = float(np.abs(reference).max())
        difference = float(np.abs(output.reshape(reference.shape) - reference).max())
        parts = not difference <= FLOAT_LIMIT * largest  # NaN is not
        rows.append({"largest_difference": difference, "largest_output": largest, "limit": FLOAT_LIMIT, "parts": parts})
    furthest = max(rows, key=lambda row: (row["parts"], row["largest_difference"] / (row["largest_output"] or 1)))
    return {"images": len(outputs[0])} | furthest


def of_int8(outputs: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> dict[str, Any]:
    """Returns how far int8 outputs (N, …) are from those of another runtime for the same images.

    {"images", "different" (images with any other value), "largest_steps", "noise", "noise_limit", "parts"}, the last
    four as in `tflite_interpreter.compare` of the output that is furthest apart.
    """
    pairs = [
        (output.reshape(len(output), -1), reference.reshape(len(output), -1))
        for output, reference in zip(outputs, references, strict=True)
    ]
    different = np.any([(output != reference).any(axis=1) for output, reference in pairs], axis=0)
    furthest = max((distance(*pair) for pair in pairs), key=lambda row: (row["parts"], row["noise"]))
    return {"images": len(different), "different": int(different.sum()), "noise_limit": NOISE_LIMIT} | furthest


def in_words(kind: str, row: dict[str, Any], of: str) -> str:
    """Returns a comparison in words, such as "agrees with Keras: …"; `of` is what it was compared with."""
    verdict, images = "DIFFERENT from" if row["parts"] else "agrees with", counted(row["images"], "image")
    if kind == FLOAT:
        largest = f"{row['largest_difference']:.2g}, the largest is {row['largest_output']:.3g}"
        return f"{verdict} {of}: outputs differ by at most {largest}, on {images}"
    share = f"{100 * row['noise']:.2g} % of their variance"
    return f"{verdict} {of}: outputs differ by at most {row['largest_steps']} of 255 steps, {share}, on {images}"


def wrong(comparisons: dict[str, dict[str, Any]], of: dict[str, str]) -> list[str]:
    """Returns a sentence for each model that is too far from what it was compared with, {kind: `of`}."""
    return [f"the {kind} model is {in_words(kind, row, of[kind])}" for kind, row in comparisons.items() if row["parts"]]
