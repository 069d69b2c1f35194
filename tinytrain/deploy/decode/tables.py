"""Functions of one int8 value as tables of 256 integers: what a firmware without a float looks up.

They are computed in float64, one value at a time, so that every machine writes the same.
"""

import math
from collections.abc import Callable

import numpy as np

from tinytrain.config.fields import MOST_OF_ANCHOR
from tinytrain.deploy.decode.boxes import ONE, rounded

SIDE_ONE = 2**16  # a box as large as its anchor


def sigmoids(scale: float, zero_point: int, gain: float = 1.0) -> np.ndarray:
    """Returns ONE times the sigmoid of gain · scale · (q - zero_point) for q = -128 … 127: (256,) uint16."""

    def sigmoid(q: int) -> float:
        value = gain * scale * (q - zero_point)
        # exp of what is negative: it does not overflow
        return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))

    return _table(lambda q: ONE * sigmoid(q), range(-128, 128)).astype(np.uint16)


def exponentials(scale: float, zero_point: int) -> np.ndarray:
    """Returns SIDE_ONE times e to scale · (q - zero_point), but at most MOST_OF_ANCHOR, for q = -128 … 127.

    Returns: (256,) uint32.
    """
    largest = math.log(MOST_OF_ANCHOR)
    return _table(lambda q: SIDE_ONE * math.exp(min(scale * (q - zero_point), largest)), range(-128, 128))


def falling_exponentials(scale: float) -> np.ndarray:
    """Returns ONE times e to -scale · d for d = 0 … 255, the distance to the largest of some values: (256,) uint16."""
    return _table(lambda distance: ONE * math.exp(-scale * distance), range(256)).astype(np.uint16)


def _table(function: Callable[[int], float], values: range) -> np.ndarray:
    return np.array([rounded(function(value)) for value in values], np.uint32)
