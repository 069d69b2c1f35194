"""RandAugment, AugMix and AutoAugment as in timm, which the papers' code uses, on whole batches.

The layers of keras_cv and keras differ (methods.md F.20): other operations, magnitudes on another scale, RandAugment
without its probability of 0.5 and, in keras, one choice for a whole batch. Here one thing differs from timm, which
chooses bilinear or bicubic interpolation at random: this is always bilinear.
"""

from typing import Any

import tensorflow as tf

from tinytrain.data.augment import operations
from tinytrain.data.augment.generator import BatchLayer
from tinytrain.data.augment.levels import OperationSet

RAND_AUGMENT = OperationSet(
    (
        *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color", "Contrast"),
        *("Brightness", "Sharpness", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"),
    )
)
AUG_MIX = OperationSet(
    (
        *("AutoContrast", "ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing"),
        *("Equalize", "PosterizeIncreasing", "SolarizeIncreasing", "ShearX", "ShearY"),
        *("TranslateXRel", "TranslateYRel"),
    )
)
# The 25 sub-policies of AutoAugment (Cubuk et al. 2019, table 9): two of (operation, probability, level) each.
IMAGENET_POLICY = (
    (("PosterizeOriginal", 0.4, 8), ("Rotate", 0.6, 9)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 5)),
    (("Equalize", 0.8, 8), ("Equalize", 0.6, 3)),
    (("PosterizeOriginal", 0.6, 7), ("PosterizeOriginal", 0.6, 6)),
    (("Equalize", 0.4, 7), ("Solarize", 0.2, 4)),
    (("Equalize", 0.4, 4), ("Rotate", 0.8, 8)),
    (("Solarize", 0.6, 3), ("Equalize", 0.6, 7)),
    (("PosterizeOriginal", 0.8, 5), ("Equalize", 1.0, 2)),
    (("Rotate", 0.2, 3), ("Solarize", 0.6, 8)),
    (("Equalize", 0.6, 8), ("PosterizeOriginal", 0.4, 6)),
    (("Rotate", 0.8, 8), ("Color", 0.4, 0)),
    (("Rotate", 0.4, 9), ("Equalize", 0.6, 2)),
    (("Equalize", 0.0, 7), ("Equalize", 0.8, 8)),
    (("Invert", 0.6, 4), ("Equalize", 1.0, 8)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Rotate", 0.8, 8), ("Color", 1.0, 2)),
    (("Color", 0.8, 8), ("Solarize", 0.8, 7)),
    (("Sharpness", 0.4, 7), ("Invert", 0.6, 8)),
    (("ShearX", 0.6, 5), ("Equalize", 1.0, 9)),
    (("Color", 0.4, 0), ("Equalize", 0.6, 3)),
    (("Equalize", 0.4, 7), ("Solarize", 0.2, 4)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 5)),
    (("Invert", 0.6, 4), ("Equalize", 1.0, 8)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Equalize", 0.8, 8), ("Equalize", 0.6, 3)),
)
AUTO_AUGMENT = OperationSet(tuple(dict.fromkeys(name for pair in IMAGENET_POLICY for name, _, _ in pair)))


class Policy(BatchLayer):
    """Draws a sequence of operations for each image and applies them one after the other."""

    operation_set: OperationSet

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the images (B, H, W, C) uint8 after "operation" (rounds, B) with "argument" (rounds, B)."""
        for operation, argument in zip(
            tf.unstack(transformations["operation"]), tf.unstack(transformations["argument"]), strict=True
        ):
            images = operations.apply(images, operation, argument, self.operation_set.names)
        return images


class RandAugment(Policy):
    """RandAugment (Cubuk et al. 2020) as timm's rand-mM-nN.

    Args:
        count: N, how many of the 15 operations are drawn for an image.
        magnitude: M, their level, 0 to 10.
        probability: that a drawn operation is applied.
        **kwargs: of the Keras layer.
    """

    operation_set = RAND_AUGMENT

    def __init__(self, count: int, magnitude: float, probability: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count, self.magnitude, self.probability = count, magnitude, probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"operation": (N, B) int32, "argument": (N, B) float32}."""
        random, total = self._random_generator, self.count * batch_size
        choice = random.uniform((total,), 0, len(self.operation_set.variants), tf.int32)
        level = tf.fill((total,), float(self.magnitude))
        operation, argument = self.operation_set.draw(random, choice, level, images.shape[1], images.shape[2])
        operation = tf.where(random.uniform((total,)) < self.probability, operation, 0)  # 0 is Identity
        shape = (self.count, batch_size)
        return {"operation": tf.reshape(operation, shape), "argument": tf.reshape(argument, shape)}


class AutoAugment(Policy):
    """AutoAugment (Cubuk et al. 2019), ImageNet policy: one of 25 pairs of operations, each with its probability."""

    operation_set = AUTO_AUGMENT

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"operation": (2, B) int32, "argument": (2, B) float32}."""
        random = self._random_generator
        pair = random.uniform((batch_size,), 0, len(IMAGENET_POLICY), tf.int32)
        rounds = []
        for position in range(2):
            names, probabilities, levels = zip(*(pairs[position] for pairs in IMAGENET_POLICY), strict=True)
            choice = tf.gather([self.operation_set.variants.index(name) for name in names], pair)
            level = tf.gather([float(level) for level in levels], pair)
            operation, argument = self.operation_set.draw(random, choice, level, images.shape[1], images.shape[2])
            applied = random.uniform((batch_size,)) < tf.gather(probabilities, pair)
            rounds.append((tf.where(applied, operation, 0), argument))
        operation, argument = zip(*rounds, strict=True)
        return {"operation": tf.stack(operation), "argument": tf.stack(argument)}


class AugMix(BatchLayer):
    """AugMix (Hendrycks et al. 2020) without its consistency loss, as timm's augmix-m5-w3 (methods.md C.4).

    chain_i = 1 to 3 operations (or `depth` of them), each at a level from U(0, severity)
    result = (1 − m) · image + m · Σ w_i · chain_i(image),  w ~ Dirichlet(1, …, 1) over `width` chains, m ~ Beta(1, 1)

    Args:
        severity: the highest level.
        width: the number of chains.
        depth: operations in a chain; 0: 1 to 3, drawn for each chain.
        **kwargs: of the Keras layer.
    """

    operation_set = AUG_MIX

    def __init__(self, severity: float = 5.0, width: int = 3, depth: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.severity, self.width, self.depth = severity, width, depth
        self.rounds = depth or 3

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"operation", "argument": (rounds, width·B), "weights": (width, B), "strength": (B,)}."""
        random, chains = self._random_generator, self.width * batch_size
        total = self.rounds * chains
        choice = random.uniform((total,), 0, len(self.operation_set.variants), tf.int32)
        level = random.uniform((total,), 0.0, self.severity)
        operation, argument = self.operation_set.draw(random, choice, level, images.shape[1], images.shape[2])
        operation = tf.reshape(operation, (self.rounds, chains))
        if not self.depth:
            depth = random.uniform((chains,), 1, 4, tf.int32)
            operation = tf.where(tf.range(self.rounds)[:, None] < depth, operation, 0)  # 0 is Identity
        return {
            "operation": operation,
            "argument": tf.reshape(argument, (self.rounds, chains)),
            "weights": tf.transpose(random.dirichlet((batch_size, self.width), 1.0)),
            "strength": random.uniform((batch_size,)),  # Beta(1, 1)
        }

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns the mixed images, (B, H, W, C) uint8."""
        chains = tf.concat([images] * self.width, 0)
        for operation, argument in zip(
            tf.unstack(transformations["operation"]), tf.unstack(transformations["argument"]), strict=True
        ):
            chains = operations.apply(chains, operation, argument, self.operation_set.names)
        return blend(images, chains, transformations["weights"], transformations["strength"])


@tf.function(jit_compile=True)  # one pass over memory
def blend(images: tf.Tensor, chains: tf.Tensor, weights: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Returns (1 − strength) · images + strength · Σ weights · chains, truncated to uint8 twice as in timm.

    Args:
        images: (B, H, W, C) uint8.
        chains: (width·B, H, W, C) uint8.
        weights: (width, B).
        strength: (B,).
    """
    chains = tf.reshape(chains, (weights.shape[0], *images.shape))
    mixed = tf.add_n([tf.cast(chains[i], tf.float32) * _per_image(weights[i]) for i in range(weights.shape[0])])
    # The weights sum to 1 only up to rounding: without the 1e-3, white could become 254.
    mixed = tf.floor(tf.clip_by_value(mixed + 1e-3, 0.0, 255.0))
    original = tf.cast(images, tf.float32)
    return tf.cast(original + _per_image(strength) * (mixed - original), tf.uint8)


def _per_image(values: tf.Tensor) -> tf.Tensor:
    """Returns values (B,) as (B, 1, 1, 1)."""
    return values[:, None, None, None]
