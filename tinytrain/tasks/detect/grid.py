"""The positions that a detector predicts at: every anchor of every cell of every output, in the order of the outputs.

The order is that of the firmware: largest stride first, then row, column, anchor.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from tinytrain.config.fields import MOST_OF_ANCHOR
from tinytrain.config.schema import Config
from tinytrain.data import anchors

COLUMN, ROW, STRIDE, ANCHOR_WIDTH, ANCHOR_HEIGHT = range(5)  # columns of `Grid.positions`
BOX, OBJECT, CLASSES = slice(0, 4), 4, slice(5, None)  # channels of a position


@dataclass(frozen=True)
class Grid:
    """Positions of a network with images of `side` pixels.

    side: in pixels; anchors: {stride: (A, 2) width and height in pixels}, largest stride first; classes: how many.
    """

    side: int
    anchors: dict[int, np.ndarray]
    classes: int

    @classmethod
    def of(cls, config: Config, classes: int) -> "Grid":
        """Returns the grid of a config without "auto"."""
        detect = config.detect
        flat, strides = list(map(float, detect.anchors)), list(map(int, detect.strides))
        by_stride = anchors.by_stride(flat, strides, detect.anchors_per_scale)
        ordered = {stride: by_stride[stride] for stride in sorted(by_stride, reverse=True)}
        return cls(int(config.model.resolution), ordered, classes)

    @cached_property
    def positions(self) -> np.ndarray:
        """(P, 5) float32: column, row, stride, width and height of the anchor."""
        parts = []
        for stride, sizes in self.anchors.items():
            cells = self.side // stride
            rows, columns, numbers = np.meshgrid(range(cells), range(cells), range(len(sizes)), indexing="ij")
            places = [columns, rows, np.full_like(rows, stride), sizes[numbers, 0], sizes[numbers, 1]]
            parts.append(np.stack(places, axis=-1).reshape(-1, 5))
        return np.concatenate(parts).astype(np.float32)

    @cached_property
    def firsts(self) -> dict[int, int]:
        """{stride: the number of its first position}."""
        counts = [(self.side // stride) ** 2 * len(sizes) for stride, sizes in self.anchors.items()]
        return dict(zip(self.anchors, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))

    def predictions(self, outputs: list[tf.Tensor]) -> tf.Tensor:
        """Returns outputs (B, rows, columns, A·(5 + K)), one or a list of them, as (B, P, 5 + K) float32."""
        parts = [tf.reshape(output, (tf.shape(output)[0], -1, 5 + self.classes)) for output in tf.nest.flatten(outputs)]
        return tf.cast(tf.concat(parts, axis=1), tf.float32)

    def boxes(self, predictions: tf.Tensor) -> tf.Tensor:
        """Returns the boxes (B, P, 4), x0, y0, x1, y1 in pixels, of predictions (B, P, 5 + K), as YOLOv3 decodes them.

        Centre (σ(t) + cell)·stride, size anchor·e^t but at most MOST_OF_ANCHOR anchors.
        """
        positions = tf.constant(self.positions)
        centre = (tf.sigmoid(predictions[..., :2]) + positions[:, COLUMN : ROW + 1]) * positions[:, STRIDE, None]
        largest = float(np.log(MOST_OF_ANCHOR))
        size = positions[:, ANCHOR_WIDTH:] * tf.exp(tf.minimum(predictions[..., 2:4], largest))
        return tf.concat([centre - size / 2, centre + size / 2], axis=-1)
