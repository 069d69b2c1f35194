"""`tinytrain bench` through the binary protocol: outputs of all images, latency, the time of each operator, memory."""

import math
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
from tqdm import tqdm

from tinytrain.benching.serial.board import BoardLink, Inference
from tinytrain.benching.serial.messages import BoardWrong, Hello, Status
from tinytrain.deploy.exported import Exported
from tinytrain.tflite.macs import macs
from tinytrain.train import figures

WINDOWS = 5
_INFERENCE_S = (1e-6, 3600.0)  # a board's: beyond, its clock or its counter lies
EMULATOR_S = 60.0  # how long the images take in the emulator, unless it was said how many


def measure(link: BoardLink, hello: Hello, exported: Exported, images: int | None, window_s: float) -> dict[str, Any]:
    """Returns the result of `benching.bench`: images, windows of at least `window_s` seconds, profile, memory, line."""
    if not hello.emulated:
        link.set_baud()
    before = link.status()
    started = time.perf_counter()
    asked, answers = _answers(link, hello, exported, images)
    seconds, count = time.perf_counter() - started, len(asked)
    windows = _windows(link, hello, exported, asked, 0.0 if hello.emulated else window_s)
    profile = _profile(link, hello, exported)
    status = link.status()
    failures = _since(before, status)
    return {
        **identity(link, hello, "binary"),
        "images": count,
        **_comparison(asked, answers, exported),
        "latency": _latency(windows, hello, exported),
        "profile": profile,
        "memory": {
            "arena_used_bytes": hello.arena_used_bytes,
            "arena_bytes": hello.arena_bytes,
            "stack_used_bytes": status.stack_used_bytes,
            "stack_bytes": status.stack_bytes,
        },
        "line": {
            "seconds": seconds,
            "images_per_second": count / seconds,
            **vars(link.traffic),
            "damaged_answers": link.damaged_frames,
            **failures,
        },
    }


def _since(before: Status, after: Status) -> dict[str, int]:
    """Returns how often the line failed between two answers; raises BoardWrong if that is less than never."""
    names = {"damaged_requests": "damaged_frames", "lost_bytes": "overrun_bytes", "line_errors": "line_errors"}
    found = {name: getattr(after, theirs) - getattr(before, theirs) for name, theirs in names.items()}
    if min(found.values()) < 0:
        raise BoardWrong("STATUS", f"{after} after {before}", "counts that do not fall")
    return found


def identity(link: BoardLink, hello: Hello, protocol: str) -> dict[str, Any]:
    """Returns who answered and how it was asked, the keys with which a result begins."""
    return {
        "board": hello.board,
        "emulated": hello.emulated,
        "engine": hello.engine,
        "model": hello.model,
        "port": link.port.port,
        "baud": link.port.baudrate,
        "protocol": protocol,
    }


def _answers(link: BoardLink, hello: Hello, exported: Exported, images: int | None) -> tuple[list[int], np.ndarray]:
    """Returns the images asked for, as `drawn` gives them, and the board's outputs (N, output_bytes) int8."""
    asked, answers = [], []
    for image in drawn(hello, images, len(exported.inputs)):
        link.doing = f"image {image}"
        found = link.infer(exported.input_of(image), output_bytes=hello.output_bytes)
        asked.append(image)
        answers.append(np.frombuffer(found.output, np.int8))
    return asked, np.stack(answers)


def drawn(hello: Hello, images: int | None, total: int, most: int | None = None) -> Iterator[int]:
    """Gives `images` of `total`, with a bar; if that is None `most` or all, in the emulator for a minute only.

    The images of an export stand class by class: they are drawn, with the same seed each time, so that the accuracy of
    some of them is one of all classes.
    """
    order = np.random.default_rng(0).permutation(total)[: images or most].tolist()
    ends = time.monotonic() + EMULATOR_S if hello.emulated and images is None else math.inf
    for image in tqdm(order, desc=f"images on {hello.board}", unit="image", leave=False, disable=None):
        yield image
        if time.monotonic() > ends:
            return


def _comparison(asked: list[int], answers: np.ndarray, exported: Exported) -> dict[str, Any]:
    """Returns "different", "differences" and "accuracy" of the board's outputs (N, output_bytes) int8."""
    rows = [
        {"image": image, "host": exported.output_of(image).tolist(), "board": answer.tolist()}
        for image, answer in sorted(zip(asked, answers, strict=True), key=lambda pair: pair[0])
        if not np.array_equal(answer, exported.output_of(image))
    ]
    return {"different": len(rows), "differences": rows, "accuracy": accuracy(asked, answers, exported)}


def accuracy(asked: list[int], answers: np.ndarray, exported: Exported) -> dict[str, float] | None:
    """Returns the task's figure of the board's answers (N, classes) and of the host's; None without labels."""
    if exported.labels is None:
        return None
    measure = figures.of(exported.report.get("task", "classify")).measure
    labels, host = exported.labels[asked], exported.outputs[asked].reshape(len(asked), -1)
    return {"board": measure(answers, labels), "host": measure(host, labels)}


def _windows(
    link: BoardLink, hello: Hello, exported: Exported, asked: list[int], window_s: float
) -> list[dict[str, Any]]:
    """Returns a row for each window: as many inferences of one image as take `window_s` by the board's clock.

    A window of 0 s is one inference, of the same image each time: what an emulator counts is to be the same, too.
    """
    rows: list[dict[str, Any]] = []
    single = _counts(hello, link.infer(exported.input_of(0)))
    inferences = max(1, math.ceil(1.01 * window_s * hello.clock_hz / single))
    for window in tqdm(range(WINDOWS), desc="latency", unit="window", leave=False, disable=None):
        image = asked[window % len(asked)] if window_s else 0
        link.doing = f"window {window + 1} of {WINDOWS}, {inferences} inferences of image {image}"
        started = time.perf_counter()
        found = link.infer(exported.input_of(image), inferences, hello.output_bytes)
        host_s = time.perf_counter() - started
        equal = np.array_equal(np.frombuffer(found.output, np.int8), exported.output_of(image))
        counts = _counts(hello, found)
        row: dict[str, Any] = {"image": image, "inferences": inferences, "counts": counts, "equal": equal}
        times = {"seconds": inferences * counts / hello.clock_hz, "host_seconds": host_s}
        rows.append(row if hello.emulated else row | times)
    return rows


def _counts(hello: Hello, found: Inference) -> float:
    """Returns the cycles or instructions of one inference; raises BoardWrong for a time that no inference takes."""
    counts = hello.in_unit(found.ticks) / found.count
    low, high = _INFERENCE_S
    if not hello.emulated and not low <= counts / hello.clock_hz <= high:
        raise BoardWrong("INFER", f"{counts / hello.clock_hz:g} s an inference", f"{low:g} to {high:,} s")
    return counts


def _latency(windows: list[dict[str, Any]], hello: Hello, exported: Exported) -> dict[str, Any]:
    counts = [row["counts"] for row in windows]
    result: dict[str, Any] = {
        "unit": hello.unit,
        "median": median(counts),
        "min": min(counts),
        "max": max(counts),
        "different": sum(not row["equal"] for row in windows),
    }
    if not hello.emulated:
        result["milliseconds"] = result["median"] / hello.clock_hz * 1e3
        result["predicted_milliseconds"] = exported.report.get("latency_ms")
        result["predicted_range_milliseconds"] = exported.report.get("latency_range_ms")
        # how much longer the same windows took by this machine's clock: 1 unless the board's runs at another rate
        result["clock"] = median(row["host_seconds"] / row["seconds"] for row in windows)
    return result | {"windows": windows}


def _profile(link: BoardLink, hello: Hello, exported: Exported) -> dict[str, Any]:
    """Returns the time of each operator in one inference, and of each kind of operator."""
    link.doing = "the profile of image 0"
    operators = exported.summary.operators
    counts = [hello.in_unit(ticks) for ticks in link.profile(exported.input_of(0), len(operators))]
    total = sum(counts)
    if not total:
        raise BoardWrong("PROFILE", "0 ticks in all", "at least 1")
    rows: list[dict[str, Any]] = [
        {
            "index": i,
            "name": operator.name,
            "output": list(operator.outputs[0].shape[1:]),
            "macs": macs(operator),
            "counts": count,
            "share": count / total,
        }
        for i, (operator, count) in enumerate(zip(operators, counts, strict=True))
    ]
    kinds = {name: sum(row["share"] for row in rows if row["name"] == name) for name in exported.summary.counts}
    return {
        "unit": hello.unit,
        "counts": total,
        "kinds": dict(sorted(kinds.items(), key=lambda kind: -kind[1])),
        "operators": rows,
    }
