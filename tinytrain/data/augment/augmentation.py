"""Augmentation of whole batches inside tf.data, as a pure function of the batch, the seed and the step number.

KerasCV layers draw from a stateful generator, whose numbers depend on all earlier draws. Here each layer gets a
generator that depends on (seed, step) only, so a resumed run draws the same numbers as an uninterrupted one.
"""

import keras_cv
import numpy as np
import tensorflow as tf

from tinytrain.config.schema import Augment
from tinytrain.data.augment import classical, mixing, policies
from tinytrain.data.augment.generator import Share, StatelessGenerator


class Augmentation:
    """Applies the augmentations that [augment] turns on, in the order of its keys.

    Args:
        config: the [augment] section of the config.
        resolution: the side of the images in pixels; `augment.crop` is a fraction of it.
    """

    def __init__(self, config: Augment, resolution: int) -> None:
        self.generator = StatelessGenerator()
        self.layers = _image_layers(config, resolution)
        self.mixing = _mixing(config)
        mixing_layers = [self.mixing, *getattr(self.mixing, "mixings", [])] if self.mixing else []
        for layer in [*self.layers, *mixing_layers]:
            layer._random_generator = self.generator

    def rows(self, rows: np.ndarray, batch: int) -> np.ndarray:
        """Returns the numbers of the images that are needed to augment those of `rows`, which are in a row.

        Mixing needs the partners, too. They come last, so that the reverse of all pairs each image with its own.
        """
        return np.concatenate([rows, np.sort(batch - 1 - rows)]) if self.mixing else rows

    def __call__(
        self, pixels: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor, share: Share | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the augmented batch (pixels, labels).

        Args:
            pixels: (B, H, W, C) uint8.
            labels: (B, classes) float32, one-hot.
            seed: (2,) int64, the seed of the run and the step number.
            share: which images of a larger batch these are, those of `rows`; None: all of a batch.

        Returns:
            The images, uint8, or float32 in 0..255 if they are mixed; the labels, mixed in the same proportions. With
            `share` those of `share.own`, as they would be in the whole batch.
        """
        self.generator.restart(seed, share)
        for layer in self.layers:
            pixels = layer(pixels)
        if self.mixing:
            self.generator.share = None  # a mixing draws for the batch, not for each image
            mixed = self.mixing({"images": pixels, "labels": labels})
            pixels, labels = mixed["images"], mixed["labels"]
            if share is not None:
                pixels, labels = pixels[: len(share.own)], labels[: len(share.own)]
        return pixels, labels


def _image_layers(config: Augment, resolution: int) -> list:
    layers: list = []
    if config.resized_crop < 1:
        layers.append(classical.RandomResizedCrop(config.resized_crop, dtype="uint8"))
    if config.small_crop < 1:
        layers.append(classical.RandomSmallCrop(config.small_crop, config.small_crop_probability, dtype="uint8"))
    if padding := round(config.crop * resolution):
        layers.append(classical.RandomPaddedCrop(padding, dtype="uint8"))
    if config.flip:
        layers.append(keras_cv.layers.RandomFlip("horizontal", dtype="uint8"))
    layers += _policies(config)
    jitter = (config.brightness, config.contrast, config.saturation, config.hue)
    if any(jitter):
        layers.append(classical.ColorJitter(jitter, config.jitter_probability, dtype="uint8"))
    if config.rotation:
        layers.append(classical.RandomRotation(config.rotation, config.rotation_probability, dtype="uint8"))
    if config.erasing:
        layers.append(classical.RandomErasing(config.erasing, dtype="uint8"))
    return layers


def _policies(config: Augment) -> list:
    layers: list = []
    if config.autoaugment:
        layers.append(policies.AutoAugment(dtype="uint8"))
    if config.randaugment:
        magnitude, probability = config.randaugment_magnitude, config.randaugment_probability
        layers.append(policies.RandAugment(config.randaugment, magnitude, probability, dtype="uint8"))
    if config.augmix:
        severity, width, depth = config.augmix_severity, config.augmix_width, config.augmix_depth
        layers.append(policies.AugMix(severity, width, depth, dtype="uint8"))
    return layers


def _mixing(config: Augment) -> mixing.Mixing | None:
    """Returns the layer that mixes each batch with itself; with several kinds, it draws one for each batch."""
    kinds = {mixing.MixUp: config.mixup, mixing.CutMix: config.cutmix, mixing.FMix: config.fmix}
    mixings = [kind(alpha) for kind, alpha in kinds.items() if alpha]
    if len(mixings) == 1 and config.mix_probability == 1:
        return mixings[0]
    return mixing.OneOf(mixings, config.mix_probability) if mixings else None
