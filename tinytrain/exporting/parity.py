"""Outputs of an int8 model in TFLM's interpreter, and whether the model in the C array gives the same."""

from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import progress
from tinytrain.deploy import c_source
from tinytrain.deploy.compiled import host
from tinytrain.deploy.compiled.plan import Plan
from tinytrain.deploy.kernels.derive import has_kernels
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.exporting import engine_parity, kernel_parity
from tinytrain.tflite.model import Model

COMPILED, ARRAY = "compiled network", "C array"  # what was run


def run(content: bytes, images: np.ndarray, description: str) -> list[np.ndarray]:
    """Returns each output (N, elements) int8 of a .tflite for images (N, H, W, C) int8."""
    with progress.stage(description, len(images), "image") as stage:
        outputs = ReferenceInterpreter(content).run(images, lambda done, _: stage.advance(done - stage.done))
    return [output.reshape(len(images), -1) for output in outputs]  # MCUNet's files give (1, 1, 1, classes)


def section(
    sources: Path, stripped: Model, images: np.ndarray, outputs: list[np.ndarray], count: int, plan: Plan | None = None
) -> dict[str, Any]:
    """Returns the section "parity" of report.json, from the first `count` images, 0 for all.

    What the compiler will see is read back. A compiled network runs as the C of its `plan`, compiled for this computer
    (engine_parity.py). Another, and a compiled one without a compiler here, runs as it stands in the C array; operators
    with kernels of ours run by their blocks of constants (kernel_parity.py). Equal outputs prove both that it computes
    what model.tflite does and that it reaches the compiler unharmed. "of" says what was run.
    """
    count = min(count or len(images), len(images))
    if plan and host.is_here():
        first = [output[:count] for output in outputs]
        different_images = engine_parity.different(sources, plan, images[:count], first)
        return {"images": count, "different": different_images, "of": COMPILED}
    content = c_source.read_model_data(sources / "model" / "model_data.cc")
    held = Model.parse(content, "the model in the C array")
    if has_kernels(held):
        return {
            "images": count,
            "different": kernel_parity.different(
                stripped, held, images[:count], [output[:count] for output in outputs]
            ),
            "of": ARRAY,
        }
    of_array = run(content, images[:count], "parity of the C array")
    pairs = zip(of_array, outputs, strict=True)
    different = np.any([(output != expected[:count]).any(axis=1) for output, expected in pairs], axis=0)
    return {"images": count, "different": int(different.sum()), "of": ARRAY}
