"""Writes files atomically, by way of drafts; checks for space; reports a failure in one sentence.

The name of a draft begins with DRAFT_PREFIX and a mark of its machine, and it is locked while its process lives. One
without a lock was left by a killed process, and is removed by the next process that makes a draft in the same folder;
that of another machine, whose lock may not be seen here, when it is a day old.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from tinytrain import leases, locks
from tinytrain.errors import TinytrainError, UserError

DRAFT_PREFIX = ".tinytrain-"
OWN_PREFIX = f"{DRAFT_PREFIX}{hashlib.blake2s(leases.HOST.encode(), digest_size=4).hexdigest()}-"
DAY_SECONDS = 86_400
CLEAN_POLL_SECONDS = 0.05
REMEDY = "free some room or name another folder"


@contextlib.contextmanager
def write_errors(path: Path | str, remedy: str = REMEDY) -> Iterator[None]:
    """Turns an OSError of the block, which writes `path`, into a UserError that ends with the `remedy`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror or error}; {remedy}") from None


@contextlib.contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Yields an empty file beside `path`, of the same suffix, which replaces it unless the block raises.

    Raises:
        Lost: another process has taken over what this thread writes (locks.py); `path` stays as it is.
    """
    remove_leftovers(path.parent.absolute())
    handle, name = _make_locked(lambda: tempfile.mkstemp(path.suffix, OWN_PREFIX, path.parent))
    try:
        yield Path(name)
        os.chmod(name, 0o644)
        locks.refuse_lost()  # a moment before, and after the draft was made, for which a network drive asks its server
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def folder(parent: Path | None = None) -> Iterator[Path]:
    """Yields a new folder in `parent`, by default in the folder for temporary files ($TMPDIR).

    It is removed at the end of the block, unless the block renames it.
    """
    with write_errors(parent or "a temporary file", REMEDY if parent else "set TMPDIR to another folder"):
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        remove_leftovers(parent.absolute())
        handle, name = _make_locked(lambda: _open_folder(tempfile.mkdtemp("", OWN_PREFIX, parent)))
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)
        os.close(handle)


@contextlib.contextmanager
def private_temporary_folder() -> Iterator[None]:
    """Puts all temporary files of this process, those of libraries, too, into a folder that the block removes."""
    previous = tempfile.tempdir
    with folder() as private:
        tempfile.tempdir = str(private)
        try:
            yield
        finally:
            tempfile.tempdir = previous


def temporary_root() -> Path:
    """Returns the folder for temporary files that the user knows: $TMPDIR, or /tmp."""
    current = Path(tempfile.gettempdir())
    return current.parent if current.name.startswith(DRAFT_PREFIX) else current


def cache_folder() -> Path:
    """Returns the folder of what can be made again, such as decoded images.

    `tinytrain clean` removes nothing in it from now on until this process ends.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinytrain"
    use_cache(folder)
    return folder


@functools.cache  # once in the life of a process
def use_cache(folder: Path) -> int | None:
    """Locks the folder of the cache as one of its users, after waiting for a `clean` to end.

    Returns the handle of the lock, None where the folder cannot be made or has no locks.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        while not leases.try_lock(handle, shared=True):
            time.sleep(CLEAN_POLL_SECONDS)
    except OSError:
        return None
    return handle


@functools.cache  # once in the life of a process
def remove_leftovers(parent: Path) -> None:
    """Removes the drafts that dead processes of this user have left in the folder `parent`."""
    try:
        names = [entry.name for entry in os.scandir(parent) if entry.name.startswith(DRAFT_PREFIX)]
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            _remove_if_unlocked(parent / name)


def require_space(target: Path, needed_bytes: int, what: str, remedy: str) -> None:
    """Checks that a folder can be written and has enough free space.

    Args:
        target: the folder, which need not exist yet.
        needed_bytes: about how many bytes will be written.
        what: what they are for, such as "the export".
        remedy: what the user can do instead of freeing space.

    Raises:
        UserError: the folder cannot be written, or has too little space.
    """
    existing = next(folder for folder in (target.absolute(), *target.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(bytes(4096))
        free = shutil.disk_usage(existing).free
    except OSError as error:
        raise UserError(f"cannot write into '{target}': {error.strerror or error}; {remedy}") from None
    if free < needed_bytes:
        raise UserError(
            f"'{target}' has room for {free:,} bytes, {what} needs about {needed_bytes:,}: free some, or {remedy}"
        )


def _open_folder(name: str) -> tuple[int, str]:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY), name


def _make_locked(make: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    """Returns (open handle, name) of a new file or folder of `make`, locked."""
    while True:
        handle, name = make()
        try:
            locked = leases.try_lock(handle) and leases.is_at(name, handle)
        except OSError:  # a file system without locks, where no other process can remove it either
            locked = True
        if locked:
            return handle, name
        os.close(handle)  # another process took it for a leftover between the two steps, and removes it


def _remove_if_unlocked(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if not path.name.startswith(OWN_PREFIX) and time.time() - status.st_mtime < DAY_SECONDS:
            return
        if status.st_uid == os.getuid() and leases.try_lock(handle) and leases.is_at(path, handle):
            if stat.S_ISDIR(status.st_mode):
                shutil.rmtree(path, ignore_errors=True)
            elif stat.S_ISREG(status.st_mode):
                path.unlink()
    finally:
        os.close(handle)


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Calls `write` on a draft of `path`, then renames it, so that no reader sees half a file."""
    with write_errors(path), draft(path) as temporary, temporary.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_readme(folder: Path, title: str, meanings: Mapping[str, str]) -> None:
    """Writes README.txt into a folder.

    Args:
        folder: what it is about.
        title: what the folder is, and what wrote it.
        meanings: {name of a file or folder in it: what that is}.
    """
    width = max(map(len, meanings))
    lines = [f"{name:{width}}  {meaning}" for name, meaning in meanings.items()]
    more = "docs/command-line.md of tinytrain says what is in each file."
    write_text(folder / "README.txt", "\n".join([f"{title}.", "", *lines, "", more, ""]))


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically, indented; raises TinytrainError for NaN and infinity, which JSON does not have."""
    write_text(path, json_text(value, f"'{path}'", indent=2) + "\n")


def json_text(value: Any, what: str, indent: int | None = None) -> str:
    """Returns `value` as JSON; raises TinytrainError, which names `what`, for NaN and infinity."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        raise TinytrainError(f"cannot write {what}: one of its numbers is not finite") from None


def read_json(path: Path, kind: type = dict) -> Any:
    """Returns the value in a JSON file that tinytrain wrote.

    Raises:
        UserError: the file is damaged, or its value is not of this `kind`.
    """
    try:
        value = json.loads(path.read_text())
        if not isinstance(value, kind):
            raise ValueError(f"it holds a {type(value).__name__}, expected a {kind.__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read '{path}': {error}; it has changed since tinytrain wrote it") from None
    return value


def make_folder(folder: Path) -> None:
    """Makes a folder and its parents; raises UserError if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder '{folder}': {error.strerror}; name another one with --out") from None


def refuse_links(folder: Path) -> None:
    """Raises UserError for a link in `folder`, at any depth, that leads out of it.

    The folder may come from a stranger, whose link could make tinytrain read, write or delete elsewhere.
    """
    root = folder.resolve()
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent, name) for name in [*folders, *names]):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise UserError(
                    f"'{path}' is a link that leads out of '{folder}', to '{os.readlink(path)}': "
                    "replace it with what it leads to, or remove it"
                )
