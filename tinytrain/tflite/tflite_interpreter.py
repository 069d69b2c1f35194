"""The second opinion on what a .tflite computes: TensorFlow Lite's interpreter, with its reference kernels.

The firmware computes what TFLM does (deploy/tflm/interpreter.py). But TFLM can be wrong itself: it takes the shapes in
the file as they are, for one, where TensorFlow Lite computes them. The two round differently in places, and a deep
network multiplies what that changes: outputs of an untrained EfficientNet-B0 are up to 42 steps apart. Its noise is
0.03 of the signal; a network that TFLM computed wrong had 80 times more noise than signal. So outputs count as
different where the noise is large.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytrain.errors import shortened
from tinytrain.quiet import quiet
from tinytrain.tflite.model import Model

MOST_IMAGES, LEAST_IMAGES = 50, 4  # where they part, they part on most images; the variance needs some
MOST_MACS = 5_000_000_000  # of all images, about ten seconds of the reference kernels
ROUNDING_STEPS = 1  # outputs so near are equal, whatever the signal
NOISE_LIMIT = 0.25  # of the signal, both as variances


def run_fast(content: bytes, images: np.ndarray) -> list[np.ndarray]:
    """Returns each output (N, elements) int8 of a .tflite for images (N, H, W, C) int8, by TensorFlow Lite's kernels.

    They are many times faster than TFLM's on this computer, and round differently in places: to compare networks by.
    """
    import tensorflow as tf

    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")  # tf.lite is to move to a package of its own
        interpreter = tf.lite.Interpreter(model_content=content)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        targets = [details["index"] for details in interpreter.get_output_details()]
        rows = []
        for image in images:
            interpreter.set_tensor(source, image[None])
            interpreter.invoke()
            rows.append([interpreter.get_tensor(target).reshape(-1).copy() for target in targets])
    return [np.array(each) for each in zip(*rows, strict=True)]


def compare(model: Model, images: np.ndarray, outputs: Sequence[np.ndarray], macs: int) -> dict[str, Any]:
    """Returns the section "tensorflow_lite" of report.json: how far TFLM's outputs are from TensorFlow Lite's.

    Args:
        model: int8 in and out, with any number of outputs.
        images: (N, …) int8. Compared are some of them, evenly drawn: at most MOST_IMAGES, and of a model so large that
            these would take more than MOST_MACS fewer, down to LEAST_IMAGES.
        outputs: (N, …) int8 of each output, TFLM's.
        macs: multiply-accumulates of one inference.

    Returns:
        {"images", "largest_steps", "noise" (the mean square of the difference, as a share of the variance of TensorFlow
        Lite's outputs over the images), "noise_limit", "parts" (whether they are more than ROUNDING_STEPS and
        NOISE_LIMIT apart), "reason" ("" or what is known of why), "failed" ("" or why it could not run)}. Of several
        outputs it describes the one that is furthest apart: one that parts, else the one with the most noise.
    """
    drawn = draw(len(images), min(MOST_IMAGES, max(LEAST_IMAGES, MOST_MACS // max(macs, 1))))
    result = {"images": 0, "largest_steps": 0, "noise": 0.0, "noise_limit": NOISE_LIMIT, "parts": False}
    try:
        references, shapes = _run(model.content, images[drawn])
    except (RuntimeError, ValueError) as error:
        return result | {"reason": "", "failed": shortened((str(error) or type(error).__name__).splitlines()[0])}
    each = [distance(output[drawn], reference) for output, reference in zip(outputs, references, strict=True)]
    furthest = max(each, key=lambda row: (row["parts"], row["noise"]))
    result |= {"images": len(drawn)} | furthest
    return result | {"reason": _reason(model, shapes) if furthest["parts"] else "", "failed": ""}


def draw(images: int, most: int) -> np.ndarray:
    """Returns the numbers of at most so many of the images, evenly drawn."""
    return np.unique(np.linspace(0, images - 1, min(images, most)).round().astype(int))


def distance(output: np.ndarray, reference: np.ndarray) -> dict[str, Any]:
    """Returns how far one output, (N, …) int8, is from the same of another runtime, (N, elements) int8.

    {"largest_steps", "noise", "parts"} as in `compare`.
    """
    difference = (output.reshape(reference.shape) - reference.astype(float)).round()
    signal = max(float(reference.astype(float).var(axis=0).mean()), ROUNDING_STEPS**2)
    steps, noise = int(np.abs(difference).max()), float((difference**2).mean()) / signal
    return {"largest_steps": steps, "noise": noise, "parts": steps > ROUNDING_STEPS and noise > NOISE_LIMIT}


def _run(content: bytes, images: np.ndarray) -> tuple[list[np.ndarray], dict[str, tuple[list[int], list[int]]]]:
    """Returns (each output (N, elements) int8, {tensor: (shape in the file, real shape)} where these differ)."""
    import tensorflow as tf

    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")  # tf.lite is to move to a package of its own
        interpreter = tf.lite.Interpreter(
            model_content=content, experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF
        )
        before = {row["name"]: row["shape"].tolist() for row in interpreter.get_tensor_details()}
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        outputs: dict[int, list[np.ndarray]] = {details["index"]: [] for details in interpreter.get_output_details()}
        for image in images:
            interpreter.set_tensor(source, image[None])
            interpreter.invoke()
            for target, rows in outputs.items():
                rows.append(interpreter.get_tensor(target).reshape(-1).copy())
        after = {row["name"]: row["shape"].tolist() for row in interpreter.get_tensor_details()}
    other = {name: (before[name], shape) for name, shape in after.items() if before.get(name, shape) != shape}
    return [np.array(rows) for rows in outputs.values()], other


def _reason(model: Model, shapes: dict[str, tuple[list[int], list[int]]]) -> str:
    """Returns what the first tensor of another shape than in the file tells, "" if there is none."""
    for operator in model.operators:
        for tensor in operator.outputs:
            if tensor.name in shapes:
                stated, real = (tuple(shape) for shape in shapes[tensor.name])
                return (
                    f"the output of {operator.name} is {real}, but the file says {stated}, which TFLM takes as it is: "
                    "convert the network with a fixed batch of 1, from a concrete function of tf.TensorSpec((1, …))"
                )
    return ""
