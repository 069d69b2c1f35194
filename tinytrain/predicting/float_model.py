"""The float network of a run, as `tinytrain predict` asks it."""

import numpy as np

from tinytrain.config import load as configs
from tinytrain.data import identity
from tinytrain.nn import pretrained
from tinytrain.nn.predict import traced
from tinytrain.predicting.model import DETECT, FLOAT, Answers, Model, counts, known_task
from tinytrain.run import Run
from tinytrain.tasks.classify.metrics import softmax
from tinytrain.train import task as tasks


def of_run(run: Run, score: float | None) -> Model:
    """Returns the model of a run; arguments and errors are as in `load.load`."""
    run.metrics()  # refuses an unfinished run
    config, classes, what = run.config(), identity.classes_of(run), f"'{run.folder}'"
    name = known_task(config.task, score, what)
    if score is not None:
        config.detect.score = score
    task, side, channels = tasks.of(config, classes), int(config.model.resolution), int(config.model.channels)
    step = traced(pretrained.load_trained(run), (side, side, channels), task.keep)
    scale = float(config.am_softmax.scale) if "am_softmax" in configs.methods(config) else 1.0  # of cosines

    def boxes_of(images: np.ndarray) -> Answers:
        found = task.decode(step(images))
        return Answers(found, counts(found) >= config.detect.boxes)

    def probabilities_of(images: np.ndarray) -> Answers:
        return Answers(softmax(scale * step(images)), np.zeros(len(images), bool))

    answer = boxes_of if name == DETECT else probabilities_of
    return Model(FLOAT, name, classes, side, channels, str(config.data.resize), answer, config.detect.boxes)
