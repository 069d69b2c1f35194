"""`compare --workers N` and `reproduce`: what is shown of the processes, and how it ends. The processes are scripts."""

import os
import signal
import threading

import pytest

from tinytrain.workers import processes, side_by_side


@pytest.fixture
def launch(tmp_path, monkeypatch, capfd):
    """Returns a function that launches a script for each worker: (status, stdout, lines of stderr)."""
    start = processes.start
    monkeypatch.setattr(processes, "start", lambda words, number, *rest: start([str(number)], number, *rest))
    monkeypatch.setattr(processes.sys, "executable", str(tmp_path / "sh"))

    def run(*scripts):
        cases = "".join(f"{number}) {script} ;;\n" for number, script in enumerate(scripts))
        (tmp_path / "sh").write_text(f"#!/bin/sh\ncase $3 in\n{cases}esac\n")  # after -m tinytrain
        (tmp_path / "sh").chmod(0o755)
        status = side_by_side.launch([], len(scripts))
        captured = capfd.readouterr()
        return status, captured.out, captured.err.splitlines()

    return run


def test_the_lines_of_all_are_shown_and_the_table_of_the_first(launch):
    words = "echo compare/x: >&2; echo >&2; echo 'tinytrain: a run failed' >&2; echo on >&2; echo table"
    status, out, lines = launch("echo mine >&2; echo 'the table'", words)
    assert (status, out) == (0, "the table\n")
    assert sorted(lines) == ["mine", "worker 1: compare/x:", "worker 1: on", "worker 1: tinytrain: a run failed"]


def test_a_mistake_that_all_meet_is_said_once(launch):
    mistake = "echo 'tinytrain: no such key' >&2; exit 2"
    assert launch(mistake, mistake, mistake) == (2, "", ["tinytrain: no such key"])


def test_one_that_fails_alone_says_so_and_the_others_count(launch):
    failed = "echo 'tinytrain: no room' >&2; exit 2"
    assert launch("echo table", failed) == (0, "table\n", ["worker 1: tinytrain: no room"])


def test_one_that_is_killed_ends_nothing_but_itself(launch):
    status, out, lines = launch("kill -KILL $$", "sleep 0.3; echo table", "kill -TERM $$")
    assert (status, out) == (0, "table\n")
    told = [line.partition(" (process ") for line in sorted(lines)]
    assert [first for first, _, _ in told] == ["tinytrain: worker 0", "tinytrain: worker 2"]
    assert told[0][2].endswith(") was killed by SIGKILL; the others continue")
    status, out, lines = launch("kill -KILL $$")
    assert (status, out) == (1, "")
    assert lines[0].endswith("was killed by SIGKILL; run the same command again to continue")


def test_they_share_the_cores(launch, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda _: range(7))
    assert launch(*["echo $TF_NUM_INTRAOP_THREADS"] * 3)[1] == "2\n"


@pytest.mark.parametrize("ignored", [False, True])
def test_sigterm_ends_all_of_them(launch, tmp_path, monkeypatch, ignored):
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    waits = "touch begun-$3; exec sleep 60"

    def terminate():
        while len(list(tmp_path.glob("begun-*"))) < 2:
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        thread = threading.Thread(target=terminate)
        thread.start()
        assert launch(waits, waits) == (130, "", [])
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
