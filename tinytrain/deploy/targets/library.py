"""The target "library": the network behind a small C interface, as a CMake project for firmware of one's own."""

import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

from tinytrain import files
from tinytrain.config import plugins
from tinytrain.deploy import c_library, c_source
from tinytrain.deploy.boards import Board
from tinytrain.deploy.c_source import GRAPH_FILE, Contents
from tinytrain.deploy.compiled import c_graph
from tinytrain.errors import UserError

NAME = "library"
COMPILED_FILES = ("graph.c", "graph.h", "engine.h")  # of firmware/app
TFLM_FILES = ("kernels_tflm.cc", "kernels_tflm.h", "operators_tflm.cc", "operators_tflm.h")
DETECTOR_FILES = ("detect.c", "detect.h")
TOOLCHAIN = "cmake/arm-none-eabi.cmake"


def write(folder: Path, board: Board, contents: Contents) -> Path:
    """Writes `folder`/library, all that a build for any core with the DSP extension or for a computer needs.

    It is written under a temporary name and renamed; it is the same for every `board`.

    Raises:
        UserError: `folder`/library exists already, or `contents` are none for a library (see c_library.write).
    """
    project = folder / NAME
    if project.exists():
        raise UserError(f"{project} exists already; remove it or give another folder")
    files.make_folder(folder)
    with files.folder(folder) as temporary:
        draft = temporary / NAME
        shutil.copytree(plugins.data_folder("firmware") / NAME, draft)
        for name in ("app", "kernels", "model"):
            (draft / "src" / name).mkdir()
        c_library.write(draft, contents)
        _add_network(draft / "src", contents)
        draft.rename(project)
    return project


def build_command(folder: Path, board: Board, needs_tflm: bool) -> str:
    """Returns the command that builds `folder`/library for the core of `board`, in the folder `build`."""
    project = folder / NAME
    library = " -DTFLM_DIR=…" if needs_tflm else ""
    toolchain = shlex.quote(str(project / TOOLCHAIN))
    return (
        f"cmake -S {shlex.quote(str(project))} -B build -DCMAKE_TOOLCHAIN_FILE={toolchain} "
        f"-DTINYTRAIN_CORE={board.core}{library} && cmake --build build"
    )


def _add_network(sources: Path, contents: Contents) -> None:
    """Adds the network, as C or as TFLM's flatbuffer, what runs it, and the kernels that it calls."""
    firmware = plugins.data_folder("firmware")
    other = sources / ("network_tflm.cc" if contents.plan else "network_compiled.c")
    other.unlink()
    if contents.plan:
        (sources / "model" / GRAPH_FILE).write_text(c_graph.source(contents.plan), "utf-8")
    else:
        c_source.write(sources / "model", contents)
    names = COMPILED_FILES if contents.plan else TFLM_FILES
    for name in (*names, *(DETECTOR_FILES if contents.decoder else ())):
        shutil.copy(firmware / "app" / name, sources / "app")
    callers = [path for path in sources.rglob("*.c*") if path.parent.name in ("app", "model")]
    for path in _needed(firmware / "kernels", callers):
        shutil.copy(path, sources / "kernels")


def _needed(kernels: Path, callers: Iterable[Path]) -> list[Path]:
    """Returns the files of `kernels` that define what `callers`, or one another, call; and all headers."""
    texts = {path: path.read_text("utf-8") for path in sorted(kernels.glob("*.c"))}
    defined = {
        path: set(re.findall(r"^\w[\w ]*\**(kernel_\w+)\(.*\{", text, re.MULTILINE)) for path, text in texts.items()
    }
    called = {name for caller in callers for name in _kernels_in(caller.read_text("utf-8"))}
    headers = sorted(kernels.glob("*.h"))
    needed: list[Path] = []
    while more := [path for path in texts if path not in needed and defined[path] & called]:
        needed += more
        called |= {name for path in more for name in _kernels_in(texts[path])}
    return needed + headers


def _kernels_in(text: str) -> set[str]:
    return set(re.findall(r"\bkernel_\w+", text))
