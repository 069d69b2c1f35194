"""Signs of life: which line or bar appears when. The clock and the terminal are the test's own."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tinytrain import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    """Returns a function that puts the clock forward and returns what a beat then shows."""
    clock = [1000.0]
    monkeypatch.delenv("TINYTRAIN_PROGRESS")
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda seconds: None))
    monkeypatch.setattr(progress, "_shown_at", clock[0])
    monkeypatch.setattr(progress, "_beat", lambda: None)  # the test beats

    def after(seconds, stderr=None):
        stderr = stderr or io.StringIO()
        clock[0] += seconds
        monkeypatch.setattr(sys, "stderr", stderr)
        progress._stages[-1].beat()
        return stderr.getvalue()

    return after


def test_a_line_every_few_seconds_where_there_is_no_terminal(shown):
    with progress.stage("importing TensorFlow"):
        assert [shown(1), shown(1), shown(1), shown(1)] == ["", "", "importing TensorFlow … 3 s\n", ""]


def test_what_is_counted_says_how_far_it_is(shown):
    with progress.stage("decoding", 50_000, "image") as stage:
        stage.advance(1024)
        assert shown(4) == ""
        assert shown(1) == "decoding: 1,024 of 50,000 images\n"
        stage.advance(60_000)  # the last batch is whole
        assert shown(5) == "decoding: 50,000 of 50,000 images\n"


def test_the_innermost_stage_is_shown_and_then_the_outer_one_again(shown):
    with progress.stage("reading the data"):
        for number in progress.counted(range(2), "reading", 2, "file"):
            assert shown(5) == f"reading: {number} of 2 files{'' if number else ' … 5 s'}\n"
        assert shown(5) == "reading the data … 15 s\n"


def test_a_stage_may_become_another(shown):
    with progress.stage("first step") as stage:
        stage.begin("epoch 1/2", 100, "image")
        assert shown(5) == "epoch 1/2: 0 of 100 images … 5 s\n"
        assert shown(5) == "epoch 1/2: 0 of 100 images … 10 s\n"


def test_a_first_line_at_once_and_the_next_in_time(shown, capsys):
    with progress.stage("importing TensorFlow", at_once=True):
        assert capsys.readouterr().err == "importing TensorFlow …\n"
        assert [shown(1), shown(2)] == ["", "importing TensorFlow … 3 s\n"]


def test_a_terminal_gets_a_bar_that_goes_away(shown):
    terminal = Terminal()
    with progress.stage("decoding", 100, "image") as stage:
        assert shown(0.1, terminal) == ""  # what is over at once flickers not
        stage.advance(50)
        assert "decoding:  50%" in shown(1, terminal)
    assert terminal.getvalue().split("\r")[-2].strip() == ""  # blanks over the bar, and back to the first column


def test_a_terminal_shows_how_long_an_uncounted_stage_has_lasted(shown):
    with progress.stage("importing TensorFlow"):
        assert "importing TensorFlow … 01:05" in shown(65, Terminal())


def test_a_written_line_counts_as_a_sign_of_life(shown, monkeypatch):
    with progress.stage("epoch 1/2", 100, "image") as stage:
        stage.advance(32)
        shown(4)
        progress.write("epoch 1/2  loss 0.5")
        assert shown(4) == ""


def test_nothing_is_shown_once_all_stages_are_over():
    with progress.stage("first"), progress.stage("second"):
        pass
    assert progress._stages == []


def test_an_error_ends_its_stage():
    with pytest.raises(ZeroDivisionError), progress.stage("dividing"):
        _ = 1 / 0
    assert progress._stages == []


def test_the_thread_shows_what_keeps_the_main_thread(monkeypatch):
    monkeypatch.delenv("TINYTRAIN_PROGRESS")
    program = "import sys, time; from tinytrain import progress\nprogress.LINE_SECONDS = 0\n"
    program += "with progress.stage('importing TensorFlow'): sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines = [process.stderr.readline() for _ in range(2)]
    process.communicate("", timeout=60)
    assert all(line.startswith("importing TensorFlow …") for line in lines)
    assert process.returncode == 0


def test_it_can_be_kept_off(monkeypatch, capsys):
    monkeypatch.setenv("TINYTRAIN_PROGRESS", "0")
    with progress.stage("importing TensorFlow", at_once=True):
        pass
    assert capsys.readouterr().err == ""
