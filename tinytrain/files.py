"""What is written to the disk: drafts that become files at once, room for them, one sentence where that fails.

A draft has a name that begins with PREFIX and is locked as long as its process lives. One without a lock was left by a
process that was killed: the next process that makes a draft in the same folder removes it.
"""

import contextlib
import functools
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from tinytrain import locks
from tinytrain.errors import TinytrainError, UserError

PREFIX = ".tinytrain-"
REMEDY = "free some room or name another folder"


@contextlib.contextmanager
def told(path: Path | str, remedy: str = REMEDY) -> Iterator[None]:
    """Turns an OSError of the block, which writes `path`, into a UserError of one sentence."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror or error}; {remedy}") from None


@contextlib.contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Yields an empty file beside `path`, of the same suffix, that takes its place when the block ends well."""
    sweep(path.parent.absolute())
    handle, name = _locked(lambda: tempfile.mkstemp(path.suffix, PREFIX, path.parent))
    try:
        yield Path(name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def folder(parent: Path | None = None) -> Iterator[Path]:
    """Yields a new folder in `parent`, by default that for temporary files ($TMPDIR).

    It is removed at the end of the block, unless the block gave it another name.
    """
    with told(parent or "a temporary file", REMEDY if parent else "TMPDIR names another folder"):
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        sweep(parent.absolute())
        handle, name = _locked(lambda: _opened(tempfile.mkdtemp("", PREFIX, parent)))
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)
        os.close(handle)


@contextlib.contextmanager
def temporary() -> Iterator[None]:
    """Sends all temporary files of this process, those of libraries too, into a folder that is removed at the end."""
    before = tempfile.tempdir
    with folder() as own:
        tempfile.tempdir = str(own)
        try:
            yield
        finally:
            tempfile.tempdir = before


def temporary_place() -> Path:
    """Returns the folder for temporary files that the user knows: $TMPDIR, or /tmp."""
    place = Path(tempfile.gettempdir())
    return place.parent if place.name.startswith(PREFIX) else place


@functools.cache  # once in the life of a process
def sweep(place: Path) -> None:
    """Removes what processes of this user that are dead have left in the folder `place`."""
    try:
        names = [entry.name for entry in os.scandir(place) if entry.name.startswith(PREFIX)]
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            _remove_if_left(place / name)


def require(place: Path, needed_bytes: int, what: str, remedy: str) -> None:
    """Raises UserError unless the folder `place`, or where it will be made, can be written and has so much room.

    Args:
        place: the folder.
        needed_bytes: about how many bytes will be written.
        what: whose bytes these are, such as "the export".
        remedy: what else the user can do than to make room.
    """
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(4096))
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise UserError(f"cannot write into '{place}': {error.strerror or error}; {remedy}") from None
    if free < needed_bytes:
        raise UserError(
            f"'{place}' has room for {free:,} bytes, {what} needs about {needed_bytes:,}: free some, or {remedy}"
        )


def _opened(name: str) -> tuple[int, str]:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY), name


def _locked(make: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    """Returns (open handle, name) of a new file or folder that is locked."""
    while True:
        handle, name = make()
        try:
            kept = locks.lock(handle) and locks.is_at(name, handle)
        except OSError:  # a file system without locks, where no sweep can lock it either
            kept = True
        if kept:
            return handle, name
        os.close(handle)  # a sweep of another process came between the two steps, and removes it


def _remove_if_left(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if found.st_uid == os.getuid() and locks.lock(handle) and locks.is_at(path, handle):
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(path, ignore_errors=True)
            elif stat.S_ISREG(found.st_mode):
                path.unlink()
    finally:
        os.close(handle)


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Calls `write` on a temporary file beside `path`, then renames it: no reader ever sees half a file."""
    with told(path), draft(path) as temporary, temporary.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically, indented; raises TinytrainError for NaN and infinity, which JSON has not."""
    write_text(path, json_text(value, f"'{path}'", indent=2) + "\n")


def json_text(value: Any, what: str, indent: int | None = None) -> str:
    """Returns `value` as JSON; raises TinytrainError, in which it is called `what`, for NaN and infinity."""
    try:
        return json.dumps(value, indent=indent, allow_nan=False)
    except ValueError:
        raise TinytrainError(f"cannot write {what}: one of its numbers is not finite") from None


def read_json(path: Path, kind: type = dict) -> Any:
    """Returns what a JSON file that we wrote holds; raises UserError for one that is damaged or of another `kind`."""
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, kind):
            raise ValueError(f"it holds a {type(found).__name__}, expected a {kind.__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read '{path}': {error}; it is not as tinytrain wrote it") from None
    return found


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it; raises UserError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder '{folder}': {error.strerror}; name another one with --out") from None


def refuse_links(folder: Path) -> None:
    """Raises UserError for a link in `folder`, however deep, that leads out of it.

    The folder may come from a stranger: a link would have us read, write or delete elsewhere.
    """
    root = folder.resolve()
    for place, folders, names in os.walk(folder):
        for path in (Path(place, name) for name in [*folders, *names]):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise UserError(
                    f"'{path}' is a link that leads out of '{folder}', to '{os.readlink(path)}': "
                    "replace it with what it leads to, or remove it"
                )
