"""OpenVINO: a network as its two files, NAME.xml and NAME.bin, and its CPU plug-in.

It reads a .tflite: of an int8 one each tensor becomes a FakeQuantize, from which the plug-in makes int8 kernels.
These take activations without sign and compute some activation functions in float, so they round differently from
TFLM; the proof of an export says how far. Where a processor has bfloat16, OpenVINO computes float networks with it
unless it is told not to. Here it is told not to: a float network is proven, and measured, as one of float32.
"""

import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import openvino

from tinytrain import files
from tinytrain.deploy.cpu.session import LATENCY, ONE_CORE, THROUGHPUT, Session, Window

PACKAGE, SUFFIX = "openvino", ".xml"
_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
_SETTINGS: dict[str, dict[str, str | int]] = {
    ONE_CORE: {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": 1},
    LATENCY: {"PERFORMANCE_HINT": "LATENCY"},
    THROUGHPUT: {"PERFORMANCE_HINT": "THROUGHPUT"},
}


def release() -> str:
    """Returns the version of the runtime."""
    return version(PACKAGE)


def write(tflite: bytes, path: Path) -> list[Path]:
    """Writes the network of a .tflite as `path`, NAME.xml, and NAME.bin beside it; returns both."""
    with files.folder() as folder:
        source = folder / "model.tflite"
        source.write_bytes(tflite)
        openvino.save_model(openvino.Core().read_model(source), path, compress_to_fp16=False)
    return [path, path.with_suffix(".bin")]


def load(path: Path, mode: str) -> Session:
    """Returns the network of NAME.xml, compiled for one of MODES."""
    return _Compiled(openvino.Core().compile_model(path, "CPU", _EXACT | _SETTINGS[mode]))


class _Compiled(Session):
    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self._compiled, self._request = compiled, compiled.create_infer_request()
        self.streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))

    def infer(self, image: np.ndarray) -> list[np.ndarray]:
        """As Session says."""
        answers = self._request.infer([image])
        return [np.array(answers[output]) for output in self._compiled.outputs]

    def window(self, image: np.ndarray, seconds: float) -> Window:
        """As Session says; in several streams with requests that do not wait for each other, as benchmark_app does."""
        if self.streams == 1:
            return super().window(image, seconds)
        queue = openvino.AsyncInferQueue(self._compiled, self.streams)
        latencies: list[float] = []
        queue.set_callback(lambda request, _: latencies.append(request.latency / 1e3))
        for request in queue:
            request.set_input_tensor(openvino.Tensor(image))
        began = time.perf_counter()
        while time.perf_counter() - began < seconds or len(latencies) < self.streams:
            queue.start_async()
        queue.wait_all()
        return Window(time.perf_counter() - began, latencies)
