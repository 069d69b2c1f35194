"""The boxes of a detector as a board decodes them, compared with the host's; how long decoding takes."""

import dataclasses
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from tinytrain.benching.serial.board import BoardLink
from tinytrain.benching.serial.messages import BoardWrong, Hello
from tinytrain.deploy.decode.boxes import ONE, UNITS, Decoder
from tinytrain.deploy.decode.cells import CellDecoder
from tinytrain.deploy.exported import Exported
from tinytrain.tasks.detect import metrics
from tinytrain.tasks.detect.centroids import centroid_f1

SHOWN = 8  # images


@dataclasses.dataclass(frozen=True)
class Decoded:
    """What a board found in an image: its number, boxes (D,) BOX, and the ticks that decoding them took."""

    image: int
    boxes: np.ndarray
    ticks: int


def ask(link: BoardLink, image: int, exported: Exported, decoder: Decoder) -> Decoded:
    """Returns the boxes of the image that `infer` was called with last.

    Raises BoardWrong for boxes that no output decodes to.
    """
    found, ticks = link.boxes(exported.input_of(image), decoder.room)
    _check(found, decoder)
    return Decoded(image, found, ticks)


def _check(boxes: np.ndarray, decoder: Decoder) -> None:
    limit = UNITS * decoder.side
    corners = {name: boxes[name] for name in ("x0", "y0", "x1", "y1")}
    sound = {
        f"corners 0 to {limit:,}": np.all([(edge >= 0) & (edge <= limit) for edge in corners.values()], axis=0),
        "x0 < x1 and y0 < y1": (corners["x0"] < corners["x1"]) & (corners["y0"] < corners["y1"]),
        f"a score of {decoder.least_score:,} to {ONE:,}": (decoder.least_score <= boxes["score"])
        & (boxes["score"] <= ONE),
        f"a class below {decoder.classes}": boxes["label"] < decoder.classes,
        "a last byte of 0": boxes["zero"] == 0,
        "scores that fall": np.diff(boxes["score"].astype(int), prepend=ONE + 1) <= 0,
    }
    for expected, holds in sound.items():
        if not holds.all():
            wrong = int(np.argmin(holds))
            raise BoardWrong("BOXES", f"box {wrong}: {_readable(boxes[wrong])}", expected)


def section(answers: Sequence[Decoded], hello: Hello, exported: Exported) -> dict[str, Any]:
    """Returns the section "boxes" of bench.json.

    "different": images whose list of boxes is not the host's; "differences": the number of each and both lists;
    "shown": the board's boxes of some images, those that differ first; "mean": boxes an image; "classes": their names;
    "decode": the time of decoding an image.
    """
    rows = []
    answers = sorted(answers, key=lambda answer: answer.image)
    for answer in answers:
        host = exported.boxes_of(answer.image)
        if answer.boxes.tobytes() != host.tobytes():
            rows.append({"image": answer.image, "host": _lists(host), "board": _lists(answer.boxes)})
    different = {row["image"] for row in rows}
    shown = sorted(answers, key=lambda answer: answer.image not in different)[:SHOWN]
    return {
        "different": len(rows),
        "differences": rows,
        "shown": [{"image": answer.image, "board": _lists(answer.boxes)} for answer in shown],
        "mean": sum(len(answer.boxes) for answer in answers) / len(answers),
        "classes": exported.report.get("classes", []),
        "decode": _times([hello.in_unit(answer.ticks) for answer in answers], hello),
    }


def _lists(boxes: np.ndarray) -> list[list[int]]:
    """Returns [x0, y0, x1, y1, score, class] of each box."""
    return [list(box[:6]) for box in boxes.tolist()]


def _times(counts: list[float], hello: Hello) -> dict[str, Any]:
    times: dict[str, Any] = {"unit": hello.unit, "median": median(counts), "min": min(counts), "max": max(counts)}
    return times if hello.emulated else times | {"milliseconds": times["median"] / hello.clock_hz * 1e3}


def measured(outputs: Sequence[np.ndarray], images: list[int], exported: Exported) -> float:
    """Returns AP50 of int8 outputs (N, …) for the images of these numbers, decoded on the host.

    Of a detector without sizes it is F1 of centres at the threshold of the firmware.
    """
    if exported.decoder is None or exported.annotations is None:
        raise AssertionError("only an export of a detector with annotations has AP50")
    decoder = exported.decoder
    found = decoder.measured(outputs)
    if isinstance(decoder, CellDecoder):
        return centroid_f1(found, exported.annotations[images], threshold=decoder.score)["f1"] or 0.0
    return metrics.ap50(found, exported.annotations[images]) or 0.0


def _readable(box: np.ndarray) -> str:
    x0, y0, x1, y1, score, label, *_ = box.tolist()
    return f"{x0} {y0} {x1} {y1}, score {score}, class {label}"
