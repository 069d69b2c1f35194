"""The firmware's self test: run in the emulator, and its lines read (firmware/README.md shows them)."""

import re
from pathlib import Path
from typing import Any

from tinytrain import files
from tinytrain.deploy import make, programs
from tinytrain.deploy.boards import Board
from tinytrain.errors import TinytrainError


def emulate(firmware: Path, board: Board, tflm: Path | None) -> dict[str, Any]:
    """Runs the self test of the folder `firmware` in the emulator; returns what it printed, as `parse` gives it.

    A different golden output or a failure of the firmware is no exception: see the keys "golden" and "failed".

    Raises:
        TinytrainError: the build or the emulator failed.
    """
    with files.folder() as build:
        programs.keep(firmware, board, tflm, make.build(firmware, board, tflm, build))
        done = make.call(firmware, board, tflm, "emulate", BUILD=str(build))
    if "tinytrain: firmware" not in done.stdout and "failed: " not in done.stdout:
        raise TinytrainError(f"the emulator printed nothing of the firmware:\n{done.stdout}{done.stderr}".rstrip())
    return parse(done.stdout)


def parse(text: str) -> dict[str, Any]:
    """Returns the lines of a self test as a dictionary.

    Keys: "text", every line's key with its text (`board`, `clock`, `engine`, `model`, `arena`, `golden` …); where the
    lines were printed, "arena_used_bytes", "arena_bytes", "stack_used_bytes", "stack_bytes", "model_bytes",
    "golden_equal", "different_bytes", "inference" as {"unit", "median", "min", "max", "count"} (also "latency"), and of
    a detector "boxes_equal", "decode" as {"unit", "count"}; always "done" (bool) and "failed" (the reason, "" without).
    """
    lines = dict(re.findall(r"^(\w+): (.*?)\r?$", text, re.MULTILINE))
    result: dict[str, Any] = {"text": text, **lines}
    for key in ("arena", "stack"):
        if match := re.match(r"(\d+) of (\d+) bytes", lines.get(key, "")):
            result[f"{key}_used_bytes"], result[f"{key}_bytes"] = int(match[1]), int(match[2])
    if match := re.search(r"\((\d+) bytes\)", lines.get("model", "")):
        result["model_bytes"] = int(match[1])
    if "golden" in lines:
        result["golden_equal"] = lines["golden"].startswith("equal")
        different = re.match(r"different \((\d+) of", lines["golden"])
        result["different_bytes"] = int(different[1]) if different else 0
    if "boxes" in lines:
        result["boxes_equal"] = lines["boxes"].startswith("equal")
    if match := re.match(r"(\d+) (\w+)$", lines.get("decode", "")):
        result["decode"] = {"unit": match[2], "count": int(match[1])}
    for key in ("inference", "latency"):
        if match := re.match(r"(\d+) (\w+) \(median of (\d+), min (\d+), max (\d+)\)", lines.get(key, "")):
            numbers = dict(zip(("median", "count", "min", "max"), map(int, match.group(1, 3, 4, 5)), strict=True))
            result[key] = {"unit": match[2], **numbers}
    result["done"] = re.search(r"^done\r?$", text, re.MULTILINE) is not None
    result["failed"] = lines.get("failed", "" if result["done"] else "the firmware stopped before its last line")
    return result
