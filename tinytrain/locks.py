"""Locks on what is being written, so that a second process is refused with the name of the first one.

A lock is an flock on a hidden file. The kernel releases it when its process ends, in any way, so none becomes stale.
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

MAX_COMMAND = 200  # characters of the other process's command in a message
_NAMED_WITHIN_S = 1.0  # how long a process may take from the lock to writing its name into the file


class Held(UserError):
    """Another process holds the lock."""


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path` inside the block and then removes it.

    Args:
        path: the lock file, in a folder that exists.
        what: what is being written, for the message to a second process, such as "the run 'x'".

    Raises:
        Held: another process or thread holds the lock.
        UserError: the file cannot be written.
    """
    handle = _acquired(path, what)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()  # while it is locked, so that the next process makes a new file
        os.close(handle)


def try_lock(handle: int) -> bool:
    """Locks an open file or folder and returns whether it was free.

    Raises:
        OSError: the file system has no locks.
    """
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
            free = try_lock(handle)
        except OSError as error:  # some network drives
            warning = f"warning: no lock on '{path}' ({error.strerror}): do not let a second process write there"
            print(escaped(warning), file=sys.stderr)
            return handle
        if not free:
            holder = _holder(handle)
            os.close(handle)
            raise Held(
                f"{what} is being written by {holder}: wait until it has ended, or name another place with --out"
            )
        if is_at(path, handle):  # else its last holder removed it between opening and locking
            break
        os.close(handle)
    os.ftruncate(handle, 0)
    with contextlib.suppress(OSError):  # a full disk: the lock works without a name
        os.write(handle, f"{os.getpid()} {_command()}".encode(errors="replace"))
    return handle


def _holder(handle: int) -> str:
    """Returns the holder that a lock file names, such as "process 17 (tinytrain fit --out x)"."""
    deadline = time.monotonic() + _NAMED_WITHIN_S
    while not (text := os.pread(handle, 4 * MAX_COMMAND, 0).decode(errors="replace")):
        if time.monotonic() > deadline:
            return "another process"
        time.sleep(0.02)
    number, _, command = text.partition(" ")
    return f"process {number} ({command})"


def _command() -> str:
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    arguments = ["tinytrain" if name == "__main__.py" else name, *sys.argv[1:]]
    return shlex.join(arguments).replace("\n", " ")[:MAX_COMMAND]
