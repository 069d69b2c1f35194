"""What paired differences say: the t interval of their mean, and whether it leaves out 0."""

import math
import statistics
from collections.abc import Sequence

LEVEL = 0.95


def interval(differences: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Returns the t interval of the mean of `differences`, in their unit, or None where there is none.

    There is none with fewer than two of them, and where all are equal: accuracies are counted in whole images, and two
    pairs that differ by the same number of them say nothing of how much a third would.

    Args:
        differences: of pairs that differ in the one thing compared, such as two trainings with the same seed.
        level: in how many of many such comparisons the interval holds the true difference, 0..1.

    It assumes that pairs are independent of each other and about normally distributed. With n pairs it is
    mean ± t · s / √n, s the sample standard deviation and t the quantile of Student's distribution with n - 1 degrees
    of freedom: 12.7 for two pairs, 4.3 for three.
    """
    if len(differences) < 2 or math.isclose(min(differences), max(differences), rel_tol=1e-9, abs_tol=1e-12):
        return None
    from scipy import stats  # a second to import, needed only where trainings are compared

    mean = statistics.mean(differences)
    margin = float(stats.t.ppf((1 + level) / 2, len(differences) - 1)) * statistics.stdev(differences)
    margin /= len(differences) ** 0.5
    return mean - margin, mean + margin


def sign(differences: Sequence[float], level: float = LEVEL) -> int:
    """Returns 1 or -1 where `interval` is above or below 0, 0 where it holds 0 or where there is none."""
    low, high = interval(differences, level) or (0, 0)
    return 1 if low > 0 else -1 if high < 0 else 0
