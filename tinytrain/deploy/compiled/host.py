"""A compiled network on this computer: the C that the firmware runs, built as a shared library."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinytrain.config import plugins
from tinytrain.deploy.compiled import c_graph
from tinytrain.deploy.compiled.plan import Plan, output_of
from tinytrain.errors import TinytrainError, UserError

COMPILER = "gcc"
FLAGS = ("-std=gnu11", "-fPIC")
OBSERVER = """#include "app/engine.h"
static void (*observer)(void);
void observe(void (*function)(void)) { observer = function; }
void operator_begins(void) {}
void operator_goes_on(void) {}
void operator_pauses(void) {}
void operator_ends(void) { if (observer) observer(); }
"""
STATE_BYTES = 256  # at least those of GraphState in firmware/app/graph.h
_Callback = ctypes.CFUNCTYPE(None)


def is_here() -> bool:
    """Returns whether this computer has the compiler."""
    return shutil.which(COMPILER) is not None


def kernels(folder: Path, sources: Path | None = None) -> list[Path]:
    """Compiles the kernels into `folder` and returns the objects, for any number of engines.

    Args:
        folder: where the objects go.
        sources: the folder of their sources, by default firmware/kernels.

    Raises:
        UserError: there is no compiler.
        TinytrainError: it refuses the sources.
    """
    files = sorted((sources or plugins.data_folder("firmware") / "kernels").glob("*.c"))
    _compile(["-O1", "-c", *(str(file.absolute()) for file in files)], folder)
    return [folder / file.with_suffix(".o").name for file in files]


class HostEngine:
    """The network of a plan, ready to run on this computer.

    Args:
        plan: of the network.
        folder: where the sources and the library go.
        objects: the kernels, as `kernels` returns them.
        source: the text of model_graph.c, by default that of the plan.

    `piece`: how many bytes of an input are handed over at a time, by default all of them.

    Raises:
        UserError: there is no compiler.
        TinytrainError: it refuses the sources.
    """

    def __init__(self, plan: Plan, folder: Path, objects: Sequence[Path], source: str = "") -> None:
        folder = Path(tempfile.mkdtemp(dir=folder))  # a library is loaded but once under one name
        sources = {"model_graph.c": source or c_graph.source(plan), "observer.c": OBSERVER}
        for name, text in sources.items():
            (folder / name).write_text(text, "utf-8")
        library = folder / "graph.so"
        firmware = plugins.data_folder("firmware").absolute()
        _compile(
            [
                "-shared",
                f"-I{firmware}",
                "-o",
                str(library),
                *sources,
                str(firmware / "app/graph.c"),
                *map(str, objects),
            ],
            folder,
        )
        self.plan = plan
        self.piece = plan.network.sizes[plan.network.source]
        self._library = ctypes.CDLL(str(library))
        for function in (self._library.graph_take, self._library.graph_invoke):
            function.restype = ctypes.c_bool
        self._state = ctypes.create_string_buffer(STATE_BYTES)
        self._arena = np.zeros(plan.arena_bytes + 16, np.int8)
        first = -self._arena.ctypes.data % 16
        self._arena = self._arena[first : first + plan.arena_bytes]

    def run(self, images: np.ndarray) -> list[np.ndarray]:
        """Returns each of the model's outputs for images (N, …) int8, as (N, …) int8 in the order of the model."""
        network = self.plan.network
        shapes = [tensor.shape for tensor in network.model.outputs]
        outputs = [np.empty((len(images), *shape[1:]), np.int8) for shape in shapes]
        for number, image in enumerate(images):
            self._run(image)
            for output, buffer in zip(outputs, network.outputs, strict=True):
                output[number] = self._values(buffer).reshape(output.shape[1:])
        return outputs

    def steps(self, image: np.ndarray) -> list[np.ndarray]:
        """Returns what each step of the plan has written for one image, (bytes,) int8, right after it ran."""
        return self.run_once(image)[0]

    def run_once(self, image: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Returns what `steps` does, and the model's outputs, (bytes,) int8 each."""
        written: list[np.ndarray] = []
        buffers = [output_of(step) for step in self.plan.steps]
        callback = _Callback(lambda: written.append(self._values(buffers[len(written)]).copy()))
        self._library.observe(callback)
        try:
            self._run(image)
        finally:
            self._library.observe(None)
        return written, self.outputs()

    def _run(self, image: np.ndarray) -> None:
        content = image.tobytes()
        for first in range(0, len(content), self.piece):
            if not self.take(first, content[first : first + self.piece]):
                raise AssertionError(f"the compiled network does not take byte {first} of its input")
        self.finish()

    def take(self, first: int, values: bytes) -> bool:
        """Hands over bytes of an input, from byte `first` on; returns whether they are the next ones."""
        return bool(self._library.graph_take(self._state, self._address(), first, values, len(values)))

    def finish(self) -> None:
        """Runs the steps that need no more input."""
        if not self._library.graph_invoke(self._state, self._address()):
            raise AssertionError("the compiled network does not take its input as complete")

    def outputs(self) -> list[np.ndarray]:
        """Returns the model's outputs of the last run, (bytes,) int8 each."""
        return [self._values(buffer).copy() for buffer in self.plan.network.outputs]

    def _address(self) -> ctypes.c_void_p:
        return ctypes.c_void_p(self._arena.ctypes.data)

    def _values(self, buffer: int) -> np.ndarray:
        first = self.plan.offsets[buffer]
        return self._arena[first : first + self.plan.network.sizes[buffer]]


def _compile(arguments: Sequence[str], folder: Path) -> None:
    if not is_here():
        raise UserError(f"{COMPILER} is not installed; it runs the compiled network on this computer")
    done = subprocess.run([COMPILER, *FLAGS, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TinytrainError(f"{COMPILER} refuses the compiled network:\n{done.stderr}".rstrip())
