"""LiteRT, the successor of TensorFlow Lite: a network as a .tflite, with the kernels of XNNPACK.

XNNPACK is on by default and takes float and int8 networks. LiteRT has no streams of its own: an interpreter for each
core, in a thread of its own, takes their place.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tinytrain import machine
from tinytrain.deploy.cpu.session import LATENCY, ONE_CORE, THROUGHPUT, Session, Threads
from tinytrain.quiet import quiet

PACKAGE, SUFFIX = "ai-edge-litert", ".tflite"


def release() -> str:
    """Returns the version of the runtime."""
    return version(PACKAGE)


def write(tflite: bytes, path: Path) -> list[Path]:
    """Writes the network of a .tflite, which is what LiteRT reads; returns its file."""
    path.write_bytes(tflite)
    return [path]


def load(path: Path, mode: str) -> Session:
    """Returns the network of NAME.tflite, loaded for one of MODES."""
    cores = machine.cores()
    if mode == THROUGHPUT and cores > 1:
        return Threads([_Interpreter(path, 1) for _ in range(cores)])
    return _Interpreter(path, {ONE_CORE: 1, LATENCY: cores, THROUGHPUT: 1}[mode])


class _Interpreter(Session):
    def __init__(self, path: Path, threads: int) -> None:
        with quiet():  # it says that XNNPACK is in use
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        self._source = self._interpreter.get_input_details()[0]["index"]
        self._targets = [details["index"] for details in self._interpreter.get_output_details()]

    def infer(self, image: np.ndarray) -> list[np.ndarray]:
        """As Session says."""
        self._interpreter.set_tensor(self._source, image)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(target) for target in self._targets]
