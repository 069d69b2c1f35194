"""Distortion of brightness, contrast, saturation and hue, as GluonCV draws it for its detectors.

Each of the four happens to half of the images, in this order, and no level is clipped in between. So all four are one
linear map of a color, which may as well follow the resizing. GluonCV tosses a coin whether contrast comes before or
after saturation and hue; a factor of all channels can stand in any place, so that there is no coin here.
"""

import math

import numpy as np
import tensorflow as tf

from tinytrain.data.augment.generator import StatelessGenerator

BRIGHTNESS = 32.0  # levels
FACTORS = (0.5, 1.5)  # of contrast and saturation
HUE = math.radians(18)  # GluonCV turns by 18 times 180°, which is any hue at all
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32)
RGB = np.linalg.inv(YIQ)


def draw(random: StatelessGenerator, batch: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns random {"brightness" in levels, "contrast" and "saturation" as factors, "hue" in radians}, (B,) each."""
    ranges = {
        "brightness": (-BRIGHTNESS, BRIGHTNESS, 0.0),
        "contrast": (*FACTORS, 1.0),
        "saturation": (*FACTORS, 1.0),
        "hue": (-HUE, HUE, 0.0),
    }
    return {
        name: tf.where(random.uniform((batch,)) < 0.5, random.uniform((batch,), low, high), unchanged)
        for name, (low, high, unchanged) in ranges.items()
    }


def distort(images: tf.Tensor, distortion: dict[str, tf.Tensor]) -> tf.Tensor:
    """Returns images (B, H, W, C) float32 with another color, not clipped; gray ones have no saturation and no hue."""
    brightness, contrast = distortion["brightness"][:, None, None], distortion["contrast"][:, None, None]
    if images.shape[-1] == 1:
        matrix = contrast
    else:
        matrix = contrast * (_saturation(distortion["saturation"]) @ _hue(distortion["hue"]))
    return _mapped(images, matrix, brightness)


def _saturation(factor: tf.Tensor) -> tf.Tensor:
    """Returns (B, 3, 3), a map of rows (R, G, B) that blends a color with its luma as ImageEnhance.Color does."""
    luma = np.tile(YIQ[0][:, None], (1, 3))
    return luma + factor[:, None, None] * (np.eye(3, dtype=np.float32) - luma)


def _hue(angle: tf.Tensor) -> tf.Tensor:
    """Returns (B, 3, 3), a map of rows (R, G, B) that turns I and Q and keeps the luma."""
    zero, one, cosine, sine = tf.zeros_like(angle), tf.ones_like(angle), tf.cos(angle), tf.sin(angle)
    turn = tf.stack([one, zero, zero, zero, cosine, sine, zero, -sine, cosine], -1)
    return YIQ.T @ tf.reshape(turn, (-1, 3, 3)) @ RGB.T


@tf.function(jit_compile=True)  # one pass over memory
def _mapped(images: tf.Tensor, matrix: tf.Tensor, brightness: tf.Tensor) -> tf.Tensor:
    """Returns (images + brightness) · matrix, pixel by pixel."""
    brightened = images + brightness[..., None]
    rows = [
        brightened[..., channel, None] * row[:, None, None] for channel, row in enumerate(tf.unstack(matrix, axis=1))
    ]
    return tf.add_n(rows)
