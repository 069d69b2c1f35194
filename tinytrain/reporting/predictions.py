"""What the float and the int8 model of a run answer for its test images."""

from dataclasses import dataclass
from zipfile import BadZipFile

import numpy as np

from tinytrain.config import load as configs
from tinytrain.data import boxes, identity, splits
from tinytrain.data.images import Images, Samples
from tinytrain.data.load import load_dataset
from tinytrain.deploy.decode import description, of_config
from tinytrain.deploy.exported import GOLDEN_FILE, check_annotations, read_golden_outputs
from tinytrain.deploy.exported_model import MODEL_FILE
from tinytrain.deploy.tflm import supported
from tinytrain.errors import UserError
from tinytrain.evaluation_data import int8_outputs
from tinytrain.nn import pretrained
from tinytrain.nn.predict import predict
from tinytrain.reporting.runs import Export, Subject
from tinytrain.tflite.int8_values import to_int8
from tinytrain.tflite.model import Model
from tinytrain.train import task as tasks
from tinytrain.train.resolve import resolve
from tinytrain.train.task import Task

FLOAT, FINETUNED, INT8 = "float", "fine-tuned float", "int8"  # the kinds of models, as a report calls them


@dataclass(frozen=True)
class LabelledImages:
    """Images (N, R, R, C) uint8 with what is true of them.

    labels: (N,) int64, or other annotations of the task; names: N files or other identities; classes: their names;
    transforms: (N, 4), how each image was resized (`resizing.Transform`); None: it does not matter to the task;
    note: a sentence that a reader should know of them, or "".
    """

    images: Images
    labels: np.ndarray
    names: list[str]
    classes: list[str]
    transforms: np.ndarray | None = None
    note: str = ""

    @property
    def samples(self) -> Samples:
        """The same as a task takes it."""
        if self.transforms is None:
            return Samples.of(self.images, self.labels)
        return Samples(self.images, self.labels, self.transforms)


@dataclass(frozen=True)
class Golden:
    """golden.npz: inputs (N, R, R, C) int8, outputs (N, …) int8 of the int8 model `graph`, labels (N,) or None.

    annotations: of a detector, (N, M, FIELDS) in pixels of the inputs, or None; finetuned: what the task keeps of the
    outputs of the fine-tuned weights in float, None without a fine-tune.
    """

    graph: Model
    inputs: np.ndarray
    outputs: list[np.ndarray]
    labels: np.ndarray | None
    annotations: np.ndarray | None = None
    finetuned: np.ndarray | None = None


def golden(export: Export) -> Golden | None:
    """Returns what TFLM's interpreter answered in an export; None if its files are not there."""
    path, model = export.folder / GOLDEN_FILE, export.folder / MODEL_FILE
    if not (path.is_file() and model.is_file()):
        return None
    graph = supported.parse(model.read_bytes(), f"'{model}'")
    try:
        with np.load(path) as saved:
            outputs = read_golden_outputs(saved)
            if len(outputs) != len(graph.outputs):
                raise ValueError(f"it holds {len(outputs)} outputs, the model has {len(graph.outputs)}")
            annotations = saved.get("annotations")
            if annotations is not None:
                check_annotations(annotations, len(saved["inputs"]))
            labels = saved["labels"].astype(np.int64) if "labels" in saved else None
            finetuned = saved.get("finetuned")
            return Golden(graph, saved["inputs"], outputs, labels, annotations, finetuned)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise UserError(f"cannot read '{path}': {error}; export the run again") from None


def test_images(subject: Subject, proven: Golden | None) -> LabelledImages:
    """Returns the test images of a run: those of its export if that has labels, else decoded from its data.

    Boxes of an export are in pixels of the network's images, so they stand in only for data that is not there.

    Raises:
        UserError: the data is no longer there, or has changed, and the export has nothing in its place.
    """
    if proven and proven.labels is not None and (kept := _kept_images(subject, proven, proven.labels)):
        return kept
    try:
        return _decoded_images(subject)
    except UserError as error:
        if proven is None or proven.annotations is None:
            raise
        note = f"Images and boxes are those of the export, so areas are in pixels of the network's images: {error}."
        kept = _kept_images(subject, proven, proven.annotations, note)
        if kept is None:
            raise
        return kept


def _kept_images(subject: Subject, proven: Golden, labels: np.ndarray, note: str = "") -> LabelledImages | None:
    """Returns the images of an export with their labels, None if the run does not know their names."""
    classes, names = subject.provenance.get("classes"), subject.split.get("test", [])
    if not classes or len(names) != len(labels):
        return None
    pixels = (proven.inputs.astype(np.int16) + 128).astype(np.uint8)
    return LabelledImages(pixels, labels, names, classes, note=note)


def _decoded_images(subject: Subject) -> LabelledImages:
    source = load_dataset(subject.config)
    config = resolve(subject.config, source)
    data = identity.recorded_splits(subject.run, source, config)
    test, names = data.samples("test"), splits.as_names(source, data.subsets)["test"]
    return LabelledImages(test.images, test.annotations, names, source.classes, test.transforms)


def of_float(subject: Subject, test: LabelledImages) -> np.ndarray:
    """Returns what the task keeps of the outputs of the float model: the logits (N, classes) of a classifier."""
    model = pretrained.load_trained(subject.run)
    logits = predict(model, test.images, keep=tasks.of(subject.config, test.classes).keep)
    if "am_softmax" in configs.methods(subject.config):
        logits = logits * float(subject.config.am_softmax.scale)  # they are cosines
    return logits


def of_export(export: Export, proven: Golden, task: Task, test: LabelledImages) -> dict[str, np.ndarray]:
    """Returns what the task keeps of the outputs of the fine-tuned weights in float, if any, and of the int8 model.

    Args:
        export: an export of the run.
        proven: its golden.npz.
        task: the task of the run.
        test: the test images of the run.

    Raises:
        UserError: the outputs were computed for other images, or boxes are decoded from them in another way.
    """
    path = export.folder / GOLDEN_FILE
    if proven.inputs.shape != test.images.shape or not np.array_equal(proven.inputs, to_int8(test.images)):
        raise UserError(f"the images in '{path}' are not the test images of the run: export it again")
    if task.name in boxes.TASKS:
        decoder = of_config.decoder(task.config, len(task.classes), proven.graph)
        if export.report.get("decoder") != description.section(decoder):
            raise UserError(f"the decoder of the firmware in '{export.folder}' is not that of the run: export it again")
    tuned = {} if proven.finetuned is None else {FINETUNED: proven.finetuned}
    return tuned | {INT8: int8_outputs.kept(task, proven.outputs, proven.graph)}
