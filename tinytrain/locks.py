"""Locks on what is being written, so that a second process is refused and told which process was first.

The kernel keeps a lock (flock) on a hidden file and drops it when its process ends, however it ends: none goes stale.
"""

import contextlib
import fcntl
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tinytrain.errors import UserError, escaped

LONGEST_COMMAND = 200  # characters of a command that a message repeats
_NAMED_WITHIN_S = 1.0  # how long the holder may take from its lock to its name in the file


class Held(UserError):
    """Another process writes there."""


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path` inside the block and removes it after.

    Args:
        path: the lock file; its folder is there.
        what: what is being written, as the message for a second process calls it: "the run 'x'".

    Raises:
        Held: another process, or another thread, holds it. UserError: the file cannot be written.
    """
    handle = _acquired(path, what)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # before the lock goes: the file that the next one makes is another
        os.close(handle)


def lock(handle: int) -> bool:
    """Returns whether an open file or folder could be locked at once; raises OSError where there are no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(path: Path | str, handle: int) -> bool:
    """Returns whether the open file or folder is still the one at `path`."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(handle))
    except OSError:
        return False


def _acquired(path: Path, what: str) -> int:
    """Returns the open and locked file at `path`, which names this process."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise UserError(f"cannot write '{path}': {error.strerror}; name another folder with --out") from None
        try:
            free = lock(handle)
        except OSError as error:  # some network drives
            words = f"warning: no lock on '{path}' ({error.strerror}): let no second process write there"
            print(escaped(words), file=sys.stderr)
            return handle
        if not free:
            holder = _holder(handle)
            os.close(handle)
            raise Held(
                f"{what} is being written by {holder}: wait until it has ended, or name another place with --out"
            )
        if is_at(path, handle):  # else the one before has removed it between our two steps
            break
        os.close(handle)
    os.ftruncate(handle, 0)
    with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
        os.write(handle, f"{os.getpid()} {_command()}".encode(errors="replace"))
    return handle


def _holder(handle: int) -> str:
    """Returns what the file says of who holds it: "process 17 (tinytrain fit --out x)"."""
    deadline = time.monotonic() + _NAMED_WITHIN_S
    while not (text := os.pread(handle, 4 * LONGEST_COMMAND, 0).decode(errors="replace")):
        if time.monotonic() > deadline:
            return "another process"
        time.sleep(0.02)
    number, _, command = text.partition(" ")
    return f"process {number} ({command})"


def _command() -> str:
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    words = ["tinytrain" if name == "__main__.py" else name, *sys.argv[1:]]
    return shlex.join(words).replace("\n", " ")[:LONGEST_COMMAND]
