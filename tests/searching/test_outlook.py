"""How many trials a search is said to have time for."""

from dataclasses import asdict

import pytest

from tinytrain.config.schema import Config
from tinytrain.searching import outlook
from tinytrain.searching.budget import Plan, Speed
from tinytrain.searching.planning import Asked

SPEED = Speed(slowness=1.0, start=10.0, final=20.0)


@pytest.mark.parametrize(("seconds", "trials"), [(100.0, 5), (34.0, 1), (14.0, 1)])
def test_trials_are_counted_until_the_time_is_over(seconds, trials):
    # Trials of one epoch: 1.15 · (10 s + 2 s) each, 20 s are kept for the finalists. One trial is always planned.
    asked = Asked([], set(), Config(), None, seconds, None)
    stored = {"speed": asdict(SPEED), "epoch_seconds": 2.0}
    assert outlook._trials(asked, Plan(epochs=1, reserve_seconds=20.0, finalists=1), stored) == trials
