"""Programs of the firmware that were built before: what `export` has proven, `bench` does not compile again.

They lie in the cache folder under a hash of all that make reads: sources, library, compiler and variables.
"""

import hashlib
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from tinytrain import files
from tinytrain.deploy import make
from tinytrain.deploy.boards import Board

MOST = 20  # programs that are kept, a few MB each


def build(firmware: Path, board: Board, tflm: Path | None, folder: Path) -> Path:
    """Returns the program of the folder `firmware`, an ELF file in `folder`, built there unless it was built before.

    Arguments and errors are those of `make.build`.
    """
    kept = _place(firmware, board, tflm)
    program = folder / "firmware.elf"
    with suppress(OSError):  # none, or removed just now
        shutil.copyfile(kept, program)
        kept.touch()
        return program
    program = make.build(firmware, board, tflm, folder)
    keep(firmware, board, tflm, program)
    return program


def keep(firmware: Path, board: Board, tflm: Path | None, program: Path) -> None:
    """Keeps `program`, which was just built of the folder `firmware`; a cache that takes nothing is no error."""
    place = _place(firmware, board, tflm)
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(place, lambda file: file.write(program.read_bytes()))
        oldest_first = sorted(place.parent.glob("*.elf"), key=lambda path: path.stat().st_mtime)
        for path in oldest_first[:-MOST]:
            path.unlink(missing_ok=True)


def _place(firmware: Path, board: Board, tflm: Path | None) -> Path:
    digest = hashlib.sha256(repr((board.name, _tools(tflm), _variables(firmware))).encode())
    for path in sorted(path for path in firmware.rglob("*") if path.is_file()):
        relative = path.relative_to(firmware)
        if relative.parts[0] != "build":  # make's own default
            digest.update(f"{relative.as_posix()} {path.stat().st_size}\n".encode() + path.read_bytes())
    return files.cache_folder() / "firmware" / f"{digest.hexdigest()[:32]}.elf"


def _tools(tflm: Path | None) -> list[tuple[str, int, int]]:
    """Returns what identifies compiler and library: path, bytes and time of each."""
    compiler = shutil.which(os.environ.get("CROSS", "arm-none-eabi-") + "gcc")
    paths = [Path(compiler).resolve()] if compiler else []
    paths += [tflm / name for name in make.TFLM_FILES] if tflm else []
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.is_file()]


def _variables(firmware: Path) -> list[tuple[str, str]]:
    """Returns the variables of the Makefile that the environment sets."""
    names = re.findall(r"^(\w+) \?=", (firmware / "platform" / "Makefile").read_text(), re.MULTILINE)
    names += ["MODEL_ID", "BAUD"]  # without a default there
    return sorted((name, os.environ[name]) for name in set(names) & set(os.environ))
