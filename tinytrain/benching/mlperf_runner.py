"""`tinytrain bench --protocol mlperf`: the same board through the text protocol, as MLPerf Tiny's runner measures it.

Accuracy: each image is loaded and `infer 1 0`. Performance: five times another image and as many inferences as take ten
seconds; the median counts.
"""

import time
from statistics import median
from typing import Any

import numpy as np

from tinytrain import progress
from tinytrain.benching.binary_runner import WINDOWS, accuracy, drawn, identity
from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import Hello
from tinytrain.benching.serial.mlperf import Mlperf, Window, inferences_for
from tinytrain.deploy import c_source
from tinytrain.deploy.exported import Exported
from tinytrain.errors import TinytrainError
from tinytrain.tasks.classify import metrics

IMAGES = 200  # of the accuracy run by default, as many as MLPerf Tiny takes for image classification
_LENGTHENED = 5  # how often a window that was too short is run again, longer
_TOLERANCE = 0.0011  # `%0.3f` rounds, and so does the board's float


def measure(link: BoardLink, hello: Hello, exported: Exported, images: int | None, window_s: float) -> dict[str, Any]:
    """Returns what bench.json holds of a board that is measured through the text protocol.

    Arguments and errors are those of `binary_runner.measure`.
    """
    device = Mlperf(link.port)
    device.synchronize()
    started = time.perf_counter()
    drawn_images, results = _results(device, hello, exported, images)
    seconds, count = time.perf_counter() - started, len(drawn_images)
    windows = _windows(device, exported, drawn_images, window_s)
    name, model_id = device.name(), device.profile()[1]
    return {
        **identity(link, hello, "mlperf"),
        "task": exported.task,
        "name": name,
        "model_id": model_id,
        "images": count,
        **_comparison(drawn_images, results, exported),
        "latency": _latency(windows),
        "line": {"seconds": seconds, "images_per_second": count / seconds},
    }


def probabilities(exported: Exported, images: list[int]) -> np.ndarray:
    """Returns what the `results` of these images should be: (N, classes) float64, of the model's first output."""
    tensor = exported.summary.outputs[0]
    outputs = exported.outputs[0][images].reshape(len(images), -1).astype(np.float64)
    real = (outputs - tensor.zero_point[0]) * tensor.scale[0]
    return real if c_source.is_probability(exported.summary) else metrics.softmax(real)


def _results(device: Mlperf, hello: Hello, exported: Exported, images: int | None) -> tuple[list[int], np.ndarray]:
    """Returns the numbers of the images, as `drawn` gives them, and the board's results (N, classes)."""
    drawn_images, rows, classes = [], [], exported.outputs[0][0].size
    for image in drawn(hello, images, len(exported.inputs), IMAGES):
        device.load(exported.pixels_of(image))
        drawn_images.append(image)
        rows.append(device.infer(1).results)
        if len(rows[-1]) != classes:
            received = f"{len(rows[-1])} results of image {image}"
            raise TinytrainError(f"the board answers with {received}, expected {classes}, one for each class")
    return drawn_images, np.array(rows)


def _comparison(images: list[int], results: np.ndarray, exported: Exported) -> dict[str, Any]:
    """Returns "different", "differences" and "accuracy"; this protocol gives three decimals only."""
    rows = [
        {"image": image, "host": expected.round(3).tolist(), "board": result.tolist()}
        for image, expected, result in zip(images, probabilities(exported, images), results, strict=True)
        if (np.abs(result - expected) > _TOLERANCE).any()
    ]
    rows.sort(key=lambda row: row["image"])
    return {"different": len(rows), "differences": rows, "accuracy": accuracy(images, [results], exported)}


def _windows(device: Mlperf, exported: Exported, images: list[int], window_s: float) -> list[tuple[int, Window]]:
    """Returns (image, window) for each; inferences are added until the first window is long enough."""
    windows: list[tuple[int, Window]] = []
    inferences = inferences_for(_window(device, exported, 0, 1).latency_us, window_s)
    for number in progress.counted(range(WINDOWS), "latency", WINDOWS, "window"):
        image = images[number % len(images)]
        for _ in range(_LENGTHENED):
            if (window := _window(device, exported, image, inferences)).elapsed_us >= max(window_s * 1e6, 1):
                break
            inferences = inferences_for(window.latency_us, window_s)
        else:
            length = f"{window.inferences:,} inferences take {window.elapsed_us:,} µs by its clock"
            raise TinytrainError(f"the board's windows stay shorter than {window_s:g} s: {length}")
        windows.append((image, window))
    return windows


def _window(device: Mlperf, exported: Exported, image: int, inferences: int) -> Window:
    """Loads an image and runs it; a board without room to keep the input (KEEP_IMAGE) needs it again each time."""
    device.load(exported.pixels_of(image))
    return device.infer(inferences)


def _latency(windows: list[tuple[int, Window]]) -> dict[str, Any]:
    rows = [
        {
            "image": image,
            "inferences": window.inferences,
            "seconds": window.elapsed_us / 1e6,
            "milliseconds": window.latency_us / 1e3,
        }
        for image, window in windows
    ]
    times = [row["milliseconds"] for row in rows]
    middle = median(times)
    return {
        "unit": "microseconds",
        "milliseconds": middle,
        "min_milliseconds": min(times),
        "max_milliseconds": max(times),
        "inferences_per_second": 1e3 / middle,
        "windows": rows,
    }
