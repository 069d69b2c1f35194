"""`tinytrain bench` through the binary protocol: outputs of all images, latency, the time of each operator, memory."""

import math
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np

from tinytrain import progress
from tinytrain.benching import box_answers
from tinytrain.benching.box_answers import Decoded
from tinytrain.benching.connection import step_names
from tinytrain.benching.serial.board import BoardLink, Inference
from tinytrain.benching.serial.messages import BoardWrong, Hello, OutputInfo, Status
from tinytrain.deploy.exported import Exported
from tinytrain.tflite.macs import macs
from tinytrain.train import figures

WINDOWS = 5
_INFERENCE_S = (1e-6, 3600.0)  # plausible on a board: beyond, its clock or its counter is wrong
EMULATOR_S = 60.0  # how long the images take in the emulator, unless their number is given


def measure(link: BoardLink, hello: Hello, exported: Exported, images: int | None, window_s: float) -> dict[str, Any]:
    """Returns what bench.json holds of a board that is measured through the binary protocol.

    Args:
        link: the board.
        hello: its answer to HELLO.
        exported: the export whose model it holds.
        images: how many images are compared; None: all, in the emulator as many as take about EMULATOR_S.
        window_s: the shortest window that the latency is measured in, in seconds.

    Raises:
        BoardWrong: an answer that cannot be right.
        BoardRestarted: the board hung or crashed.
    """
    if not hello.emulated:
        link.set_baud()
    _refuse_other_outputs(link, exported)
    before = link.status()
    started = time.perf_counter()
    drawn_images, answers, decoded = _answers(link, hello, exported, images)
    seconds, count = time.perf_counter() - started, len(drawn_images)
    windows = _windows(link, hello, exported, drawn_images, 0.0 if hello.emulated else window_s)
    profile = _profile(link, hello, exported)
    status = link.status()
    failures = _since(before, status)
    return {
        **identity(link, hello, "binary"),
        "task": exported.task,
        "images": count,
        **_comparison(drawn_images, answers, exported),
        **({"boxes": box_answers.section(decoded, hello, exported)} if decoded else {}),
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


def _refuse_other_outputs(link: BoardLink, exported: Exported) -> None:
    """Raises BoardWrong unless the board describes each output as the exported model does."""
    for index, tensor in enumerate(exported.summary.outputs):
        scale, zero_point = float(np.float32(tensor.scale[0])), int(tensor.zero_point[0])
        expected = OutputInfo(int(np.prod(tensor.shape)), scale, zero_point, tuple(tensor.shape))
        if (info := link.output_info(index)) != expected:
            raise BoardWrong("OUTPUT_INFO", info, str(expected))


def _since(before: Status, after: Status) -> dict[str, int]:
    """Returns how often the line failed between two answers; raises BoardWrong if a count has fallen."""
    names = {"damaged_requests": "damaged_frames", "lost_bytes": "overrun_bytes", "line_errors": "line_errors"}
    failures = {name: getattr(after, counter) - getattr(before, counter) for name, counter in names.items()}
    if min(failures.values()) < 0:
        raise BoardWrong("STATUS", f"{after} after {before}", "counts that do not fall")
    return failures


def identity(link: BoardLink, hello: Hello, protocol: str) -> dict[str, Any]:
    """Returns which board answered and over which line, the first keys of a result."""
    return {
        "board": hello.board,
        "emulated": hello.emulated,
        "engine": hello.engine,
        "model": hello.model,
        "port": link.port.port,
        "baud": link.port.baudrate,
        "protocol": protocol,
    }


def _answers(
    link: BoardLink, hello: Hello, exported: Exported, images: int | None
) -> tuple[list[int], list[list[np.ndarray]], list[Decoded]]:
    """Returns the numbers of the images, as `drawn` gives them, and the board's outputs for each, int8.

    And its boxes for each, if the model is a detector.
    """
    drawn_images, answers, decoded = [], [], []
    for image in drawn(hello, images, len(exported.inputs)):
        link.doing = f"image {image}"
        inference = link.infer(exported.input_of(image), output_bytes=hello.output_bytes)
        drawn_images.append(image)
        answers.append(exported.split(inference.outputs))
        if exported.decoder:
            decoded.append(box_answers.ask(link, image, exported, exported.decoder))
    return drawn_images, answers, decoded


def drawn(hello: Hello, images: int | None, total: int, most: int | None = None) -> Iterator[int]:
    """Yields the numbers of the images to measure, in random order, with a progress bar.

    The images of an export are sorted by class. They are drawn with the same seed each time, so that the accuracy on
    some of them is one over all classes.

    Args:
        hello: what the board is.
        images: how many; None: `most`, in the emulator as many as take about EMULATOR_S.
        total: how many the export has.
        most: the limit where `images` is None; None: all.
    """
    order = np.random.default_rng(0).permutation(total)[: images or most].tolist()
    deadline = time.monotonic() + EMULATOR_S if hello.emulated and images is None else math.inf
    for image in progress.counted(order, f"images on {hello.board}", len(order), "image"):
        yield image
        if time.monotonic() > deadline:
            return


def _comparison(images: list[int], answers: list[list[np.ndarray]], exported: Exported) -> dict[str, Any]:
    """Returns "different" (images), "differences" (outputs that differ) and "accuracy" of the board's outputs."""
    rows = []
    for image, outputs in sorted(zip(images, answers, strict=True), key=lambda pair: pair[0]):
        for index, (host, board) in enumerate(zip(exported.outputs_of(image), outputs, strict=True)):
            if not np.array_equal(host, board):
                of_several = {"output": index} if len(outputs) > 1 else {}
                rows.append({"image": image, **of_several, "host": host.tolist(), "board": board.tolist()})
    stacked = [np.stack(outputs) for outputs in zip(*answers, strict=True)]
    return {
        "different": len({row["image"] for row in rows}),
        "differences": rows,
        "accuracy": accuracy(images, stacked, exported),
    }


def accuracy(images: list[int], answers: Sequence[np.ndarray], exported: Exported) -> dict[str, float] | None:
    """Returns the task's figure of the board's outputs and of the host's; None without labels or annotations.

    Args:
        images: the numbers of the N images.
        answers: (N, …) of each of the board's outputs, int8; of a classifier the first, int8 or real, is enough.
        exported: the export, which has the host's outputs and the labels.
    """
    if exported.decoder and exported.annotations is not None and answers[0].dtype == np.int8:
        of_host = [output[images] for output in exported.outputs]
        both = {"board": answers, "host": of_host}
        return {side: box_answers.measured(outputs, images, exported) for side, outputs in both.items()}
    measure = figures.of(exported.task).measure
    if exported.labels is None or measure is None:
        return None
    labels, host = exported.labels[images], exported.outputs[0][images].reshape(len(images), -1)
    return {"board": measure(answers[0], labels), "host": measure(host, labels)}


def _windows(
    link: BoardLink, hello: Hello, exported: Exported, images: list[int], window_s: float
) -> list[dict[str, Any]]:
    """Returns a row for each window: as many inferences of one image as take `window_s` by the board's clock.

    A window of 0 s is one inference, of the same image each time, so that an emulator counts the same each time.
    """
    rows: list[dict[str, Any]] = []
    single = _counts(hello, link.infer(exported.input_of(0)))
    inferences = max(1, math.ceil(1.01 * window_s * hello.clock_hz / single))
    for window in progress.counted(range(WINDOWS), "latency", WINDOWS, "window"):
        image = images[window % len(images)] if window_s else 0
        link.doing = f"window {window + 1} of {WINDOWS}, {inferences} inferences of image {image}"
        started = time.perf_counter()
        inference = link.infer(exported.input_of(image), inferences, hello.output_bytes)
        host_s = time.perf_counter() - started
        equal = inference.outputs == b"".join(output.tobytes() for output in exported.outputs_of(image))
        counts = _counts(hello, inference)
        row: dict[str, Any] = {"image": image, "inferences": inferences, "counts": counts, "equal": equal}
        times = {"seconds": inferences * counts / hello.clock_hz, "host_seconds": host_s}
        rows.append(row if hello.emulated else row | times)
    return rows


def _counts(hello: Hello, inference: Inference) -> float:
    """Returns the cycles or instructions of one inference; raises BoardWrong for a time that no inference takes."""
    counts = hello.in_unit(inference.ticks) / inference.count
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
    operators, steps = exported.summary.operators, exported.steps(hello.engine)
    counts = [hello.in_unit(ticks) for ticks in link.profile(exported.input_of(0), len(steps))]
    total = sum(counts)
    if not total:
        raise BoardWrong("PROFILE", "0 ticks in all", "at least 1")
    rows: list[dict[str, Any]] = [
        {
            "index": i,
            "name": name,
            "operators": step,
            "output": list(operators[step[-1]].outputs[0].shape[1:]),
            "macs": sum(macs(operators[number]) for number in step),
            "counts": count,
            "share": count / total,
        }
        for i, (name, step, count) in enumerate(zip(step_names(exported, hello.engine), steps, counts, strict=True))
    ]
    kinds: dict[str, float] = {}
    for row in rows:
        kind = row["name"].partition(" ")[0]
        kinds[kind] = kinds.get(kind, 0.0) + row["share"]
    return {
        "unit": hello.unit,
        "counts": total,
        "kinds": dict(sorted(kinds.items(), key=lambda kind: -kind[1])),
        "operators": rows,
    }
