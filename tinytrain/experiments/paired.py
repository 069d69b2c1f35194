"""Paired differences: the t interval of their mean, its sign, and what can be said of them."""

import math
import statistics
from collections.abc import Sequence

LEVEL = 0.95
ALIKE = "cannot be told apart"
EQUAL = "all seeds differ by the same"  # which does not show how much another one would vary


def interval(differences: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """Returns the t interval (confidence interval) of the mean of paired differences.

    The pairs are assumed to be independent of each other, and their differences about normally distributed. With n
    pairs the interval is mean ± t · s / √n, with s the sample standard deviation and t the quantile of Student's
    distribution with n - 1 degrees of freedom: 12.7 for two pairs, 4.3 for three.

    Args:
        differences: of pairs that differ only in what is compared, such as two trainings with the same seed.
        level: the confidence level, 0..1: the share of such comparisons whose interval holds the true difference.

    Returns:
        (low, high) in the unit of the differences. None for fewer than two differences, and if all are equal: an
        accuracy is a count of images, and two equal differences do not show how much a third would vary.
    """
    if len(differences) < 2 or math.isclose(min(differences), max(differences), rel_tol=1e-9, abs_tol=1e-12):
        return None
    from scipy import stats  # takes a second to import

    mean = statistics.mean(differences)
    margin = float(stats.t.ppf((1 + level) / 2, len(differences) - 1)) * statistics.stdev(differences)
    margin /= len(differences) ** 0.5
    return mean - margin, mean + margin


def sign(differences: Sequence[float], level: float = LEVEL) -> int:
    """Returns 1 if `interval` is above 0, -1 if it is below, and 0 if it holds 0 or does not exist."""
    low, high = interval(differences, level) or (0, 0)
    return 1 if low > 0 else -1 if high < 0 else 0


def verdict(differences: Sequence[float], level: float = LEVEL) -> str:
    """Returns what paired differences say of what is compared: "higher", "lower", ALIKE or EQUAL.

    With fewer than two it is "". It is ALIKE if the interval holds 0, and if no pair differs at all.
    """
    if len(differences) < 2:
        return ""
    if interval(differences, level) is None:
        return EQUAL if any(differences) else ALIKE
    return {1: "higher", -1: "lower", 0: ALIKE}[sign(differences, level)]
