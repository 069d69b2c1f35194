"""The t interval of paired differences, against numbers worked by hand and a test of scipy's that computes it again."""

import numpy as np
import pytest
from scipy import stats

from tinytrain.experiments import paired


def test_the_interval_is_students():
    # Differences 1, 2, 6: mean 3, s = √7; t with 2 degrees of freedom is 4.302653 (a table of Student's).
    low, high = paired.interval([1, 2, 6])
    margin = 4.302653 * 7**0.5 / 3**0.5
    assert (low, high) == pytest.approx((3 - margin, 3 + margin), abs=1e-5)


def test_two_pairs_have_the_quantile_of_one_degree_of_freedom():
    low, high = paired.interval([4.0, 4.72])
    assert high - low == pytest.approx(2 * 12.7062 * 0.36, abs=1e-3)  # s / √2 is half of what they differ by


def test_it_is_what_the_t_test_says():
    random = np.random.default_rng(1)
    for count in (2, 3, 7):
        for _ in range(50):
            differences = list(random.normal(1, 1, count))
            significant = stats.ttest_1samp(differences, 0).pvalue < 0.05
            assert (paired.sign(differences) != 0) == significant


@pytest.mark.parametrize("differences", [[], [3.0], [2.0, 2.0], [0.42 - 0.40, 0.44 - 0.42], [0.0, 0.0, 0.0]])
def test_nothing_is_said_without_a_spread(differences):
    assert paired.interval(differences) is None
    assert paired.sign(differences) == 0


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        ([1.0, 2.0, 6.0], "cannot be told apart"),  # 3 ± 6.57, as above
        ([4.0, 5.0, 6.0], "higher"),  # 5 ± 2.48
        ([-4.0, -5.0, -6.0], "lower"),
        ([0.0, 0.0], "cannot be told apart"),
        ([2.0, 2.0], "all seeds differ by the same"),
        ([7.0], ""),
        ([], ""),
    ],
)
def test_what_is_said_of_differences(differences, words):
    assert paired.verdict(differences) == words
