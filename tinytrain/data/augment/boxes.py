"""Augmentation of images with boxes, pixels and boxes together: what SSD began and GluonCV's YOLOv3 is trained with.

Everything random is a function of (seed, step), as in `augmentation`. The layers of keras and keras_cv do not serve:
their crops know no least IoU, their MixUp gives no weights, and keras.layers.RandomCrop misplaces boxes.
"""

import numpy as np
import tensorflow as tf

from tinytrain.config.schema import Augment
from tinytrain.data.augment import box_color, box_geometry, box_mixing, iou_crop
from tinytrain.data.augment.generator import Share, StatelessGenerator


class BoxAugmentation:
    """Mixes, distorts, expands, crops, resizes and mirrors images, as far as [augment] asks for it.

    Args:
        config: the [augment] section of a config without "auto".
        resolution: side in pixels of the images that the network sees.
        mixing_steps: the step from which no images are mixed any more; None: there is none.
    """

    def __init__(self, config: Augment, resolution: int, mixing_steps: int | None = None) -> None:
        self.config, self.resolution, self.mixing_steps = config, resolution, mixing_steps

    def rows(self, rows: np.ndarray, batch: int) -> np.ndarray:
        """Returns the numbers of the images that are needed to augment those of `rows`: mixed ones need all others."""
        return np.concatenate([rows, np.setdiff1d(np.arange(batch), rows)]) if self.config.mixup else rows

    def __call__(
        self, pixels: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor, share: Share | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the augmented batch (pixels, targets).

        Args:
            pixels: (B, S, S, C) uint8.
            targets: (B, M, 6) float32: class (-1: no box), x0, y0, x1, y1 in pixels of these images, weight.
            seed: (2,) int64, the seed of the run and the step number.
            share: which images of a larger batch these are, those of `rows`; None: all of a batch.

        Returns:
            Those of `share.own`, if there is a share. The images, (B, resolution, resolution, C) uint8; the targets in
            pixels of these, (B, M, 6), or (B, 2M, 6) with `augment.mixup`, whose share of a box is its weight. A box of
            which less than a pixel, or not its centre, is left becomes padding.
        """
        config, resolution, side = self.config, self.resolution, pixels.shape[1]
        random, batch = StatelessGenerator(), tf.shape(pixels)[0]
        random.restart(seed, share)
        targets = box_geometry.move(targets, box_geometry.whole(batch, side), side)  # clips what lies outside
        if config.mixup:
            mixed = tf.constant(True) if self.mixing_steps is None else seed[1] < self.mixing_steps
            pixels, targets = box_mixing.mix(random, pixels, targets, config.mixup, mixed)
            random.share, batch = share and share.mixed, tf.shape(pixels)[0]
        regions = box_geometry.expand(random, batch, side, float(config.expand), config.expand_ratio)
        if config.iou_crop:
            regions = iou_crop.crop(random, regions, targets, resolution)
        resampled = box_geometry.resample(pixels, regions, resolution)
        if config.distort:
            resampled = box_color.distort(resampled, box_color.draw(random, batch))
        flipped = random.uniform((batch,)) < (0.5 if config.flip else 0.0)
        targets = box_geometry.move(targets, regions, resolution)
        return (
            box_geometry.finish(resampled, regions, flipped, side),
            box_geometry.flip(targets, flipped, resolution),
        )
