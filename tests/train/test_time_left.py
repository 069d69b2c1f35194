"""What a training says of the time that it still takes; the clock is made up."""

import contextlib

import pytest

from tinytrain import progress
from tinytrain.train import callbacks


@pytest.mark.parametrize(
    ("first", "seconds", "told"),
    [
        (0, 10.0, {2: "6 min for the 38", 10: "5 min for the 30", 20: "3 min for the 20", 30: "2 min for the 10"}),
        (25, 10.0, {27: "2 min for the 13", 30: "2 min for the 10"}),  # it goes on after 25
        (0, 1.0, {}),  # less than a minute
    ],
)
def test_now_and_then_the_time_that_is_left_is_told(monkeypatch, first, seconds, told):
    now, lines = [0.0], []
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(progress, "write", lines.append)
    with contextlib.ExitStack() as stack:
        stage = stack.enter_context(progress.stage("training"))
        line = callbacks.Progress(40, 100, 10, callbacks.Clock(), lambda logs: "", stage)
        said = {}
        for epoch in range(first, 40):
            line.on_epoch_begin(epoch)
            if lines:
                said[epoch] = lines.pop()
            now[0] += seconds + 50 * (epoch == first)  # the first compiles
    assert said == {epoch: f"about {words} epochs that are left" for epoch, words in told.items()}
