"""Signs of life on standard error: a bar on a terminal, elsewhere a line every few seconds.

A command is always in a stage, such as "decoding". A thread of its own shows the innermost stage, so that something
appears even while an import or a compilation keeps the main thread for many seconds. TINYTRAIN_PROGRESS=0 turns them
off.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
BEAT_SECONDS = 0.2  # how often the thread looks
BAR_DELAY_SECONDS = 0.5  # what is over sooner gets no bar
# A line must come every 5 seconds. Importing and compiling hold Python's lock for up to 2.6 seconds at a time, when the
# thread cannot run, so it does not wait that long there. Once a stage counts, it is a loop that gives way at once.
LINE_SECONDS, COUNTED_LINE_SECONDS = 2.2, 4.5


class _StandardError:
    """sys.stderr as it is at each moment: `quiet` replaces it while it keeps libraries off the terminal."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


class Stage:
    """One stage, as it is shown.

    Attributes:
        text: what is being done, such as "decoding"; may change.
        total: how many units there are, None if they are not counted.
        unit: what is counted, in the singular.
        done: how many units are done.
    """

    def __init__(self, text: str, total: int | None = None, unit: str = "") -> None:
        self.begin(text, total, unit)
        self._bar: tqdm | None = None

    def begin(self, text: str, total: int | None = None, unit: str = "") -> None:
        """Restarts the stage with another text and count."""
        with _lock:
            self.text, self.total, self.unit, self.done = text, total, unit, 0
            self._began = time.monotonic()
            self.close()

    def advance(self, count: int = 1) -> None:
        """Counts units that are done."""
        self.done += count

    def line(self) -> str:
        """Returns the stage as one line: "decoding: 1,024 of 50,000 images", or "importing TensorFlow … 12 s"."""
        seconds = round(time.monotonic() - self._began)
        if self.total is None:
            return f"{self.text} … {seconds} s" if seconds else f"{self.text} …"
        waited = f" … {seconds} s" if seconds and not self.done else ""  # before the first one, nothing else moves
        return f"{self.text}: {min(self.done, self.total):,} of {self.total:,} {self.unit}s{waited}"

    def beat(self) -> None:
        """Shows the stage if it is time to."""
        global _shown_at
        now = time.monotonic()
        if sys.stderr.isatty():
            if now - self._began >= BAR_DELAY_SECONDS:
                self._draw()
        elif now - _shown_at >= (COUNTED_LINE_SECONDS if self.done else LINE_SECONDS):
            _print_line(self.line())

    def _draw(self) -> None:
        if self._bar is None:
            shape = {"bar_format": "{desc} … {elapsed}"} if self.total is None else {"unit": self.unit}
            self._bar = tqdm(desc=self.text, total=self.total, leave=False, file=_StandardError(), **shape)
            self._bar.start_t -= time.monotonic() - self._began
        self._bar.n = self.done
        self._bar.refresh()

    def close(self) -> None:
        """Takes the bar off the terminal."""
        with _lock:
            bar, self._bar = getattr(self, "_bar", None), None
            if bar is not None:
                bar.close()


_lock = threading.RLock()
_stages: list[Stage] = []  # the innermost last
_shown_at = time.monotonic()  # when the last line was printed; at first, about when the process began


@contextlib.contextmanager
def stage(text: str, total: int | None = None, unit: str = "", at_once: bool = False) -> Iterator[Stage]:
    """Shows what the block does, as long as it does it.

    Args:
        text: what it does, such as "importing TensorFlow".
        total: how many units it has to do; None if they are not counted.
        unit: what is counted, in the singular.
        at_once: where no bar is drawn, print the first line now rather than after some seconds.
    """
    current = Stage(text, total, unit)
    with _lock:
        _stages.append(current)
        if len(_stages) == 1:
            threading.Thread(target=_beat, name="signs of life", daemon=True).start()
    if at_once and _is_on() and not sys.stderr.isatty():
        _print_line(current.line())
    try:
        yield current
    finally:
        with _lock:
            _stages.remove(current)
        current.close()


def counted(items: Iterable[T], text: str, total: int, unit: str) -> Iterator[T]:
    """Yields `items` inside a stage that counts them.

    Args:
        items: what is counted.
        text: what is being done, such as "decoding".
        total: how many there are.
        unit: what each is, in the singular.
    """
    with stage(text, total, unit) as current:
        for item in items:
            yield item
            current.advance()


def write(text: str) -> None:
    """Prints a line of a command to standard error, above the bar if there is one."""
    global _shown_at
    with _lock:
        tqdm.write(text, file=sys.stderr)
        _shown_at = time.monotonic()


def _print_line(text: str) -> None:
    global _shown_at
    _shown_at = time.monotonic()
    print(text, file=sys.stderr, flush=True)


def _is_on() -> bool:
    return os.environ.get("TINYTRAIN_PROGRESS") != "0"


def _beat() -> None:
    while True:
        time.sleep(BEAT_SECONDS)
        with _lock:
            if not _stages:
                return
            with contextlib.suppress(OSError, ValueError):  # standard error is closed, or nobody reads it any more
                if _is_on():
                    _stages[-1].beat()
