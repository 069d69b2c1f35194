"""Processes of a command on this machine: each with an equal part of the processor cores, ended with their parent."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

GRACE_SECONDS = 20.0  # for what the other workers have to say of one that ended by itself, and to end
POLL_SECONDS = 0.1
INTERRUPTED = 130
LAUNCHED = "TINYTRAIN_LAUNCHED"  # of the environment: how many processes --workers has started, of which it is one
GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass
class Worker:
    """A process that was started; number 0 has the terminal.

    printed: the file that the others write to; errors, if it is piped, is what they say on standard error.
    """

    number: int
    process: subprocess.Popen
    printed: IO[str] | None

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        return f"worker {self.number} (process {self.process.pid})"

    @property
    def killed(self) -> str:
        """The name of the signal that has ended it, "" if none has."""
        status = self.process.returncode or 0
        return signal.Signals(-status).name if status < 0 else ""

    @property
    def text(self) -> str:
        """What it has written to `printed`."""
        if self.printed is None:
            return ""
        self.printed.seek(0)
        return self.printed.read()


def launched_flag() -> list[str]:
    """Returns the flag with which this process and others were started, ["--workers=2"]; [] if it runs by itself."""
    count = os.environ.get(LAUNCHED, "")
    return [f"--workers={count}"] if count else []


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start(
    words: Sequence[str],
    number: int,
    count: int,
    variables: Mapping[str, str],
    printed: IO[str] | None,
    errors: IO[str] | int | None,
) -> Worker:
    """Starts `tinytrain` as one of `count` processes, with a GPU of its own where there are enough.

    Args:
        words: of the command line.
        number: which of the processes it is.
        count: how many there are.
        variables: of its environment.
        printed: the file for its standard output, None: ours.
        errors: the same for its standard error, or subprocess.PIPE.
    """
    gpus = len(list(GPUS.iterdir())) if GPUS.is_dir() else 0
    environment = {**os.environ, **variables, LAUNCHED: str(count)}
    environment.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, _cores() // count)))
    if gpus >= count:
        environment.setdefault("CUDA_VISIBLE_DEVICES", str(number))
    process = subprocess.Popen(
        [sys.executable, "-m", "tinytrain", *words],
        env=environment,
        stdin=subprocess.DEVNULL if number else None,
        stdout=printed,
        stderr=errors,
        text=True,
        errors="replace",
        preexec_fn=_die_with_parent,
    )
    return Worker(number, process, printed)


def wait(workers: list[Worker], ready: Callable[[Worker], bool], seconds: float) -> None:
    """Waits until all workers are `ready`, at most for `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(map(ready, workers)):
        time.sleep(POLL_SECONDS)


def end(workers: list[Worker], seconds: float = 0.0) -> None:
    """Waits `seconds` for the workers to end by themselves, then kills those that have not."""
    wait(workers, lambda worker: worker.process.poll() is not None, seconds)
    for worker in workers:
        worker.process.kill()
        worker.process.wait()


def _die_with_parent() -> None:
    """Lets the kernel end this process when its parent ends, in any way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class TermAsInterrupt:
    """Inside of the block, SIGTERM interrupts the workers and raises KeyboardInterrupt, as Ctrl-C does by itself."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers

    def __enter__(self) -> None:
        self.before = signal.signal(signal.SIGTERM, self._interrupt)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self.before)

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # by them too: jobs in the background of a script
        for worker in self.workers:
            worker.process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)
        raise KeyboardInterrupt
