"""The reference for what the firmware computes: TFLM's own interpreter, from the `tflite_micro` wheel.

Outputs on the target equal its outputs bit for bit; TensorFlow's own interpreter differs (tflite_interpreter.py).
It runs in processes of its own (interpreter_process.py): it writes to the terminal, and too small an arena can crash
it.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np

from tinytrain import files
from tinytrain.errors import TinytrainError, UserError

WORKER = Path(__file__).parent / "interpreter_process.py"
KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)  # from outside: the model is not at fault
PROCESSES = 2


class ReferenceInterpreter:
    """A .tflite in TFLM's interpreter; `content` are the bytes of the file."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def run(self, images: np.ndarray, progress: Callable[[int, int], None] | None = None) -> list[np.ndarray]:
        """Runs the model on images, which PROCESSES processes share.

        Args:
            images: (N, H, W, C) int8, as the model takes them: pixel - 128 for those trained here.
            progress: called with (images that are done, N) as they go on.

        Returns:
            Each of the model's outputs for all images, (N, …) int8, in the order of the model.

        Raises:
            UserError: there are no images, or TFLM cannot run the model; the error is in TFLM's words.
        """
        images = np.ascontiguousarray(images, dtype=np.int8)
        if not len(images):
            raise UserError("no images to run the .tflite on: expected (N, H, W, C) int8 with N at least 1")
        count = min(PROCESSES, len(images))
        with files.folder() as folder:
            model, source = _write_inputs(folder, self.content, "images.npy", images)
            results = [folder / f"outputs{part}.npz" for part in range(count)]
            with tempfile.TemporaryFile("w+") as log:
                workers = [
                    _start(log, "run", model, source, result, part, count) for part, result in enumerate(results)
                ]
                _wait(workers, len(images), progress)
                _check(workers, log)
            parts = [_loaded(result) for result in results]
        outputs = [np.empty((len(images), *output.shape[1:]), np.int8) for output in parts[0]]
        for part, shares in enumerate(parts):
            for output, share in zip(outputs, shares, strict=True):
                output[part::count] = share
        return outputs

    def each(self, values: np.ndarray) -> np.ndarray:
        """Returns the outputs (K, N) int8 of a model of K inputs and outputs (1, N), all inputs `values` (N,) int8."""
        with files.folder() as folder, tempfile.TemporaryFile("w+") as log:
            model, source = _write_inputs(folder, self.content, "values.npy", values)
            result = folder / "outputs.npy"
            worker = _start(log, "each", model, source, result)
            worker.communicate()
            _check([worker], log)
            return np.load(result)

    @cached_property
    def arena_bytes(self) -> int:
        """The bytes of the smallest arena, a multiple of 16, in which the interpreter works on this machine.

        With pointers of 64 bits and without the scratch buffers of CMSIS-NN: memory.py corrects the latter.
        """
        with files.folder() as folder, tempfile.TemporaryFile("w+") as log:
            model, _ = _write_inputs(folder, self.content)
            worker = _start(log, "arena", model)
            printed = worker.communicate()[0]
            _check([worker], log)
        return int(printed)


def _loaded(path: Path) -> list[np.ndarray]:
    """Returns the arrays that a worker has saved with np.savez."""
    with np.load(path) as saved:
        return [saved[f"arr_{number}"] for number in range(len(saved.files))]


def _start(log: IO[str], *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(WORKER), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=log,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def _wait(workers: list[subprocess.Popen], total: int, progress: Callable[[int, int], None] | None) -> None:
    """Waits for all workers; their shares are equal, so the lines of the first tell how far all are."""
    for worker in workers:
        lines = worker.stdout or ()
        for number, _ in enumerate(lines, 1):
            if progress is not None and worker is workers[0]:
                progress(min(number * len(workers), total), total)
    for worker in workers:
        worker.wait()
        if worker.stdout:
            worker.stdout.close()


def _check(workers: list[subprocess.Popen], log: IO[str]) -> None:
    """Raises UserError with the words of a worker that failed, TinytrainError if somebody killed it."""
    status = next((worker.returncode for worker in workers if worker.returncode), 0)
    if not status:
        return
    log.seek(0)
    messages = [line for line in log.read().splitlines() if line.strip() and not line.startswith((" ", "Traceback"))]
    reason = messages[0].strip() if messages else f"it ended with status {status} without a message"
    if -status in KILLS:
        raise TinytrainError(
            f"the process of the TFLM interpreter was killed ({signal.Signals(-status).name}), perhaps because "
            f"memory ran out{': ' + reason if messages else ''}"
        )
    if status == os.EX_IOERR:
        raise UserError(f"the TFLM interpreter has no room for its outputs: {reason}; set TMPDIR to another folder")
    if status < 0:
        reason += f" (crashed, {signal.Signals(-status).name})"
    raise UserError(f"the TFLM interpreter cannot run the .tflite: {reason}")


def _write_inputs(folder: Path, content: bytes, name: str = "", array: np.ndarray | None = None) -> tuple[Path, Path]:
    """Writes what a worker reads into `folder`, and returns the paths of the model and of the array."""
    paths = folder / "model.tflite", folder / name
    with files.write_errors(files.temporary_root(), "free some room, or name another folder with TMPDIR"):
        paths[0].write_bytes(content)
        if array is not None:
            np.save(paths[1], array)
    return paths
