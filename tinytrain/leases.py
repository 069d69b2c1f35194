"""The file of a lease: who holds it, its beat, and how it is made so that only one process has it; see locks.py.

A lease is a file NAME.1: a line of JSON about its holder, and a line that is its beat. Where a holder is dead, the next
one makes NAME.2, which the file system lets only one process do, then NAME.3 …: the highest number counts, and nobody
renames or rewrites the lease of another.
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import re
import shlex
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from tinytrain.errors import UserError

MAX_COMMAND = 200  # characters of the other process's command in a message
MAX_BYTES = 4096  # of a lease
BEAT_SECONDS = 5.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
HOST = platform.node() or "localhost"
_NAMED_WITHIN_S = 1.0  # how long a process may take from making its lease to writing its name into it


def try_lock(handle: int, shared: bool = False) -> bool:
    """Locks an open file or folder and returns whether it was free.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(path: Path | str, handle: int) -> bool:
    """Returns whether the open file or folder is still the one at `path`."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(handle))
    except OSError:
        return False


@dataclass(frozen=True)
class Found:
    """A lease as it was found.

    Attributes:
        path: its file.
        number: its number.
        content: all that it holds.
        flocked: whether its flock is held, None if the file system has none.
    """

    path: Path
    number: int
    content: bytes
    flocked: bool | None

    @property
    def _record(self) -> dict[str, object]:
        try:
            record = json.loads(self.content.partition(b"\n")[0])
        except (ValueError, RecursionError):
            return {}
        return record if isinstance(record, dict) else {}

    @property
    def named(self) -> bool:
        """Whether its holder has written its name into it."""
        return "process" in self._record

    @property
    def holder(self) -> str:
        """Its holder, as sentences call it."""
        if not self.named:
            return f"another process, whose lease '{self.path}' cannot be read"
        return f"process {self._text('process')} on {self._text('host')}"

    @property
    def command(self) -> str:
        """The command of its holder in brackets, "" if it is not known."""
        return f" ({self._text('command')})" if self.named else ""

    def _text(self, name: str) -> str:
        return str(self._record.get(name, "unknown"))[:MAX_COMMAND]

    @property
    def dead(self) -> bool:
        """Whether its holder was a process of this machine and has ended: the flock that it had is free."""
        record = self._record
        return record.get("machine") == _machine() and record.get("flock") is True and self.flocked is False


def newest(stem: Path) -> Found | None:
    """Returns the lease that counts, None if there is none.

    Raises:
        UserError: it cannot be read.
    """
    deadline = time.monotonic() + _NAMED_WITHIN_S
    while numbers := _numbers(stem):
        found = _read(stem, max(numbers))
        if found and (found.content or time.monotonic() > deadline):
            return found
        time.sleep(0.02)  # it has just been made, or just been removed
    return None


def _numbers(stem: Path) -> list[int]:
    pattern = re.compile(re.escape(stem.name) + r"\.([1-9][0-9]{0,8})", re.ASCII)
    try:
        with os.scandir(stem.parent) as entries:
            return [int(match[1]) for entry in entries if (match := pattern.fullmatch(entry.name))]
    except OSError as error:
        raise _unwritable(stem, error) from None


def _read(stem: Path, number: int) -> Found | None:
    path = _numbered(stem, number)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from None
    try:
        content = os.pread(handle, MAX_BYTES, 0)
        try:
            flocked = not try_lock(handle, shared=True)
        except OSError:
            return Found(path, number, content, None)
        return Found(path, number, content, flocked)
    except OSError as error:
        if error.errno == errno.ESTALE:  # removed on another machine
            return None
        raise _unreadable(path, error) from None
    finally:
        os.close(handle)


def _numbered(stem: Path, number: int) -> Path:
    return stem.with_name(f"{stem.name}.{number}")


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write '{path}': {error.strerror}; name another folder with --out")


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot read the lease '{path}': {error.strerror}; remove it if no process writes there")


class Lease:
    """A lease that this process holds; see `make`."""

    def __init__(self, stem: Path, number: int, what: str, handle: int) -> None:
        self.stem, self.number, self.what, self.handle = stem, number, what, handle
        self.path, self.stop = _numbered(stem, number), threading.Event()
        self.thread: threading.Thread | None = None
        try:
            flock = try_lock(handle)
        except OSError:  # some network drives
            flock = False
        record = {"process": os.getpid(), "host": HOST, "command": _command(), "machine": _machine(), "flock": flock}
        self.head = json.dumps(record | {"token": uuid.uuid4().hex}).encode() + b"\n"

    @classmethod
    def make(cls, stem: Path, judged: Found | None, what: str) -> "Lease | None":
        """Returns the lease after `judged`, None if another process was faster.

        Args:
            stem: its path without the number.
            judged: the lease of a dead process, None if there was none.
            what: what it is for.
        """
        number = judged.number + 1 if judged else 1
        try:
            handle = os.open(_numbered(stem, number), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        except FileExistsError:
            return None
        except OSError as error:
            raise _unwritable(stem, error) from None
        lease = cls(stem, number, what, handle)
        try:
            os.pwrite(handle, lease.head + _new_beat(), 0)  # after the flock, which a name promises
            os.fsync(handle)
        except OSError as error:
            lease.release()
            raise _unwritable(stem, error) from None
        # Since we looked, the dead one's may have been taken over, released and made again, or have come to life.
        now = _read(stem, judged.number) if judged else None
        if max(_numbers(stem), default=0) != number or (now and judged and now.content != judged.content):
            lease.release()
            return None
        for older in _numbers(stem):
            if older < number:
                _numbered(stem, older).unlink(missing_ok=True)
        lease.thread = threading.Thread(target=lease._beat, name="beat of a lease", daemon=True)
        lease.thread.start()
        return lease

    def lost(self) -> bool:
        """Returns whether another process has taken it over."""
        if os.path.lexists(_numbered(self.stem, self.number + 1)):
            return True
        try:
            return not self.path.read_bytes().startswith(self.head)
        except OSError as error:
            return error.errno in (errno.ENOENT, errno.ESTALE)  # else the drive does not answer, and no write succeeds

    def release(self) -> None:
        """Removes it, unless it is another's by now."""
        self.stop.set()
        if self.thread:
            self.thread.join()  # it writes into the handle that is closed below
        if is_at(self.path, self.handle):
            with contextlib.suppress(OSError):
                self.path.unlink()  # while it is locked
        os.close(self.handle)

    def _beat(self) -> None:
        while not self.stop.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk, a drive that does not answer: the next may succeed
                os.pwrite(self.handle, _new_beat(), len(self.head))
                os.fsync(self.handle)


def _new_beat() -> bytes:
    """Returns what no beat before was, always as long; nobody reads it as a time."""
    return f"{time.time_ns():020d}\n".encode()


def _machine() -> str:
    """Returns what tells this machine, since it was switched on, from all others."""
    try:
        return f"{HOST} {BOOT_ID.read_text().strip()}"
    except OSError:  # not Linux
        return f"{HOST} {uuid.getnode():012x}"


def _command() -> str:
    name = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    arguments = ["tinytrain" if name == "__main__.py" else name, *sys.argv[1:]]
    return shlex.join(arguments).replace("\n", " ")[:MAX_COMMAND]
