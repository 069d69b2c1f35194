"""What the models of an export for a CPU answer, in their runtime and in what they are compared with.

The float model is compared with the network in Keras, on some images, and its figure with that of Keras on all test
images. The int8 model is compared with the int8 reference, TFLM's interpreter, on as many test images as that computes
within REFERENCE_MACS; for a network of a microcontroller these are all of them.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinytrain import progress
from tinytrain.data.images import Samples
from tinytrain.deploy.cpu import compare
from tinytrain.deploy.cpu.exported import FLOAT, INT8, golden_arrays
from tinytrain.deploy.cpu.session import LATENCY
from tinytrain.evaluation_data import int8_outputs
from tinytrain.exporting import parity
from tinytrain.exporting.int8_model import Int8Model
from tinytrain.nn.predict import predict
from tinytrain.tflite.tflite_interpreter import draw

SOME_IMAGES = 50  # for the outputs of Keras, and for golden.npz, which `tinytrain bench` reads
REFERENCE_MACS = 50_000_000_000  # a minute or two of TFLM's reference kernels


def run(runtime: ModuleType, path: Path, images: np.ndarray, description: str) -> list[np.ndarray]:
    """Returns each output (N, …) of a model that the runtime wrote, for images (N, H, W, C) as it takes them."""
    session = runtime.load(path, LATENCY)
    counted = progress.counted(images, description, len(images), "image")
    rows = [session.infer(image[None]) for image in counted]
    return [np.concatenate(each) for each in zip(*rows, strict=True)]


class Answers:
    """The outputs of both models for the test images, and what they are compared with.

    Args:
        model: the int8 model, with the test images.
        network: the trained network in Keras.
        outputs: {kind: each output (N, …) of the runtime for all test images}.
    """

    def __init__(self, model: Int8Model, network: keras.Model, outputs: dict[str, list[np.ndarray]]) -> None:
        if model.samples is None or model.float_scores is None:
            raise AssertionError("a run has test images with annotations")
        self.model, self.network, self.outputs, self.samples = model, network, outputs, model.samples
        self.some = draw(len(model.images), SOME_IMAGES)

    def proof(self) -> dict[str, Any]:
        """Returns the section "proof" of report.json: a comparison for each kind, for int8 with both figures."""
        of_keras = keras.tree.flatten(predict(self.network, self.samples.take(self.some).images))
        drawn = draw(len(self.model.images), max(SOME_IMAGES, REFERENCE_MACS // max(self.model.macs, 1)))
        references = parity.run(self.model.tflite.content, self.model.images[drawn], "int8 reference (TFLM)")
        of_int8, samples = [output[drawn] for output in self.outputs[INT8]], self.samples.take(drawn)
        return {
            FLOAT: compare.of_float([output[self.some] for output in self.outputs[FLOAT]], of_keras),
            INT8: compare.of_int8(of_int8, references)
            | {"figure": self._int8(of_int8, samples), "reference_figure": self._int8(references, samples)},
        }

    def accuracy(self) -> dict[str, Any]:
        """Returns the section "accuracy" of report.json: the task's main figure on all test images."""
        task, samples = self.model.task, self.samples
        return {
            "keras": task.measure(self.model.float_scores, samples),
            FLOAT: task.measure(self._kept_of_float(), samples),
            INT8: self._int8(self.outputs[INT8], samples),
            "images": len(self.model.images),
        }

    def golden(self) -> dict[str, np.ndarray]:
        """Returns what golden.npz holds of some of the images."""
        outputs = {kind: [output[self.some] for output in arrays] for kind, arrays in self.outputs.items()}
        return golden_arrays(self.model.images[self.some], outputs)

    def _int8(self, outputs: list[np.ndarray], samples: Samples) -> float:
        """Returns the main figure of int8 outputs (N, …) for `samples`."""
        return self.model.task.measure(int8_outputs.kept(self.model.task, outputs, self.model.tflite), samples)

    def _kept_of_float(self, batch: int = 256) -> Any:
        """Returns what the task keeps of the float outputs, as `predict` does with those of the network."""
        outputs, structure = self.outputs[FLOAT], self.network.output
        parts = []
        for start in range(0, len(outputs[0]), batch):
            tensors = [tf.constant(output[start : start + batch]) for output in outputs]
            parts.append(self.model.task.keep(keras.tree.pack_sequence_as(structure, tensors)))
        return tf.nest.map_structure(lambda *each: np.concatenate(each), *parts)
