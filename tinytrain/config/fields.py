"""What every key of the schema is made with: its meaning, its range, and the limits that several keys share."""

from dataclasses import field
from typing import Any, Literal

Auto = Literal["auto"]
# The ends of the ranges are far beyond what makes sense, and near enough that no sum or product overflows.
MOST_IMAGES, MOST_EPOCHS, MOST_BATCH, MOST_TRIALS = 10**8, 10_000, 65_536, 10_000
MOST_RATE = 1000.0  # of learning rates
MOST_SEED = 2**32 - 1  # NumPy's generators take no more
MOST_WEIGHT = 1000.0  # of a part of a loss, of temperatures and of scales
# Of detectors, as published: boxes with LEAST_SCORE or more are measured, suppression begins with the MOST_BOXES best.
LEAST_SCORE, MOST_SCORE = 0.01, 0.99  # a threshold
MOST_BOXES = 400  # of an image
MOST_OF_ANCHOR = 16  # a side of a box, in sides of its anchor: in the firmware a product then fits 64 bits by far
FRAME_FORMATS = ("rgb888", "rgb565-le", "rgb565-be", "yuyv", "uyvy", "gray8")  # of cameras, as in tinytrain.h


def is_hundredths(value: float) -> bool:
    """Returns whether a number is a whole number of hundredths, as far as a float can be one."""
    return abs(100 * value - round(100 * value)) < 1e-6


def key(default: Any, meaning: str, minimum: float | None = None, maximum: float | None = None) -> Any:
    """Returns a dataclass field that carries its one-line meaning and its inclusive range.

    Args:
        default: its default; a tuple stands for a list.
        meaning: one line.
        minimum: the least value, of a list that of each item; None for a key that takes no numbers.
        maximum: the largest value, likewise.

    Raises:
        ValueError: one end of the range without the other: no check and no list could show it.
    """
    if (minimum is None) != (maximum is None):
        raise ValueError(f"a key with the default {default!r} has one end of its range only: give both or none")
    metadata = {"meaning": meaning, "minimum": minimum, "maximum": maximum}
    if isinstance(default, tuple):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
