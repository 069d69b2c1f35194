"""The integers of an export, or of a .tflite in a run, as `tinytrain predict` asks them."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data import identity
from tinytrain.deploy import imported
from tinytrain.deploy.decode import of_config
from tinytrain.deploy.decode.boxes import Decoder
from tinytrain.deploy.exported_model import COMPACT_FILE, ExportedModel, check_decoder, damaged
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.evaluation_data import tflite_origin
from tinytrain.predicting.model import CLASSIFY, DETECT, GIVE, INT8, Answers, Model, counts, known_task
from tinytrain.tasks.classify.metrics import softmax
from tinytrain.tflite import pixels
from tinytrain.tflite.int8_values import dequantize
from tinytrain.tflite.model import Model as Graph
from tinytrain.train import task as tasks

PROBABILITIES = ("SOFTMAX", "LOGISTIC")  # operators after which outputs are no logits


def of_file(path: Path, score: float | None) -> Model:
    """Returns the model in a .tflite: the one of an export, or of the run that it stands in; see `load.load`."""
    if tflite_origin.report_beside(path):
        return of_export(ExportedModel.open(path.parent), score)
    run = tflite_origin.of(path).run
    if run is None:
        raise UserError(
            f"'{path}' is of unknown origin, so the meaning of its outputs and pixels is unknown: {GIVE}; "
            "`tinytrain export` takes any int8 .tflite"
        )
    config, classes = run.config(), identity.classes_of(run)
    name = known_task(config.task, score, f"'{path}'")
    graph, _ = imported.read(path)
    side, outputs = int(config.model.resolution), tasks.of(config, classes).figures.outputs(config)
    expected = (1, side, side, int(config.model.channels))
    if tuple(graph.inputs[0].shape) != expected or len(graph.outputs) != outputs:
        raise UserError(
            f"'{path}' is not of the run '{run.folder}': it takes {tuple(graph.inputs[0].shape)} and has "
            f"{len(graph.outputs)} outputs, expected {expected} and {outputs}"
        )
    decoder = of_config.decoder(config, len(classes), graph) if name == DETECT else None
    return _int8(graph, decoder, classes, str(config.data.resize), pixels.RUN, score, str(path))


def of_export(exported: ExportedModel, score: float | None) -> Model:
    """Returns the model of an export; arguments and errors are as in `load.load`."""
    report, what = exported.report, f"'{exported.folder}'"
    name = known_task(report.get("task", CLASSIFY), score, what)
    if name == DETECT and exported.decoder is None:
        raise UserError(f"{what} is a detector's export without the decoder of its boxes: export it again")
    graph, section, config = exported.summary, report.get("input", {}), Config()
    for key, value in pixels.keys_of(section).items():
        configs.set_key(config, f"export.{key}", value)
    source = graph.inputs[0]
    if not imported.is_image(source) or source.shape[1] != source.shape[2]:
        raise UserError(
            f"{what} takes {tuple(source.shape)}: predict needs a model that takes a square image (1, R, R, 1 or 3)"
        )
    decoder = exported.decoder if name == DETECT else None
    try:
        check_decoder(decoder, [math.prod(output.shape) for output in graph.outputs], COMPACT_FILE)
    except ValueError as error:
        raise damaged(exported.folder, error) from None
    resize = section.get("resize", "")
    return _int8(graph, decoder, report.get("classes", []), resize, pixels.of(source, config.export), score, what)


def _int8(
    graph: Graph,
    decoder: Decoder | None,
    classes: list[str],
    resize: str,
    taken: pixels.Pixels,
    score: float | None,
    what: str,
) -> Model:
    """Returns the int8 model in TFLM's reference interpreter; `taken` is what pixels are to it."""
    interpreter, source, notes = ReferenceInterpreter(graph.content), graph.inputs[0], []
    if resize not in ("stretch", "crop", "pad"):
        resize = "stretch"
        notes.append(f"{what} does not say how to resize images for it: they are stretched")
    if decoder is not None and score is not None:
        notes.append(f"with --score {score:g} the boxes are not those of the firmware, which uses {decoder.score:g}")

    def answer(images: np.ndarray) -> Answers:
        outputs = interpreter.run(taken.to_input(images, source))
        if decoder is not None:
            return _decoded(decoder, score, outputs)
        real = dequantize(outputs[0].reshape(len(outputs[0]), -1), graph.outputs[0])
        is_probability = graph.operators[-1].name in PROBABILITIES
        return Answers(real if is_probability else softmax(real), np.zeros(len(images), bool))

    task, most = (CLASSIFY, 0) if decoder is None else (DETECT, decoder.room)
    _, side, _, channels = source.shape
    return Model(INT8, task, list(classes), side, channels, resize, answer, most, tuple(notes))


def _decoded(decoder: Decoder, score: float | None, outputs: list[np.ndarray]) -> Answers:
    """Returns the boxes that the firmware finds, or would find with another `score`."""
    used = decoder if score is None else dataclasses.replace(decoder, score=score)
    found = used.detections(outputs)
    return Answers(found, counts(found) >= decoder.room)
