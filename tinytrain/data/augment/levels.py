"""Maps a level 0 to 10 to the argument of an operation, as timm's auto_augment.py does (methods.md C.4, E).

A variant is an operation with such a scale. Some get stronger with the level ("Increasing"), others weaker; the papers
differ in which they use. `keras_cv` and `keras` have other operations and scales (methods.md F.20).
"""

from collections.abc import Callable

import tensorflow as tf

from tinytrain.data.augment import operations
from tinytrain.data.augment.generator import StatelessGenerator

Scale = Callable[[tf.Tensor, tf.Tensor, int, int], tf.Tensor]  # (level (B,), sign (B,), height, width) -> argument (B,)


def _linear(factor: float) -> Scale:
    # The sign comes last: TensorFlow's optimizer multiplies constants first, and a graph must round as eager code does.
    return lambda level, sign, height, width: sign * (level * factor)


def _blend(level: tf.Tensor, sign: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return 0.1 + level * 0.18


def _blend_increasing(level: tf.Tensor, sign: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return tf.maximum(0.1, 1.0 + sign * (level * 0.09))


def _capped(factor: float, highest: float) -> Scale:
    return lambda level, sign, height, width: tf.minimum(highest, tf.floor(level * factor))


def _offset(start: float, factor: float) -> Scale:
    return lambda level, sign, height, width: start + tf.floor(abs(factor) * level) * (1.0 if factor > 0 else -1.0)


VARIANTS: dict[str, tuple[str, Scale]] = {
    **{name: (name, _linear(0.0)) for name in ("Identity", "AutoContrast", "Equalize", "Invert")},
    "Rotate": ("Rotate", _linear(3.0)),
    "Posterize": ("Posterize", _capped(0.4, 4.0)),
    "PosterizeIncreasing": ("Posterize", _offset(4.0, -0.4)),
    "PosterizeOriginal": ("Posterize", _offset(4.0, 0.4)),
    "Solarize": ("Solarize", _capped(25.6, 256.0)),
    "SolarizeIncreasing": ("Solarize", _offset(256.0, -25.6)),
    "SolarizeAdd": ("SolarizeAdd", _capped(11.0, 128.0)),
    **{name: (name, _blend) for name in ("Color", "Contrast", "Brightness", "Sharpness")},
    **{f"{name}Increasing": (name, _blend_increasing) for name in ("Color", "Contrast", "Brightness", "Sharpness")},
    "ShearX": ("ShearX", _linear(0.03)),
    "ShearY": ("ShearY", _linear(0.03)),
    "TranslateXRel": ("TranslateX", lambda level, sign, height, width: sign * (level * (0.045 * width))),
    "TranslateYRel": ("TranslateY", lambda level, sign, height, width: sign * (level * (0.045 * height))),
}


class OperationSet:
    """The operations that a policy chooses from.

    Args:
        variants: keys of VARIANTS.

    Attributes:
        names: the operations that the variants need in the graph, after "Identity".
        numbers: for each variant, the number of its operation.
    """

    def __init__(self, variants: tuple[str, ...]) -> None:
        self.variants = variants
        self.names = ("Identity", *dict.fromkeys(VARIANTS[variant][0] for variant in variants))
        self.numbers = [operations.number(VARIANTS[variant][0]) for variant in variants]

    def draw(
        self, generator: StatelessGenerator, choice: tf.Tensor, level: tf.Tensor, height: int, width: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the operations and their arguments, with signs drawn from `generator`.

        Args:
            generator: draws the signs.
            choice: (N,) int32, indices into `variants`.
            level: (N,) float32, 0 to 10.
            height: of the images, in pixels.
            width: of the images, in pixels.

        Returns:
            operation (N,) int32, argument (N,) float32.
        """
        sign = generator.sign(tf.shape(choice))
        scaled = tf.stack([VARIANTS[variant][1](level, sign, height, width) for variant in self.variants], 1)
        return tf.gather(self.numbers, choice), tf.gather(scaled, choice, batch_dims=1)
