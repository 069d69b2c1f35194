"""Augmentation of whole batches inside tf.data, drawn from the seed and the number of the step.

KerasCV layers draw from a stateful generator, whose numbers depend on what was drawn before; here each layer is handed
a generator that is a pure function of (seed, step), so that a resumed run draws what an uninterrupted one would.
"""

import keras_cv
import tensorflow as tf

from tinytrain.config.schema import Augment
from tinytrain.data.augment import classical, mixing, policies
from tinytrain.data.augment.generator import StatelessGenerator


class Augmentation:
    """The layers that [augment] asks for, in the order of its keys. Call it with a batch and a seed."""

    def __init__(self, config: Augment, resolution: int) -> None:
        self.generator = StatelessGenerator()
        self.layers = _image_layers(config, resolution)
        self.mixing = _mixing(config)
        mixings = [self.mixing, *getattr(self.mixing, "mixings", [])] if self.mixing else []
        for layer in [*self.layers, *mixings]:
            layer._random_generator = self.generator

    def __call__(self, pixels: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the augmented batch (pixels, labels) from `seed` (2,) int64 = (seed of the run, step).

        pixels: (B, H, W, C) uint8; float32 levels 0 to 255 come back where images are mixed, else uint8.
        labels: (B, classes) one-hot float32; mixed as the images are.
        """
        self.generator.restart(seed)
        for layer in self.layers:
            pixels = layer(pixels)
        if self.mixing:
            mixed = self.mixing({"images": pixels, "labels": labels})
            pixels, labels = mixed["images"], mixed["labels"]
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
    """Returns what mixes a batch with itself: none, one, or one of several drawn for each batch."""
    kinds = {mixing.MixUp: config.mixup, mixing.CutMix: config.cutmix, mixing.FMix: config.fmix}
    asked = [kind(alpha) for kind, alpha in kinds.items() if alpha]
    if len(asked) == 1 and config.mix_probability == 1:
        return asked[0]
    return mixing.OneOf(asked, config.mix_probability) if asked else None
