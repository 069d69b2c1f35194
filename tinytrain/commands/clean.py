"""`tinytrain clean`: what the cache holds and, on demand, without it.

Only what tinytrain has made there is counted and removed, by its names; everything else in the folder stays.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinytrain import files, leases, tables
from tinytrain.errors import UserError

HEADINGS = ("kind", "what it is", "files", "bytes")
COLUMNS = ("<10", "<58", ">9", ">16")


@dataclass
class Kind:
    """One kind of what the cache holds.

    name: its name; meaning: what it is; pattern: what its names look like, all of which hold a hash, so that nothing of
    the user's is taken for one; folder: the folder in the cache that they are in, "" for the cache itself; paths: those
    that are there.
    """

    name: str
    meaning: str
    pattern: str
    folder: str = ""
    paths: list[Path] = field(default_factory=list)


def clean(remove: bool = False) -> tuple[dict[str, Any], str]:
    """Returns what the cache holds, and a text that says it; removes it if `remove`.

    The result is {"cache": its folder, "files", "bytes", "kinds": [{"kind", "meaning", "files", "bytes"}], "others":
    names in the folder that are not tinytrain's, "removed"}.

    Raises:
        UserError: another process uses the cache, or a file cannot be removed.
    """
    folder = files.cache_folder()
    with _alone(folder) if remove else contextlib.nullcontext():
        kinds, others = _contents(folder)
        rows = [_row(kind) for kind in kinds if kind.paths]
        if remove:
            for path in (path for kind in kinds for path in kind.paths):
                _remove(path)
    result = {
        "cache": str(folder),
        "files": sum(row["files"] for row in rows),
        "bytes": sum(row["bytes"] for row in rows),
        "kinds": rows,
        "others": sorted(others),
        "removed": remove,
    }
    return result, _text(result)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Locks the cache against all other processes inside the block.

    Raises:
        UserError: another one uses it.
    """
    handle = files.use_cache(folder)
    if handle is None:  # there is none, or its file system has no locks
        yield
        return
    try:
        if not leases.try_lock(handle):
            raise UserError(
                f"another tinytrain command is using the cache '{folder}': wait until it has ended; nothing was removed"
            )
        yield
    finally:
        leases.try_lock(handle, shared=True)


def _contents(folder: Path) -> tuple[list[Kind], list[str]]:
    """Returns all kinds with the paths that are there, and the names of what is none of them."""
    digest = "[0-9a-f]{32}"
    kinds = [
        Kind("images", "decoded images, which trainings read", f"images-{digest}"),
        Kind(
            "facts", "facts about image files, and labels read from files", rf"(scan|facts|labels)-{digest}\.(npy|json)"
        ),
        Kind("regimes", "the rows of the pictures of augmentations", rf"regimes-{digest}\.png"),
        Kind("records", "pictures unpacked from TFRecord files", f"records-{digest}"),
        Kind("firmware", "programs built for the emulator", rf"{digest}\.elf", "firmware"),
        Kind("networks", "the cost of networks in searches", r"[0-9a-f]{24}\.json", "networks"),
        Kind("leftovers", "leftovers of killed commands", rf"worker-{digest}|\.tinytrain-[0-9a-f]{{8}}-.*"),
    ]
    others = []
    for inner in ("", *(kind.folder for kind in kinds if kind.folder)):
        for entry in _entries(folder / inner):
            kind = next((one for one in kinds if one.folder == inner and re.fullmatch(one.pattern, entry.name)), None)
            if kind and not entry.is_symlink():
                kind.paths.append(Path(entry.path))
            elif inner or entry.name not in [one.folder for one in kinds]:
                others.append(os.path.join(inner, entry.name))
    return kinds, others


def _entries(folder: Path) -> list[os.DirEntry]:
    """Returns what is in a folder, by name; nothing if there is none."""
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _row(kind: Kind) -> dict[str, Any]:
    sizes = [size for path in kind.paths for size in _sizes(path)]
    return {"kind": kind.name, "meaning": kind.meaning, "files": len(sizes), "bytes": sum(sizes)}


def _sizes(path: Path) -> Iterator[int]:
    """Yields the bytes of each file at or below `path`."""
    if path.is_file():
        yield path.stat().st_size
    for parent, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another process has just replaced it
                yield os.lstat(os.path.join(parent, name)).st_size


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise UserError(f"cannot remove '{error.filename or path}': {error.strerror}; remove it yourself") from None


def _text(result: dict[str, Any]) -> str:
    folder = result["cache"]
    if not result["kinds"]:
        lines = [f"nothing is cached in '{folder}'"]
    else:
        cells = [(row["kind"], row["meaning"], f"{row['files']:,}", f"{row['bytes']:,}") for row in result["kinds"]]
        cells.append(("", "together", f"{result['files']:,}", f"{result['bytes']:,}"))
        lines = [f"the cache, '{folder}':", *tables.aligned([HEADINGS, *cells], COLUMNS)]
    if result["others"]:
        lines.append(f"not made by tinytrain, left alone: {', '.join(result['others'])}")
    if result["kinds"]:
        again = "made again when they are needed"
        lines.append(f"removed; {again}" if result["removed"] else f"`tinytrain clean --yes` removes them; {again}")
    return "\n".join(lines)
