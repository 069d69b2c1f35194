"""What a comparison with a teacher goes by: who underfits, how long the same time is, what pays. No TensorFlow."""

import math
import statistics
from collections.abc import Sequence

from tinytrain.config.fields import MOST_EPOCHS

FITS = 0.95  # training top-1 from which on a network has fitted its images
GAP = 0.03  # of training top-1 above val from which on a network overfits rather than underfits
NETAUG_COST = 3.2  # of a step with NetAug, in plain ones (docs/training-methods.md)
SAME_TIME = 1.25  # two times are the same if neither is more than so many times the other
CHANCE = 1.96  # standard errors: what two equal networks differ by in 95 of 100 cases is smaller


def underfits(train: float, val: float) -> bool:
    """Returns whether a network underfits, by its top-1 (0..1) on the training and the val images of its last epoch.

    Widening during training helps only such networks (NetAug, Cai et al., 2022, section 3). Training images are cropped
    and mirrored, so that val may be above.
    """
    return train < FITS and train - val < GAP


def equal_time_epochs(seconds: Sequence[float], budget: float, start: float = 0.0) -> int:
    """Returns for how many epochs a network can be trained in a time, at least as many as it was.

    What its epochs took beyond the median (of two, the quicker one), mostly to compile the step, is paid once.

    Args:
        seconds: of each epoch that it was trained for.
        budget: the seconds that there are.
        start: the seconds that its training takes before the first epoch.
    """
    epoch = statistics.median_low(seconds)
    once = start + max(sum(seconds) - len(seconds) * epoch, 0.0)
    return min(max(math.floor((budget - once) / epoch), len(seconds)), MOST_EPOCHS)


def expected_seconds(plain: float, ratio: float, is_trained: bool) -> float:
    """Returns about how long a comparison takes at most: with NetAug, and where time grows as the MACs do.

    Args:
        plain: seconds of the plain student.
        ratio: MACs of the teacher over those of the student.
        is_trained: whether the plain student is there already.
    """
    teacher, teaches = ratio * plain, ratio * plain / 3  # a forward pass is a third of a step
    distilled, netaug = plain + teaches, NETAUG_COST * plain + teaches
    longer = teacher + netaug
    return teacher + distilled + netaug + longer + (0.0 if is_trained else plain)


def is_same_time(first: float, second: float) -> bool:
    """Returns whether two times in seconds are about the same; those of a busy machine may not be as planned."""
    return max(first, second) <= SAME_TIME * min(first, second)


def chance(first: float, second: float, images: int) -> float:
    """Returns the difference of two accuracies, 0..1, that chance alone reaches in one of twenty cases.

    Args:
        first: an accuracy, 0..1, on images drawn at random.
        second: another one.
        images: how many they were measured on.
    """
    return CHANCE * math.sqrt((first * (1 - first) + second * (1 - second)) / images)
