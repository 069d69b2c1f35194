"""How a worker shows the others that it still decodes images: a file beside the shards that keeps changing."""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
BEAT_S = 5.0
BEGIN_S, SILENT_S = 300.0, 120.0  # how long others wait for the first sign, and for the next one


def _path(folder: Path, number: int) -> Path:
    return folder / f"worker-{number}.beat"


def beating(decoded: Iterator[T], folder: Path, number: int) -> Iterator[T]:
    """Yields what is decoded, and shows that worker `number` goes on.

    Args:
        decoded: images.
        folder: that of the shards.
        number: of the worker.
    """
    last = -math.inf
    for count, image in enumerate(decoded):
        if time.monotonic() - last > BEAT_S:
            with contextlib.suppress(OSError):  # the shard, in the same folder, tells what is wrong with it
                folder.mkdir(parents=True, exist_ok=True)
                _path(folder, number).write_text(f"process {os.getpid()}, image {count}\n")
            last = time.monotonic()
        yield image


class Signs:
    """What another worker shows of its decoding: shards, and its file. Clocks need not agree.

    Args:
        folder: that of the shards.
        number: of the worker.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.path, self.limit, self.last = _path(folder, number), BEGIN_S, time.monotonic()
        self.beat = self._read()

    def seen(self) -> None:
        """Notes a sign, such as a shard."""
        self.limit, self.last = SILENT_S, time.monotonic()

    def silent_too_long(self) -> float | None:
        """Returns for how many seconds there was no sign, None while that is not too long."""
        if (beat := self._read()) != self.beat:
            self.beat = beat
            self.seen()
        silent = time.monotonic() - self.last
        return silent if silent > self.limit else None

    def _read(self) -> str:
        try:
            return self.path.read_text(errors="replace")
        except OSError:
            return ""
