"""What a task measures of the int8 outputs of a .tflite: boxes as the firmware decodes them, or real logits."""

import numpy as np

from tinytrain.data import boxes
from tinytrain.deploy.decode import of_config
from tinytrain.tflite.int8_values import dequantize
from tinytrain.tflite.model import Model
from tinytrain.train.task import Task


def kept(task: Task, outputs: list[np.ndarray], graph: Model) -> np.ndarray:
    """Returns what `Task.keep` gives of a float network: detections (N, D, 6), or the first output in real units.

    Args:
        task: the task, with the config of the run.
        outputs: (N, …) int8 of each output of `graph`.
        graph: the .tflite.
    """
    if task.name in boxes.TASKS:
        return of_config.measured(task.config, len(task.classes), graph, outputs)
    return dequantize(outputs[0].reshape(len(outputs[0]), -1), graph.outputs[0])
