"""Leases: who has one, whether its holder is dead, and that one contender alone gets it. No test waits for a beat."""

import json
import os
import subprocess
import sys
import threading

import pytest

from tinytrain import files, leases, locks
from tinytrain.errors import UserError

OTHER = {"process": 17, "host": "elsewhere", "command": "tinytrain compare", "machine": "elsewhere 1", "flock": True}


@pytest.fixture
def lease(tmp_path):
    return tmp_path / "lease"


def of_another_machine(lease, beat="1", **changes):
    lease.with_name("lease.1").write_text(json.dumps(OTHER | changes) + f"\n{beat}\n")


class Clock:
    """Seconds that pass only where a test says so."""

    now = 0.0

    def __call__(self):
        return self.now


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def refused(lease, watch=None):
    """Returns the sentence of Held, met by another thread."""
    sentences = []

    def contend():
        try:
            with locks.held(lease, "it", watch):
                sentences.append("")
        except UserError as error:
            sentences.append(str(error))

    thread = threading.Thread(target=contend)
    thread.start()
    thread.join()
    return sentences[0]


def test_a_lease_names_its_holder_to_other_threads_and_its_own_has_it_twice(lease):
    with locks.held(lease, "it"):
        assert f"it is being written by process {os.getpid()} on {leases.HOST} (" in refused(lease)
        with locks.held(lease, "it"):
            pass
        assert names(lease.parent) == ["lease.1"]
    assert names(lease.parent) == []
    assert refused(lease) == ""


def test_of_a_dead_process_of_this_machine_it_is_taken_at_once(lease):
    code = "import os, sys; from pathlib import Path; from tinytrain import locks\n"
    code += "with locks.held(Path(sys.argv[1]), 'it'): os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code, str(lease)]).returncode == -9
    assert names(lease.parent) == ["lease.1"]
    with locks.held(lease, "it", locks.Watch()):
        assert names(lease.parent) == ["lease.2"]
    assert names(lease.parent) == []


def test_one_of_another_machine_is_respected_while_it_beats(lease):
    watch = locks.Watch(clock := Clock())
    for clock.now in range(0, 300, 50):  # less than the grace
        of_another_machine(lease, f"{clock.now}")
        with pytest.raises(locks.Held, match="process 17 on elsewhere"), locks.held(lease, "it", watch):
            pass
    assert names(lease.parent) == ["lease.1"]
    clock.now += locks.GRACE_SECONDS
    with locks.held(lease, "it", watch):
        assert names(lease.parent) == ["lease.2"]


def test_who_does_not_watch_waits_until_the_other_machine_beats_or_is_dead(lease, monkeypatch, capsys):
    of_another_machine(lease)
    monkeypatch.setattr(locks.time, "sleep", lambda _: of_another_machine(lease, "2"))
    assert "process 17 on elsewhere" in refused(lease)
    assert "waiting up to 60 s for a sign of life of process 17 on elsewhere" in capsys.readouterr().err
    monkeypatch.setattr(locks, "GRACE_SECONDS", 0.01)
    monkeypatch.setattr(locks.time, "sleep", threading.Event().wait)
    assert refused(lease) == ""


@pytest.mark.parametrize("flock", [True, False])
def test_the_flock_counts_on_the_same_machine_only(lease, flock):
    of_another_machine(lease, machine=leases._machine(), flock=flock)
    assert bool(refused(lease, locks.Watch())) == (not flock)


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]\n", b'{"process": ', b"9" * 9000])
def test_a_damaged_lease_is_that_of_somebody_until_it_stands_still(lease, content, monkeypatch):
    monkeypatch.setattr(leases, "_NAMED_WITHIN_S", 0.0)
    lease.with_name("lease.1").write_bytes(content)
    watch = locks.Watch(clock := Clock())
    sentence = "another process, whose lease '.*lease.1' cannot be read"
    with pytest.raises(locks.Held, match=sentence), locks.held(lease, "it", watch):
        pass
    clock.now += locks.GRACE_SECONDS
    with locks.held(lease, "it", watch):
        assert names(lease.parent) == ["lease.2"]


def test_a_lease_that_is_a_link_is_not_followed(lease):
    lease.with_name("lease.1").symlink_to(lease.with_name("precious"))
    with pytest.raises(UserError, match=r"cannot read the lease .*remove it"), locks.held(lease, "it"):
        pass
    assert not lease.with_name("precious").exists()


def test_a_dead_one_is_taken_by_one_of_many_contenders(lease):
    for _ in range(20):
        of_another_machine(lease)
        clock, start, stop = Clock(), threading.Barrier(8), threading.Barrier(8)
        taken = []

        def contend(clock=clock, start=start, stop=stop, taken=taken):
            watch = locks.Watch(clock)
            watch.still_seconds(lease.with_name("lease.1"), lease.with_name("lease.1").read_bytes())
            start.wait()
            clock.now = locks.GRACE_SECONDS
            try:
                with locks.held(lease, "it", watch):
                    taken.append(threading.get_ident())
                    stop.wait()
            except locks.Held:
                stop.wait()

        threads = [threading.Thread(target=contend) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1
        assert names(lease.parent) == []


def test_a_new_lease_is_given_up_if_the_judged_one_came_back_to_life(lease):
    of_another_machine(lease)
    judged = leases.newest(lease)
    of_another_machine(lease, "2")
    assert leases.Lease.make(lease, judged, "it") is None
    assert names(lease.parent) == ["lease.1"]


def test_who_judged_long_ago_does_not_disturb_who_came_since(lease):
    of_another_machine(lease)
    judged = leases.newest(lease)
    lease.with_name("lease.1").rename(lease.with_name("lease.7"))  # taken over since
    assert leases.Lease.make(lease, None, "it") is None
    assert leases.Lease.make(lease, judged, "it") is None
    assert names(lease.parent) == ["lease.7"]


def test_who_was_taken_over_writes_nothing_and_leaves_the_others_lease(lease):
    target = lease.with_name("last.npz")
    with locks.held(lease, "the run 'x'"):
        files.write_text(target, "first")
        lease.with_name("lease.2").write_text(json.dumps(OTHER) + "\n1\n")
        with pytest.raises(locks.Lost, match=r"the run 'x' was taken over by process 17 on elsewhere .* stood still"):
            files.write_text(target, "second")
        lease.with_name("lease.1").unlink()  # the other has cleared up
        lease.with_name("lease.2").rename(lease.with_name("lease.1"))  # and a third began afresh
        with pytest.raises(locks.Lost):
            files.write_text(target, "second")
    assert target.read_text() == "first"
    assert names(lease.parent) == ["last.npz", "lease.1"]
    files.write_text(target, "third")  # it has nothing to lose any more


def test_the_beat_changes_and_nothing_else(lease, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.001)
    with locks.held(lease, "it"):
        path = lease.with_name("lease.1")
        first = path.read_bytes()
        while (later := path.read_bytes()) == first:
            pass
    assert len(later) == len(first)
    assert later.splitlines()[0] == first.splitlines()[0]


def test_a_draft_of_another_machine_stays_for_a_day(tmp_path):
    new, old = tmp_path / ".tinytrain-00000000-new", tmp_path / ".tinytrain-00000000-old"
    new.touch()
    old.touch()
    os.utime(old, (0, 0))
    files.write_text(tmp_path / "a", "a")
    assert names(tmp_path) == [new.name, "a"]


def test_a_paused_process_of_this_machine_is_taken_over_too_by_who_watches(lease, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 3600)
    watch = locks.Watch(clock := Clock())
    with locks.held(lease, "it"):
        assert "it is being written" in refused(lease, watch)
        clock.now = locks.GRACE_SECONDS
        assert refused(lease) != ""  # who does not watch sees that the process lives
        assert refused(lease, watch) == ""
        with pytest.raises(locks.Lost, match="it was taken over by another process"):
            files.write_text(lease.with_name("last.npz"), "")
    assert names(lease.parent) == []
