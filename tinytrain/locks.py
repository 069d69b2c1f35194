"""Leases on what is being written: one process at a time writes it, of this machine or of those that share the folder.

A lease (leases.py) is a hidden file that says who holds it, and whose beat a thread of the holder renews. Before a
process puts a file in its place it looks whether it still has its leases (`refuse_lost`), so one that stood still and
was taken over writes nothing. Whether a holder is dead:
- on this machine its flock tells at once: the kernel releases it when the process ends, in any way;
- on another one, where an flock may not be seen (NFS), its beat stands still for GRACE_SECONDS while we watch. Only our
  clock counts, and only how long the file is the same: the clocks of the machines need not agree.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tinytrain import leases, progress
from tinytrain.errors import UserError, escaped

GRACE_SECONDS, POLL_SECONDS, TURN_SECONDS = 60.0, 0.5, 1.0
_held: dict[tuple[str, int], leases.Lease] = {}  # those of this process, by path and thread


class Held(UserError):
    """Another process holds the lease.

    holder: such as "process 17 on host".
    """

    def __init__(self, message: str, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


class Lost(Held):
    """Another process has taken over the lease of this one, which stood still."""


class Watch:
    """What this process has seen of leases, which tells whether their beats stand still.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.seen: dict[Path, tuple[bytes, float]] = {}  # content of a lease, and when we first saw it

    def still_seconds(self, path: Path, content: bytes) -> float:
        """Returns for how long the lease `path`, which has this content now, has been the same."""
        now = self.clock()
        known, since = self.seen.get(path, (None, now))
        if known != content:
            self.seen[path] = content, now
            return 0.0
        return now - since


@contextlib.contextmanager
def held(path: Path, what: str, watch: Watch | None = None) -> Iterator[None]:
    """Holds the lease `path` inside the block and then removes it; a thread that has it already goes on.

    Args:
        path: the lease without its number, in a folder that exists.
        what: what is being written, for the message to a second process, such as "the run 'x'".
        watch: what was seen of leases before: one whose beat stands still is taken over, and for one that may be alive
            nobody waits. None: waits, for one of another machine, until it beats or is dead.

    Raises:
        Held: another process or thread holds the lease.
        UserError: the file cannot be written or read.
    """
    key = (os.path.abspath(path), threading.get_ident())
    if key in _held:
        yield
        return
    lease = _taken(path, what, watch)
    _held[key] = lease
    try:
        yield
    finally:
        del _held[key]
        lease.release()


@contextlib.contextmanager
def held_in_turn(path: Path, what: str, waits_for: str) -> Iterator[None]:
    """Holds the lease `path` inside the block, after waiting for whoever holds it.

    Args:
        path: as in `held`.
        what: as in `held`.
        waits_for: who that is, for the stage that is shown meanwhile.
    """
    watch = Watch()
    with contextlib.ExitStack() as stack:
        with progress.stage(f"waiting for {waits_for}"):
            while True:
                try:
                    stack.enter_context(held(path, what, watch))
                    break
                except Held:
                    time.sleep(TURN_SECONDS)
        yield


def refuse_lost() -> None:
    """Raises Lost if another process has taken over a lease of this thread."""
    for (_, thread), lease in list(_held.items()):
        if thread == threading.get_ident() and lease.lost():
            newer = leases.newest(lease.stem)
            holder = newer.holder if newer else "another process"
            raise Lost(
                f"{lease.what} was taken over by {holder} while this process stood still: that process continues it, "
                "and this one writes nothing more into it",
                holder,
            )


def _taken(path: Path, what: str, watch: Watch | None) -> leases.Lease:
    """Returns the lease of this process, made now; raises as `held` does."""
    patience, first = watch or Watch(), b""
    while True:
        found = leases.newest(path)
        if found and not found.dead and patience.still_seconds(found.path, found.content) < GRACE_SECONDS:
            beats = first and found.content != first
            if watch or found.flocked or beats:
                raise Held(
                    f"{what} is being written by {found.holder}{found.command}: wait until it has ended, or name "
                    "another place with --out",
                    found.holder,
                )
            if not first:
                first = found.content or b"-"
                waits = f"waiting up to {GRACE_SECONDS:.0f} s for a sign of life of {found.holder}"
                print(escaped(f"tinytrain: {what}: {waits}"), file=sys.stderr)
            time.sleep(POLL_SECONDS)
        elif lease := leases.Lease.make(path, found, what):
            return lease
