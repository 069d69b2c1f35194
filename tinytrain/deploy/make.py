"""Calling make in a firmware folder (firmware/platform/Makefile): what it needs, its goals, what its errors mean."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tinytrain import files
from tinytrain.config import plugins
from tinytrain.deploy.boards import Board
from tinytrain.errors import DoesNotFit, TinytrainError, UserError

COMPILER = "arm-none-eabi-gcc"
EMULATOR = "qemu-system-arm"
# The files of TensorFlow Lite Micro that the Makefile asks for.
TFLM_FILES = ("lib/libtensorflow-microlite.a", "include/tensorflow/lite/micro/micro_interpreter.h")
_TIMEOUT_S = 1200  # more than TIMEOUT_S of firmware/platform/Makefile


def build(firmware: Path, board: Board, tflm: Path | None, folder: Path) -> Path:
    """Builds `firmware` into `folder` and returns the program, an ELF file. Arguments and errors are those of `run`."""
    run(firmware, board, tflm, "all", BUILD=str(folder))
    return folder / f"{board.name}-{engine(firmware, tflm)}" / "firmware.elf"


def run(firmware: Path, board: Board, tflm: Path | None, goal: str, **variables: str) -> str:
    """Runs `make goal` in the folder `firmware` and returns what it prints.

    Args:
        firmware: a folder that `targets.bare_metal.write` returned, or firmware/ itself for the goal "library".
        board: the board.
        tflm: a folder of TensorFlow Lite Micro, or None for the stub engine, if the firmware is not compiled.
        goal: a target of the Makefile.
        variables: further variables of the Makefile.

    Raises:
        DoesNotFit: the linker found the image larger than flash or RAM.
        UserError: the library in `tflm` is for another core or FPU, or the disk is full.
        TinytrainError: make failed otherwise; the message holds what it printed.
    """
    done = call(firmware, board, tflm, goal, **variables)
    if done.returncode != 0:
        _raise_known(done.stderr, board)
        raise TinytrainError(f"`{' '.join(done.args)}` failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def call(
    firmware: Path, board: Board, tflm: Path | None, goal: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs `make goal` as `run` does, whatever its status is; returns the finished process."""
    tflm_dir = {"TFLM_DIR": str(_complete(tflm))} if tflm else {}
    settings = {"BOARD": board.name, "ENGINE": engine(firmware, tflm), **tflm_dir, **variables}
    assignments = [f"{key}={value}" for key, value in settings.items()]
    command = ["make", "--no-print-directory", "-s", "-C", str(firmware), goal, *assignments]
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=_TIMEOUT_S, check=False)
    output, errors = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")  # keeps \r\n
    return subprocess.CompletedProcess(command, done.returncode, output, errors)


def _raise_known(errors: str, board: Board) -> None:
    """Raises the error that says what the messages of make, compiler and linker mean, if they mean one of these."""
    if overflows := re.findall(r"region `(\w+)' overflowed by (\d+) bytes", errors):
        limits = {"FLASH": board.flash_bytes, "RAM": board.ram_bytes, "FAST_RAM": board.fast_ram_bytes}
        texts = [f"{region} has {limits[region]} bytes, {bytes_} too few" for region, bytes_ in overflows]
        raise DoesNotFit(f"the firmware does not fit {board.name}: {', '.join(texts)}")
    if wrong := re.search(r"^\S+ is for .*: build it with .*$", errors, re.MULTILINE):
        raise UserError(f"TFLM_DIR does not suit {board.name}: {wrong[0]}")
    if full := re.search(r"^.*(No space left on device|Disk quota exceeded).*$", errors, re.MULTILINE):
        raise UserError(f"no room to build the firmware: {full[0].strip()}; set TMPDIR to another folder")


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


def tflm_dir() -> Path | None:
    """Returns the folder that the environment variable TFLM_DIR names, or None without one.

    Raises UserError if it holds no TensorFlow Lite Micro.
    """
    name = os.environ.get("TFLM_DIR", "")
    return _complete(Path(name).absolute()) if name else None


def check_library(board: Board) -> None:
    """Raises UserError, before any other work, if what TFLM_DIR names is not there or was not built for `board`."""
    tflm = tflm_dir()
    if tflm and not lacking():
        with files.folder() as build:
            run(plugins.data_folder("firmware"), board, tflm, "library", BUILD=str(build))


def engine(firmware: Path, tflm: Path | None) -> str:
    """Returns the engine of the folder `firmware`: compiled if it holds the network as C, else TFLM or the stub."""
    if (firmware / "model" / "model_graph.c").is_file():
        return "compiled"
    return "tflm" if tflm else "stub"


def _complete(tflm: Path) -> Path:
    """Returns `tflm`; raises UserError, naming what is missing, if it is no folder of TensorFlow Lite Micro."""
    missing = [name for name in TFLM_FILES if not (tflm / name).is_file()]
    if missing:
        what = "which has no " + " and no ".join(missing) if tflm.is_dir() else "which is not a folder"
        raise UserError(
            f"TFLM_DIR is '{tflm}', {what}: set it to a folder with include/ and lib/ of TensorFlow Lite Micro, "
            "or unset it to continue without"
        )
    return tflm
