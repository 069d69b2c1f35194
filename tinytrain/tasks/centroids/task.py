"""The task of the head `centroid`: a class for each cell, measured by F1 of centres that are close enough."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinytrain.data import boxes
from tinytrain.data.images import Samples
from tinytrain.data.source import counted
from tinytrain.tasks.centroids import FIGURES, decode, loss, report
from tinytrain.tasks.detect.centroids import best_threshold, centroid_f1
from tinytrain.tasks.detect.task import Detection


class Centroids(Detection):
    """Centres of objects: annotations as detection has them, one output (B, rows, columns, 1 + classes)."""

    name = "centroids"
    figures = FIGURES
    meaning = ("strides",)

    def loss(self, targets: tf.Tensor, outputs: Any) -> tf.Tensor:
        """Returns the mean over cells of their cross-entropy, where cells with an object weigh more."""
        (logits,) = tf.nest.flatten(outputs)
        return loss.of_cells(targets, logits, self.side, self.config.optim.label_smoothing)

    def distillation(self, student: Any, teacher: Any, temperature: float) -> tf.Tensor:
        """Returns the mean over cells of the cross-entropy with the teacher's probabilities."""
        (own,), (taught,) = (
            [tf.cast(each, tf.float32) / temperature for each in tf.nest.flatten(outputs)]
            for outputs in (student, teacher)
        )
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(taught), own))

    def metrics(self) -> list[keras.metrics.Metric]:
        """Returns none: the figures are of the whole split."""
        return []

    @property
    def side(self) -> int:
        """Of the network's images, in pixels."""
        return int(self.config.model.resolution)

    def keep(self, outputs: Any) -> tf.Tensor:
        """Returns the cells with an object (B, D, 6) of a batch as detections, down to LEAST_SCORE."""
        (logits,) = tf.nest.flatten(outputs)
        return decode.detections(logits, self.side, self.config.detect.boxes)

    def evaluate(self, outputs: np.ndarray, samples: Samples) -> dict[str, Any]:
        """Returns what metrics.json holds of a split: figures of all classes at the threshold, and of each class."""
        found, annotations = self.compared(outputs, samples)
        score = self.config.detect.score
        threshold = self.best_score(found, annotations) if score == "auto" else float(score)
        per_class = {name: _of_class(found, annotations, label, threshold) for label, name in enumerate(self.classes)}
        return centroid_f1(found, annotations, threshold=threshold) | {
            "per_class": per_class,
            "threshold": threshold,
            "images": len(annotations),
            "boxes": sum(row["boxes"] for row in per_class.values()),
        }

    def compared(self, outputs: np.ndarray, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
        """Returns the detections and the annotations in pixels of the network's image, as the firmware knows no other.

        How near a centre has to be follows from the cell, which is a square there, whatever the shape of the original.
        """
        return outputs, boxes.transformed(samples.annotations, samples.transforms)

    def best_score(self, found: np.ndarray, annotations: np.ndarray) -> float:
        """Returns the score with the largest F1."""
        return best_threshold(found, annotations)

    def measure(self, outputs: np.ndarray, samples: Samples) -> float:
        """Returns F1 of what `keep` gives, at the threshold of the config, 0..1; 0 where nothing is to be found."""
        return self.evaluate(outputs, samples)["f1"] or 0.0

    def report(self, outputs: dict[str, Any], samples: Samples) -> Any:
        """Returns the section of the report about centres."""
        annotations = boxes.transformed(samples.annotations, samples.transforms)
        return report.section(outputs, annotations, self.classes, float(self.config.detect.score))

    def epoch_line(self, logs: dict[str, float]) -> str:
        """Returns the figures of an epoch for the terminal."""
        figures = f"val F1 {logs['val_f1']:.4f}  val recall {logs['val_recall']:.4f}"
        return f"loss {logs['loss']:.4f}  val loss {logs['val_loss']:.4f}  {figures}"

    def line(self, folder: Path, result: dict[str, Any]) -> str:
        """Returns the line of a finished run."""
        test = result["test"]
        if not test["boxes"]:
            return f"{folder}: no boxes in {counted(test['images'], 'test image')}, threshold {test['threshold']:.2f}"
        measured = f"{counted(test['images'], 'image')} with {counted(test['boxes'], 'box', 'boxes')}"
        return (
            f"{folder}: test F1 of centres {test['f1']:.2f} (recall {test['recall']:.2f}) on {measured}, "
            f"threshold {test['threshold']:.2f}, counts off by "
            f"{test['count_error']:.2f} an image, {result['params']:,} parameters, {result['macs']:,} MACs, "
            f"{result['images_per_second']:,.0f} images/s"
        )


def _of_class(found: np.ndarray, annotations: np.ndarray, label: int, threshold: float) -> dict[str, Any]:
    """Returns {"f1", "boxes", "precision", "recall"} of one class."""
    others = annotations[..., boxes.CLASS] != label
    own = np.where(others[..., None], float(boxes.NO_BOX), annotations)
    own_found = np.where(found[..., 5:] != label, float(boxes.NO_BOX), found)
    row = centroid_f1(own_found, own, threshold=threshold)
    counted = int((~others & (annotations[..., boxes.FLAG] == boxes.NORMAL)).sum())
    return {"f1": row["f1"], "boxes": counted, "precision": row["precision"], "recall": row["recall"]}
