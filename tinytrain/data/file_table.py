"""A table of image files, and what opening and decoding each of them once has shown.

The results are cached under the name, size and modification time of each file: facts as an array, the problems of the
few files that are no images as JSON.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import files, progress
from tinytrain.data import facts, reading
from tinytrain.data.facts import Facts, ImageInfo
from tinytrain.data.names import Names, is_range
from tinytrain.errors import UserError

SAVED_FILES = 1 << 18  # after so many new files what is known of them is saved: a scan that is killed goes on there
CACHE_VERSION = 4
KEY_BYTES = 16
CACHED = np.dtype([("key", f"S{KEY_BYTES}"), *((name, *facts.ROW.fields[name][:1]) for name in facts.ROW.names)])  # type: ignore[index,union-attr]


@dataclass(frozen=True)
class FileTable:
    """Files below a folder.

    root: the folder; names: N paths below it, or absolute ones of files elsewhere; keys: (N,) hashes of the name, size
    and modification time of each.
    """

    root: Path
    names: Names
    keys: np.ndarray

    @classmethod
    def of(cls, paths: Iterable[Path], root: Path) -> "FileTable":
        """Returns the table of `paths`, which may come one by one."""
        prefix, keys = os.path.join(root, ""), bytearray()

        def names() -> Iterator[str]:
            for path in map(str, paths):
                status, name = os.stat(path), path.removeprefix(prefix)
                text = f"{name}|{status.st_size}|{status.st_mtime_ns}".encode("utf-8", "surrogatepass")
                keys.extend(hashlib.blake2b(text, digest_size=KEY_BYTES).digest())
                yield name

        table = Names.of(names())
        return cls(root, table, np.frombuffer(bytes(keys), f"S{KEY_BYTES}"))

    @classmethod
    def join(cls, parts: Sequence["FileTable"]) -> "FileTable":
        """Returns the files of several tables of one folder, one after the other."""
        return cls(parts[0].root, Names.join([one.names for one in parts]), np.concatenate([one.keys for one in parts]))

    def take(self, index: np.ndarray) -> "FileTable":
        """Returns the files of these numbers (M,), in this order."""
        keys = self.keys[index[0] : index[-1] + 1] if is_range(index) else self.keys[index]
        return FileTable(self.root, self.names.take(index), keys)

    def path(self, number: int) -> Path:
        """Returns the path of a file."""
        return self.root / self.names[number]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class ScannedFile:
    """The result of opening one file.

    path: of the file; info: what is known about the image; problem: why it cannot be used as an image, or "".
    """

    path: Path
    info: ImageInfo = ImageInfo()
    problem: str = ""


@dataclass(frozen=True)
class ScannedFiles(Sequence[ScannedFile]):
    """The results of opening many files.

    files: the N files; facts: of them, empty rows where there is a problem; problems: {number of a file: its problem}.
    """

    files: FileTable
    facts: Facts
    problems: dict[int, str]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"file {index} of {len(self)}")
        problem = self.problems.get(index, "")
        return ScannedFile(self.files.path(index), ImageInfo() if problem else self.facts[index], problem)

    @property
    def good(self) -> np.ndarray:
        """(N,) bool, which of them are images."""
        good = np.ones(len(self), bool)
        good[list(self.problems)] = False
        return good

    @property
    def bad(self) -> list[ScannedFile]:
        """Those that are none."""
        return [self[number] for number in self.problems]

    def take(self, index: np.ndarray) -> "ScannedFiles":
        """Returns the files of these numbers (M,), in this order, all of them images."""
        return ScannedFiles(self.files.take(index), self.facts.take(index), {})


def scan(table: FileTable) -> ScannedFiles:
    """Opens and decodes files; those that have not changed since the last time come from the cache."""
    store = _Store(files.cache_folder() / f"scan-{hashlib.sha256(str(table.root.resolve()).encode()).hexdigest()[:32]}")
    rows = np.zeros(len(table), facts.ROW)
    problems, unknown = store.fill(rows, table.keys)
    transient = set[int]()
    with progress.stage("reading", len(unknown), "file") as stage:
        for start in range(0, len(unknown), SAVED_FILES):
            end = start + SAVED_FILES
            transient |= _open(table, unknown[start:end].tolist(), rows, problems, stage)
            store.save(table.keys, rows, problems, transient, unknown[end:])
    return ScannedFiles(table, Facts(rows), dict(sorted(problems.items())))


def _open(
    table: FileTable, numbers: list[int], rows: np.ndarray, problems: dict[int, str], stage: progress.Stage
) -> set[int]:
    """Decodes the files of these numbers into `rows` or `problems`; returns those whose problem may pass."""
    transient = set()
    found = reading.in_threads(_scan_file, map(table.path, numbers))
    for number, (info, problem, may_pass) in zip(numbers, found, strict=True):
        if info is None:
            problems[number] = problem
            transient |= {number} if may_pass else set()
        else:
            rows[number] = info.row
        stage.advance()
    return transient


def _scan_file(path: Path) -> tuple[ImageInfo | None, str, bool]:
    return reading.read(path, reading.info)


class _Store:
    """What the cache knows of the files of a folder: PATH.npy and, for those that are no images, PATH.json."""

    def __init__(self, path: Path) -> None:
        self.rows_path, self.problems_path = path.with_suffix(".npy"), path.with_suffix(".json")

    def fill(self, rows: np.ndarray, keys: np.ndarray) -> tuple[dict[int, str], np.ndarray]:
        """Fills in the rows of known files; returns the problems of known ones, and the numbers of the others."""
        cached = facts.read(self.rows_path, CACHED)
        known = np.zeros(len(keys), bool)
        if cached is not None and len(cached) and facts.are_whole(cached):
            known, place = _places(keys, cached["key"])
            for name in facts.ROW.names or ():
                rows[name][known] = cached[name][place]
        with_problem = self._problems()
        missing = np.flatnonzero(~known)
        problems = {
            number: with_problem[key]
            for number in missing.tolist()
            if with_problem and (key := _hex(keys[number])) in with_problem
        }
        return problems, np.setdiff1d(missing, list(problems)) if problems else missing

    def save(
        self, keys: np.ndarray, rows: np.ndarray, problems: dict[int, str], transient: set[int], unknown: np.ndarray
    ) -> None:
        """Writes what is known: all but the problems that may pass, and the files that are `unknown` still."""
        known = np.ones(len(keys), bool)
        known[unknown] = False
        known[list(problems)] = False
        cached = np.empty(int(known.sum()), CACHED)
        cached["key"] = keys[known]
        for name in facts.ROW.names or ():
            cached[name] = rows[name][known]
        facts.write(self.rows_path, cached)
        lasting = {_hex(keys[number]): text for number, text in problems.items() if number not in transient}
        if lasting or self.problems_path.exists():
            with contextlib.suppress(OSError, UserError):  # the disk is read-only or full
                files.write_text(self.problems_path, json.dumps([CACHE_VERSION, lasting]))

    def _problems(self) -> dict[str, str]:
        """Returns {key of a file in hex: its problem}."""
        try:
            version, problems = json.loads(self.problems_path.read_text())
            return (
                problems if version == CACHE_VERSION and all(isinstance(one, str) for one in problems.values()) else {}
            )
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}


def _places(keys: np.ndarray, cached: np.ndarray) -> tuple[np.ndarray, np.ndarray | slice]:
    """Returns (N,) bool, which keys are cached, and where those are."""
    if np.array_equal(keys, cached):
        return np.ones(len(keys), bool), slice(None)
    order = np.argsort(cached)
    place = order[np.minimum(np.searchsorted(cached, keys, sorter=order), len(cached) - 1)]
    known = cached[place] == keys
    return known, place[known]


def _hex(key: bytes) -> str:
    return bytes(key).ljust(KEY_BYTES, b"\0").hex()
