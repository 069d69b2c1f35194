"""Times of networks, by hand: medians and spread, and that all are measured in turns, without their warm-up."""

import numpy as np
import pytest

from tinytrain.benching.cpu import timing
from tinytrain.deploy.cpu.session import Session, Window


def test_medians_and_spread_are_those_of_all_windows():
    windows = [Window(2.0, [0.001, 0.002]), Window(1.0, [0.003, 0.004, 0.011]), Window(1.0, [0.002])]
    report = timing.Timing(2, windows).report()
    # In order 1 2 2 3 4 11 ms: the tenth part lies halfway from the first to the second, the ninetieth from 4 to 11.
    assert report == {
        "streams": 2,
        "inferences": 6,
        "milliseconds": pytest.approx(2.5),
        "p10_milliseconds": pytest.approx(1.5),
        "p90_milliseconds": pytest.approx(7.5),
        "min_milliseconds": pytest.approx(1.0),
        "max_milliseconds": pytest.approx(11.0),
        "inferences_per_second": 1.0,  # of 1, 3 and 1
        "min_inferences_per_second": 1.0,
        "max_inferences_per_second": 3.0,
    }


class Recorded(Session):
    """A session that writes down what it is asked for, and says that it took so many seconds an image."""

    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, seconds, log

    def infer(self, image):
        raise AssertionError("a window was asked for")

    def window(self, image, seconds):
        self.log.append((self.name, image.tolist(), seconds))
        warm = seconds < 1
        return Window(99.0 if warm else 2.0, [50.0] if warm else [self.seconds] * 4)


def test_networks_are_measured_in_turns_and_their_warm_up_does_not_count():
    log = []
    sessions = {"a": Recorded("a", 0.5, log), "b": Recorded("b", 0.25, log)}
    images = {"a": np.zeros(1), "b": np.ones(1)}
    timings = timing.measure(sessions, images, windows=2, seconds=1.0)
    once = [("a", [0.0], 0.2), ("a", [0.0], 1.0), ("b", [1.0], 0.2), ("b", [1.0], 1.0)]
    assert log == once * 2
    assert {name: one.milliseconds for name, one in timings.items()} == {"a": 500.0, "b": 250.0}
    assert [one.rate for one in timings.values()] == [2.0, 2.0]
