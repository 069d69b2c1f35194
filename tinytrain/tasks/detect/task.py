"""The task of detection: boxes with a class, YOLOv3's assignment and loss, average precision."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data import boxes
from tinytrain.data.augment.boxes import BoxAugmentation
from tinytrain.data.images import Samples
from tinytrain.data.source import counted
from tinytrain.errors import UserError
from tinytrain.nn import pretrained
from tinytrain.nn.taps import taps
from tinytrain.tasks.detect import FIGURES, decode, metrics, report
from tinytrain.tasks.detect import loss as yolo_loss
from tinytrain.tasks.detect.grid import Grid
from tinytrain.train.task import Task

LEAST_F1 = 0.5  # of a threshold that is of use (`Detection.doubts`)
WORST = 4  # classes that the line of a finished run names
KEYS = {"flip", "distort", "expand", "expand_ratio", "iou_crop", "mixup", "mix_off_epochs"}


class Detection(Task):
    """Boxes of objects: annotations (N, M, FIELDS) as `data.boxes` says, outputs a tensor for each stride."""

    name = "detect"
    figures = FIGURES
    meaning: tuple[str, ...] = ("strides", "anchors", "gain")  # keys of [detect] that say what an output means
    methods = frozenset({"sam", "distill"})
    augmentations = frozenset(KEYS)

    @property
    def grid(self) -> Grid:
        """The positions that the network predicts at."""
        return Grid.of(self.config, len(self.classes))

    @property
    def canvas(self) -> int:
        """Training images are decoded larger, so that crops of them are sharp."""
        return int(self.config.detect.canvas)

    def check(self) -> None:
        """Raises UserError for what the task cannot be trained with."""
        super().check()
        if self.config.data.balance == "class_weights":
            raise UserError(
                "data.balance=class_weights needs one class per image: use balanced_sampling for a detector"
            )
        if self.config.model.dropout:
            dropout = f"model.dropout = {self.config.model.dropout:g}"
            raise UserError(f"{dropout} acts before a classifier, which a detector does not have: expected 0")
        epochs, off = self.config.optim.epochs, self.config.augment.mix_off_epochs
        if self.config.augment.mixup and off >= epochs:
            raise UserError(
                f"augment.mixup = {self.config.augment.mixup:g} would have no effect: it is off in the last "
                f"augment.mix_off_epochs = {off} epochs, expected fewer than optim.epochs = {epochs}"
            )

    def check_val(self, annotations: np.ndarray) -> None:
        """Raises UserError unless there is a box to be found."""
        if not ((annotations[..., boxes.CLASS] >= 0) & (annotations[..., boxes.FLAG] == boxes.NORMAL)).any():
            raise UserError(
                f"none of the {len(annotations):,} val images has a box to be found, to choose the best epoch by: "
                "expected boxes that are neither difficult nor a crowd; data.split=random draws other images"
            )

    def head(self, network: keras.Model) -> keras.Model:
        """Returns the blocks of `network` with the head that detect.head names, one output for each stride."""
        detect = self.config.detect
        features = taps(network, with_last=detect.tap == "last")
        strides = [int(stride) for stride in detect.strides]
        missing = [stride for stride in strides if stride not in features]
        if missing:
            raise UserError(
                f"detect.strides = {strides}, but {network.name} has blocks of stride "
                f"{', '.join(map(str, features))} only"
            )
        outputs = plugins.load("heads", detect.head).build(
            {stride: features[stride] for stride in strides},
            classes=len(self.classes),
            anchors=detect.anchors_per_scale,
            channels=list(detect.channels) * (len(strides) if len(detect.channels) == 1 else 1),
            depth=detect.depth,
            fuse=detect.fuse,
            gain=detect.gain,
        )
        detector = keras.Model(network.input, outputs, name=network.name)
        pretrained.complete(detector, self.config.model)
        return detector

    def augmentation(self, steps_per_epoch: int) -> BoxAugmentation:
        """Returns what is done to a training batch, boxes and pixels together."""
        mixed = max(0, self.config.optim.epochs - self.config.augment.mix_off_epochs) * steps_per_epoch
        return BoxAugmentation(self.augment(), int(self.config.model.resolution), mixed)

    def encode(self, annotations: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
        """Returns (B, M, 6) float32: class, corners in pixels of the decoded images, weight 1.

        Crowds are no boxes (class -1), difficult boxes are boxes as any other.
        """
        scale, offset = tf.tile(transforms[:, None, :2], (1, 1, 2)), tf.tile(transforms[:, None, 2:], (1, 1, 2))
        corners = annotations[..., boxes.CORNERS] * scale + offset
        crowd = annotations[..., boxes.FLAG] == boxes.CROWD
        classes = tf.where(crowd, float(boxes.NO_BOX), annotations[..., boxes.CLASS])
        return tf.concat([classes[..., None], corners, tf.ones_like(corners[..., :1])], axis=-1)

    def weigh(self, annotations: np.ndarray) -> None:
        """Does nothing: no class weighs more than another."""

    def loss(self, targets: tf.Tensor, outputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns the sum of the parts of YOLOv3's loss, the mean over images."""
        return sum(self.parts(targets, outputs))

    def parts(self, targets: tf.Tensor, outputs: list[tf.Tensor]) -> yolo_loss.Parts:
        """Returns the parts of the loss."""
        detect = self.config.detect
        smoothing = min(1 / len(self.classes), 1 / 40) if self.config.optim.label_smoothing else 0.0
        return yolo_loss.parts(targets, outputs, self.grid, detect.gain, detect.ignore_iou, smoothing)

    def distillation(self, student: list[tf.Tensor], teacher: list[tf.Tensor], temperature: float) -> tf.Tensor:
        """Returns how far a student's objects, classes and boxes are from a teacher's (`loss.distillation`)."""
        return yolo_loss.distillation(student, teacher, self.grid, self.config.detect.gain, temperature)

    def check_teacher(self, config: Config, what: str) -> None:
        """Raises UserError for a detector whose outputs stand for other boxes."""
        super().check_teacher(config, what)
        for key in self.meaning:
            theirs, ours = getattr(config.detect, key), getattr(self.config.detect, key)
            if theirs != ours:
                raise UserError(
                    f"{what} has detect.{key} = {theirs}, the student {ours}: expected the same, because "
                    "otherwise the outputs stand for other boxes"
                )

    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns the parts of the loss, each the mean over images."""
        return [_Part(self, part) for part in yolo_loss.Parts._fields]

    def keep(self, outputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns the detections (B, D, 6) of a batch, in pixels of the network's image, down to LEAST_SCORE."""
        detect = self.config.detect
        return decode.detections(outputs, self.grid, detect.gain, detect.nms, detect.boxes)

    @property
    def validates_whole_split(self) -> bool:
        """True: average precision orders the boxes of all images."""
        return True

    def evaluate(self, outputs: np.ndarray, samples: Samples) -> dict[str, Any]:
        """Returns what metrics.json holds of a split, from what `keep` gives for all of its images."""
        found, annotations = self.compared(outputs, samples)
        score = self.config.detect.score
        threshold = self.best_score(found, annotations) if score == "auto" else float(score)
        return metrics.summary(found, annotations, self.classes, threshold, samples.transforms[:, :2])

    def compared(self, outputs: np.ndarray, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
        """Returns detections (N, D, 6) and annotations in the pixels that both are measured in: of the originals."""
        return decode.in_original(outputs, samples.transforms), samples.annotations

    def settled(self, outputs: np.ndarray, samples: Samples) -> dict[str, Any]:
        """Returns {dotted key: value} of what only the trained network tells: the least score of a box."""
        threshold = self.best_score(*self.compared(outputs, samples))
        return {"detect.score": round(float(threshold), 4)} if self.config.detect.score == "auto" else {}

    def doubts(self, val: dict[str, Any], last: Mapping[str, float]) -> list[str]:
        """Returns that no threshold is of use where even the best has more errors than 2 for each object found.

        F1 = 2 hits / (2 hits + errors) is below 0.5 there; errors are what is missed and what is found wrongly.
        """
        if val["f1"] is None or val["f1"] >= LEAST_F1:
            return []
        return [
            f"at the threshold {val['threshold']:.2f} the network makes more than two errors for each object that it "
            f"finds in the val images (F1 {val['f1']:.2f}): it is not ready for use; more epochs, images or a larger "
            "model.resolution may help"
        ]

    def best_score(self, found: np.ndarray, annotations: np.ndarray) -> float:
        """Returns the score with the largest F1, from what `compared` gives."""
        return metrics.best_threshold(found, annotations)

    def measure(self, outputs: np.ndarray, samples: Samples) -> float:
        """Returns AP50 of what `keep` gives, 0..1; 0 where no image has a box."""
        return metrics.ap50(*self.compared(outputs, samples)) or 0.0

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the detections that `keep` gives with at least the score of the config; the others have class -1."""
        score = 0.0 if self.config.detect.score == "auto" else float(self.config.detect.score)
        return np.where(outputs[..., 4:5] >= score, outputs, boxes.NO_BOX)

    def diagnosis(self, outputs: dict[str, Any], samples: Samples) -> list[dict[str, Any]]:
        """Returns for each class with boxes its main figure by each kind of model."""
        rows = {kind: None if each is None else self.evaluate(each, samples) for kind, each in outputs.items()}
        per_class = {kind: None if row is None else row["per_class"] for kind, row in rows.items()}
        counted = next(each for each in per_class.values() if each is not None)
        return [
            {"class": name, self.figures.counted: row["boxes"]}
            | {kind: None if each is None else each[name][self.figures.main.key] for kind, each in per_class.items()}
            for name, row in counted.items()
            if row["boxes"]
        ]

    def report(self, outputs: dict[str, Any], samples: Samples) -> Any:
        """Returns the section of the report about boxes."""
        found = {kind: decode.in_original(each, samples.transforms) for kind, each in outputs.items()}
        return report.section(found, samples.annotations, self.classes, float(self.config.detect.score))

    def epoch_line(self, logs: dict[str, float]) -> str:
        """Returns the figures of an epoch for the terminal."""
        of_parts = " ".join(f"{name} {logs[name]:.2f}" for name in yolo_loss.Parts._fields)
        return f"loss {logs['loss']:.2f} ({of_parts})  val loss {logs['val_loss']:.2f}  val AP50 {logs['val_ap50']:.4f}"

    def line(self, folder: Path, result: dict[str, Any]) -> str:
        """Returns the line of a finished run."""
        test = result["test"]
        if test["ap50"] is None:
            return f"{folder}: no boxes in {counted(test['images'], 'test image')}, threshold {test['threshold']:.2f}"
        measured = f"{counted(test['images'], 'image')} with {counted(test['boxes'], 'box', 'boxes')}"
        val = result["val"]["ap50"]
        of_val = "" if val is None else f"val AP50 {100 * val:.1f} %, "
        return (
            f"{folder}: test AP50 {100 * test['ap50']:.1f} %{_worst(test['per_class'])} on {measured}, {of_val}"
            f"threshold {test['threshold']:.2f} (F1 {test['f1']:.2f}), {result['params']:,} parameters, "
            f"{result['macs']:,} MACs, "
            f"{result['images_per_second']:,.0f} images/s"
        )


def _worst(per_class: dict[str, dict[str, Any]]) -> str:
    """Returns in brackets the AP50 of the classes with the lowest, "" of a single class."""
    known = {name: row["ap50"] for name, row in per_class.items() if row["ap50"] is not None}
    if len(known) < 2:
        return ""
    shown = sorted(known, key=lambda name: known[name])[:WORST]
    lowest = "lowest: " * (len(known) > WORST)
    return f" ({lowest}{', '.join(f'{name} {100 * known[name]:.1f}' for name in shown)})"


class _Part(keras.metrics.Mean):
    """The mean over images of one part of the loss."""

    def __init__(self, task: Detection, part: str) -> None:
        super().__init__(name=part)
        self.task, self.part = task, part

    def update_state(self, targets: Any, outputs: Any, sample_weight: Any = None) -> None:
        """Adds a batch."""
        value = getattr(self.task.parts(targets, outputs), self.part)
        super().update_state(value, sample_weight=tf.shape(targets)[0])
