"""RandAugment, AugMix and AutoAugment as the papers' code has them (timm), on whole batches.

keras_cv.layers and keras.layers compute something else (methods.md F.20): magnitudes on another scale, other
operations, no probability of 0.5 in RandAugment, in keras.layers one choice for a whole batch. One difference of ours
to timm: it interpolates bilinearly or bicubically by the toss of a coin, ours always bilinearly.
"""

from typing import Any

import tensorflow as tf

from tinytrain.data.augment import operations
from tinytrain.data.augment.generator import BatchLayer
from tinytrain.data.augment.levels import Drawn

RAND_AUGMENT = Drawn(
    (
        *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color", "Contrast"),
        *("Brightness", "Sharpness", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"),
    )
)
AUG_MIX = Drawn(
    (
        *("AutoContrast", "ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing"),
        *("Equalize", "PosterizeIncreasing", "SolarizeIncreasing", "ShearX", "ShearY"),
        *("TranslateXRel", "TranslateYRel"),
    )
)
# The 25 sub-policies of Cubuk et al., AutoAugment (2019), table 9: (operation, probability, level) twice.
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
AUTO_AUGMENT = Drawn(tuple(dict.fromkeys(name for pair in IMAGENET_POLICY for name, _, _ in pair)))


class Policy(BatchLayer):
    """Draws for each image a row of operations and applies them one after the other."""

    drawn: Drawn

    def augment_images(self, images: tf.Tensor, transformations: dict, **kwargs: Any) -> tf.Tensor:
        """Returns uint8 images (B, H, W, C) after operations (rounds, B) with arguments (rounds, B)."""
        for operation, argument in zip(
            tf.unstack(transformations["operation"]), tf.unstack(transformations["argument"]), strict=True
        ):
            images = operations.apply(images, operation, argument, self.drawn.names)
        return images


class RandAugment(Policy):
    """RandAugment(N, M) (Cubuk et al. 2020) as timm's rand-mM-nN: N of 15 operations, each with 0.5."""

    drawn = RAND_AUGMENT

    def __init__(self, count: int, magnitude: float, probability: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count, self.magnitude, self.probability = count, magnitude, probability

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"operation": (N, B) int32, "argument": (N, B) float32}."""
        random, total = self._random_generator, self.count * batch_size
        choice = random.uniform((total,), 0, len(self.drawn.variants), tf.int32)
        level = tf.fill((total,), float(self.magnitude))
        operation, argument = self.drawn.draw(random, choice, level, images.shape[1], images.shape[2])
        operation = tf.where(random.uniform((total,)) < self.probability, operation, 0)  # 0 is Identity
        shape = (self.count, batch_size)
        return {"operation": tf.reshape(operation, shape), "argument": tf.reshape(argument, shape)}


class AutoAugment(Policy):
    """AutoAugment (Cubuk et al. 2019), ImageNet policy: one of 25 pairs of operations with their own probabilities."""

    drawn = AUTO_AUGMENT

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"operation": (2, B) int32, "argument": (2, B) float32}."""
        random = self._random_generator
        pair = random.uniform((batch_size,), 0, len(IMAGENET_POLICY), tf.int32)
        rounds = []
        for position in range(2):
            names, probabilities, levels = zip(*(pairs[position] for pairs in IMAGENET_POLICY), strict=True)
            choice = tf.gather([self.drawn.variants.index(name) for name in names], pair)
            level = tf.gather([float(level) for level in levels], pair)
            operation, argument = self.drawn.draw(random, choice, level, images.shape[1], images.shape[2])
            applied = random.uniform((batch_size,)) < tf.gather(probabilities, pair)
            rounds.append((tf.where(applied, operation, 0), argument))
        operation, argument = zip(*rounds, strict=True)
        return {"operation": tf.stack(operation), "argument": tf.stack(argument)}


class AugMix(BatchLayer):
    """AugMix (Hendrycks et al. 2020) without its consistency loss, as timm's augmix-m5-w3 (methods.md C.4).

    chain_i = 1 to 3 operations (or `depth` of them), each at a level drawn from U(0, severity)
    image := (1 − m) · image + m · Σ w_i · chain_i(image),  w ~ Dirichlet(1, …, 1) over `width` chains, m ~ Beta(1, 1)
    """

    drawn = AUG_MIX

    def __init__(self, severity: float = 5.0, width: int = 3, depth: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.severity, self.width, self.depth = severity, width, depth
        self.rounds = depth or 3

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **kwargs: Any) -> dict:
        """Returns {"operation", "argument": (rounds, width·B), "weights": (width, B), "strength": (B,)}."""
        random, chains = self._random_generator, self.width * batch_size
        total = self.rounds * chains
        choice = random.uniform((total,), 0, len(self.drawn.variants), tf.int32)
        level = random.uniform((total,), 0.0, self.severity)
        operation, argument = self.drawn.draw(random, choice, level, images.shape[1], images.shape[2])
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
            chains = operations.apply(chains, operation, argument, self.drawn.names)
        return blend(images, chains, transformations["weights"], transformations["strength"])


@tf.function(jit_compile=True)  # one pass over the memory
def blend(images: tf.Tensor, chains: tf.Tensor, weights: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Returns (1 − strength) · images + strength · Σ weights · chains, truncated to uint8 twice as timm does.

    images (B, H, W, C) and chains (width·B, H, W, C) uint8, weights (width, B), strength (B,).
    """
    chains = tf.reshape(chains, (weights.shape[0], *images.shape))
    mixed = tf.add_n([tf.cast(chains[i], tf.float32) * _spread(weights[i]) for i in range(weights.shape[0])])
    mixed = tf.floor(tf.clip_by_value(mixed + 1e-3, 0.0, 255.0))  # weights sum to 1 up to rounding: no white is 254
    before = tf.cast(images, tf.float32)
    return tf.cast(before + _spread(strength) * (mixed - before), tf.uint8)


def _spread(values: tf.Tensor) -> tf.Tensor:
    return values[:, None, None, None]
