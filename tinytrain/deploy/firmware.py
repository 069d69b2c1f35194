"""The firmware folder of an export: written, linked for its sizes, run in the emulator.

Everything is done by `firmware/platform/Makefile`; this module calls make and reads what it prints.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import files
from tinytrain.config import plugins
from tinytrain.deploy import c_source
from tinytrain.deploy.boards import Board
from tinytrain.deploy.tflm import lookup_tables, operators
from tinytrain.errors import DoesNotFit, TinytrainError, UserError
from tinytrain.files import make_folder
from tinytrain.tflite import model as flatbuffer
from tinytrain.tflite.model import Summary

COMPILER = "arm-none-eabi-gcc"
EMULATOR = "qemu-system-arm"
STACK_BYTES = 4096  # STACK_BYTES of firmware/platform/Makefile
BESIDE_ARENA_BYTES = 8 * 1024  # kOtherRamBytes of firmware/app/inference.cc
_GENERATED = ("build", "model")  # folders beside the sources that do not belong to them
# What the Makefile asks for.
TFLM_FILES = ("lib/libtensorflow-microlite.a", "include/tensorflow/lite/micro/micro_interpreter.h")
_MAKE_TIMEOUT_S = 1200  # more than TIMEOUT_S of firmware/platform/Makefile


@dataclass(frozen=True)
class Sizes:
    """Bytes of a linked or estimated firmware. flash = model + runtime + firmware, ram = arena + stack + other."""

    model_bytes: int
    runtime_bytes: int  # TFLM, CMSIS-NN, libc
    firmware_bytes: int  # this project's code, golden data and labels
    arena_bytes: int
    stack_bytes: int
    other_ram_bytes: int  # .data and .bss
    measured: bool  # False: estimated, see `estimate`

    @property
    def flash_bytes(self) -> int:
        """All that lies in flash."""
        return self.model_bytes + self.runtime_bytes + self.firmware_bytes

    @property
    def ram_bytes(self) -> int:
        """All that lies in RAM."""
        return self.arena_bytes + self.stack_bytes + self.other_ram_bytes


def emit(
    folder: Path,
    board: Board,
    *,
    model: bytes,
    name: str,
    arena_bytes: int,
    labels: Sequence[str],
    golden_input: np.ndarray,
    golden_output: np.ndarray,
    pixels: np.ndarray | None = None,
    bgr: bool = False,
) -> Path:
    """Writes `folder`/firmware, all that the build needs beside TFLM, and returns its path.

    It is written under a temporary name and renamed. The arguments after `board` are those of `carray.write`; `board`
    is the one that `make` builds for by default.

    Raises:
        UserError: `folder`/firmware exists already, or the model is none for the firmware.

    """
    target = folder / "firmware"
    if target.exists():
        raise UserError(f"{target} exists already; remove it or give another folder")
    make_folder(folder)
    with files.folder(folder) as temporary:
        draft = temporary / "firmware"
        shutil.copytree(plugins.data_folder("firmware"), draft, ignore=_ignore)
        (draft / "model").mkdir()
        c_source.write(
            draft / "model",
            model=model,
            name=name,
            arena_bytes=arena_bytes,
            labels=labels,
            golden_input=golden_input,
            golden_output=golden_output,
            pixels=pixels,
            bgr=bgr,
            tables=lookup_tables.tables(model, flatbuffer.read(model, name)),
        )
        keeps = keeps_image(board, arena_bytes, golden_input.size)
        (draft / "model" / "board.mk").write_text(f"BOARD ?= {board.name}\nTARGET_KEEPS_IMAGE := {keeps:d}\n", "utf-8")
        draft.rename(target)
    return target


def _ignore(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in _GENERATED or name.startswith(".") or name == "__pycache__"]


def tflm_dir() -> Path | None:
    """Returns the folder that the environment variable TFLM_DIR names, or None without one.

    Raises UserError if it holds no TensorFlow Lite Micro.
    """
    word = os.environ.get("TFLM_DIR", "")
    return _complete(Path(word).absolute()) if word else None


def _complete(tflm: Path) -> Path:
    """Returns `tflm`; raises UserError, naming what is lacking, if it is no folder of TensorFlow Lite Micro."""
    lacking = [name for name in TFLM_FILES if not (tflm / name).is_file()]
    if lacking:
        what = "which has no " + " and no ".join(lacking) if tflm.is_dir() else "which is no folder"
        raise UserError(
            f"TFLM_DIR is '{tflm}', {what}: set it to a folder with include/ and lib/ of TensorFlow Lite Micro, "
            "or unset it to go on without"
        )
    return tflm


def check_library(board: Board) -> None:
    """Raises UserError, before any other work, if what TFLM_DIR names is not there or was not built for `board`."""
    tflm = tflm_dir()
    if tflm and not lacking():
        with files.folder() as build:
            _make(plugins.data_folder("firmware"), board, tflm, "library", BUILD=str(build))


def lacking(*, emulator: bool = False, tflm: bool = True) -> str:
    """Returns why the firmware cannot be built (or emulated) here, one sentence that names the remedy; "" if it can.

    Raises UserError as `tflm_dir` does.
    """
    tools = [tool for tool in [COMPILER, "make", *([EMULATOR] if emulator else [])] if shutil.which(tool) is None]
    if tools:
        return f"{' and '.join(tools)} not installed; `make firmware-tools` installs what the firmware needs"
    if tflm and tflm_dir() is None:
        return "TFLM_DIR is not set; set it to a folder with TensorFlow Lite Micro's include/ and lib/"
    return ""


def keeps_image(board: Board, arena_bytes: int, input_bytes: int) -> bool:
    """Returns whether `board` has room to keep the input beside the arena, as kImageFits of inference.cc says."""
    return board.ram_bytes - STACK_BYTES - BESIDE_ARENA_BYTES - arena_bytes >= input_bytes


def build(firmware: Path, board: Board, tflm: Path | None, build: Path) -> Path:
    """Builds the folder `firmware` for `board` into the folder `build`; returns the program. Else like `link`."""
    _make(firmware, board, tflm, "all", BUILD=str(build))
    return build / f"{board.name}-{'tflm' if tflm else 'stub'}" / "firmware.elf"


def link(firmware: Path, board: Board, tflm: Path | None, build: Path | None = None) -> Sizes:
    """Builds the folder `firmware` for `board` and returns the sizes.

    Args:
        firmware: what `emit` returned.
        board: the board.
        tflm: TFLM_DIR, or None for the stub engine.
        build: where to put what is built; by default a temporary folder.

    Raises:
        DoesNotFit: the linker found the image larger than flash or RAM.
        UserError: the library in TFLM_DIR is for another core or FPU.
        TinytrainError: the build failed; the message holds what make printed.

    """
    if build is None:
        with files.folder() as temporary:
            return link(firmware, board, tflm, temporary)
    lines = _make(firmware, board, tflm, "size", BUILD=str(build))
    sections = {name: int(size) for name, size in (line.split() for line in lines.splitlines() if line)}
    ours = _own_flash_bytes(next(build.glob("*/firmware.map")))
    flash = sum(sections.get(name, 0) for name in (".vectors", ".text", ".model", ".rodata", ".exidx", ".data"))
    model = sections[".model"]
    return Sizes(
        model_bytes=model,
        runtime_bytes=flash - ours,
        firmware_bytes=ours - model,
        arena_bytes=sections[".arena"],
        stack_bytes=sections[".stack"],
        other_ram_bytes=sections.get(".data", 0) + sections.get(".bss", 0),
        measured=True,
    )


def _own_flash_bytes(linker_map: Path) -> int:
    """Returns the bytes in flash that come from our objects: those in the build folder, not in an archive."""
    # ` .text.main  0x08000220  0x1a4 build/…/main.o`, after a long name broken into two lines
    text = linker_map.read_text().split("Linker script and memory map")[1]
    row = re.compile(r"^ \.(vectors|text|rodata|data|ARM)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S+\.o)$", re.MULTILINE)
    return sum(
        int(size, 16) for _, size, path in row.findall(text) if "(" not in path and str(linker_map.parent) in path
    )


def emulate(firmware: Path, board: Board, tflm: Path | None) -> dict[str, Any]:
    """Runs the folder `firmware` in the emulator and returns what it printed, as `parse_output` gives it.

    A different golden output or a failure of the firmware is no exception: see the keys "golden" and "failed".

    Raises:
        TinytrainError: the build or the emulator failed.

    """
    with files.folder() as build:
        _make(firmware, board, tflm, "all", BUILD=str(build))
        return parse_output(_make(firmware, board, tflm, "emulate", BUILD=str(build), check=False))


def _make(firmware: Path, board: Board, tflm: Path | None, goal: str, *, check: bool = True, **variables: str) -> str:
    engine = {"ENGINE": "tflm", "TFLM_DIR": str(_complete(tflm))} if tflm else {"ENGINE": "stub"}
    words = [f"{key}={value}" for key, value in {"BOARD": board.name, **engine, **variables}.items()]
    command = ["make", "--no-print-directory", "-s", "-C", str(firmware), goal, *words]
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=_MAKE_TIMEOUT_S, check=False)
    output, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if check and done.returncode != 0:
        _raise_overflow(errors, board)
        if wrong := re.search(r"^\S+ is for .*: build it with .*$", errors, re.MULTILINE):
            raise UserError(f"TFLM_DIR does not serve for {board.name}: {wrong[0]}")
        if full := re.search(r"^.*(No space left on device|Disk quota exceeded).*$", errors, re.MULTILINE):
            raise UserError(f"no room to build the firmware: {full[0].strip()}; TMPDIR names another folder")
        raise TinytrainError(f"`{' '.join(command)}` failed:\n{output}{errors}".rstrip())
    if not check and "tinytrain: firmware" not in output and "failed: " not in output:
        raise TinytrainError(f"the emulator printed nothing of the firmware:\n{output}{errors}".rstrip())
    return output


def _raise_overflow(errors: str, board: Board) -> None:
    over = re.findall(r"region `(\w+)' overflowed by (\d+) bytes", errors)
    limits = {"FLASH": board.flash_bytes, "RAM": board.ram_bytes, "FAST_RAM": board.fast_ram_bytes}
    if over:
        texts = [f"{region} has {limits[region]} bytes, {bytes_} too few" for region, bytes_ in over]
        raise DoesNotFit(f"the firmware does not fit {board.name}: {', '.join(texts)}")


def parse_output(text: str) -> dict[str, Any]:
    """Returns the firmware's lines as a dictionary.

    Keys: "text", every line's key with its text (`board`, `clock`, `engine`, `model`, `arena`, `golden` …); where the
    lines were printed, "arena_used_bytes", "arena_bytes", "stack_used_bytes", "stack_bytes", "model_bytes",
    "golden_equal", "different_bytes", and "inference" as {"unit", "median", "min", "max", "count"} (also "latency");
    always "done" (bool) and "failed" (the reason, "" without).
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
    for key in ("inference", "latency"):
        if match := re.match(r"(\d+) (\w+) \(median of (\d+), min (\d+), max (\d+)\)", lines.get(key, "")):
            numbers = dict(zip(("median", "count", "min", "max"), map(int, match.group(1, 3, 4, 5)), strict=True))
            result[key] = {"unit": match[2], **numbers}
    result["done"] = re.search(r"^done\r?$", text, re.MULTILINE) is not None
    result["failed"] = lines.get("failed", "" if result["done"] else "the firmware stopped before its last line")
    return result


def estimate(summary: Summary, model_bytes: int, arena_bytes: int, board: Board) -> Sizes:
    """Returns the sizes as TFLM with CMSIS-NN and its error texts gives them on `board`, without compiler and TFLM.

    The error against real links stands beside the table in tflm_ops.py.
    """
    input_bytes, output_bytes = (
        sum(int(np.prod(tensor.shape)) for tensor in tensors) for tensors in (summary.inputs, summary.outputs)
    )
    copy_of_output_bytes = 0 if keeps_image(board, arena_bytes, input_bytes) else output_bytes
    tables = operators.TABLE_BYTES * len(lookup_tables.operators(summary))
    return Sizes(
        model_bytes=model_bytes,
        runtime_bytes=operators.runtime_bytes(summary.operators),
        firmware_bytes=operators.FIRMWARE_BYTES + input_bytes + output_bytes + tables,
        arena_bytes=arena_bytes,
        stack_bytes=STACK_BYTES,
        other_ram_bytes=operators.OTHER_RAM_BYTES + copy_of_output_bytes,
        measured=False,
    )
