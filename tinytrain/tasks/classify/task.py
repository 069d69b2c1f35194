"""The task of classification: one-hot targets, cross-entropy of logits, top-1."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinytrain.config.schema import Augment, Config, Detect
from tinytrain.data import balance
from tinytrain.data.images import Samples
from tinytrain.data.source import counted
from tinytrain.errors import UserError
from tinytrain.tasks.classify import FIGURES, loss, metrics, report, training_metrics
from tinytrain.train.task import AUGMENT, Task

# Training images are augmented, which makes them harder, so a network that overfits may still show a smaller gap.
OVERFITS = 0.1  # of training top-1 above val


class Classification(Task):
    """One class for each image: annotations (N,) class indices, outputs (B, classes) logits."""

    name = "classify"
    figures = FIGURES
    augmentations = frozenset(AUGMENT) - {"distort", "expand", "expand_ratio", "iou_crop", "mix_off_epochs"}

    def __init__(self, config: Config, classes: list[str]) -> None:
        super().__init__(config, classes)
        self._loss = loss.build(config.optim.label_smoothing)

    def check(self) -> None:
        """Raises UserError for what the task cannot be trained with, and for keys that it does not read."""
        super().check()
        default = Detect()
        given = [field.name for field in dataclasses.fields(Detect)]
        given = [name for name in given if getattr(self.config.detect, name) != getattr(default, name)]
        if given:
            listed = ", ".join(f"detect.{name}" for name in given)
            raise UserError(f"the task {self.name} does not read {listed}: [detect] is for images with boxes")

    def augment(self) -> Augment:
        """Returns [augment] of the config, without the random resized crop if images are cropped as they are read."""
        augment = super().augment()
        return dataclasses.replace(augment, resized_crop=1.0) if self.config.data.decode_resolution else augment

    def head(self, network: keras.Model) -> keras.Model:
        """Returns `network`: every architecture ends with a classifier."""
        return network

    def encode(self, annotations: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
        """Returns (B, classes) one-hot float32; how an image was resized does not change its class."""
        return tf.one_hot(annotations, len(self.classes))

    def weigh(self, annotations: np.ndarray) -> None:
        """Weighs the classes by the training images if data.balance says so."""
        if self.config.data.balance == "class_weights":
            weights = balance.class_weights(annotations, len(self.classes))
            self._loss = loss.build(self.config.optim.label_smoothing, weights)

    def loss(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """Returns the mean cross-entropy, with label smoothing and class weights."""
        return self._loss(targets, outputs)

    def distillation(self, student: tf.Tensor, teacher: tf.Tensor, temperature: float) -> tf.Tensor:
        """Returns the mean cross-entropy of the student's probabilities with the teacher's (Hinton et al., 2015)."""
        taught = tf.nn.softmax(tf.cast(teacher, tf.float32) / temperature)
        losses = tf.nn.softmax_cross_entropy_with_logits(taught, tf.cast(student, tf.float32) / temperature)
        return tf.reduce_mean(losses)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns top-1 and the mean of the classes' own."""
        return [training_metrics.top1(), training_metrics.BalancedTop1(len(self.classes))]

    def evaluate(self, outputs: np.ndarray, samples: Samples) -> dict[str, Any]:
        """Returns what `metrics.summary` does of logits (N, classes)."""
        return metrics.summary(outputs, samples.annotations)

    def doubts(self, val: dict[str, Any], last: Mapping[str, float]) -> list[str]:
        """Returns that the network overfits, if it classifies many more of the training images right than of val."""
        main = self.figures.main
        train, of_val = last[main.key], last[f"val_{main.key}"]
        if train - of_val < OVERFITS:
            return []
        return [
            f"the network overfits: in the last epoch {main.label} was {100 * train:.1f} % in training and "
            f"{100 * of_val:.1f} % on val; docs/troubleshooting.md says what helps"
        ]

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the predicted classes (N,); of equal outputs the first."""
        return outputs.argmax(axis=1)

    def diagnosis(self, outputs: dict[str, np.ndarray | None], samples: Samples) -> list[dict[str, Any]]:
        """Returns for each class with images the share of them that is classified right by each kind of model."""
        annotations = samples.annotations
        recalls = {kind: None if each is None else metrics.recall(each, annotations) for kind, each in outputs.items()}
        images = np.bincount(annotations, minlength=len(self.classes))
        return [
            {"class": name, "images": int(images[number])}
            | {kind: None if each is None else float(each[number]) for kind, each in recalls.items()}
            for number, name in enumerate(self.classes)
            if images[number]
        ]

    def report(self, outputs: dict[str, np.ndarray], samples: Samples) -> report.Section:
        """Returns matrices, classes, pairs and images of the report, from the logits (N, classes) of each model."""
        probabilities = {kind: metrics.softmax(each) for kind, each in outputs.items()}
        predicted = {kind: self.decode(each) for kind, each in outputs.items()}
        return report.section(probabilities, predicted, samples.annotations, self.classes)

    def line(self, folder: Path, result: dict[str, Any]) -> str:
        """Returns the line of a finished run; what uneven classes hide in top-1 stands beside it."""
        test = result["test"]
        hides = abs(test["balanced_top1"] - test["top1"]) >= 0.01
        balanced = f" ({100 * test['balanced_top1']:.2f} % with all classes counted equally)" if hides else ""
        return (
            f"{folder}: test top-1 {100 * test['top1']:.2f} %{balanced} on {counted(test['images'], 'image')}, val "
            f"top-1 {100 * result['val']['top1']:.2f} %, {result['params']:,} parameters, {result['macs']:,} MACs, "
            f"{result['images_per_second']:,.0f} images/s"
        )
