"""Starts the workers of a training on this machine, and ends all of them where one ends: `tinytrain fit --workers N`.

Each is a process of its own with a TF_CONFIG of its own, an equal part of the processor cores, and a GPU where there
are enough. The chief has the terminal; of the others a sentence is shown only if the chief does not say it.
"""

import ctypes
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tinytrain.workers import cluster

GRACE_SECONDS = 20.0  # for what the other workers have to say of one that ended by itself, and to end
POLL_SECONDS = 0.1
INTERRUPTED = 130
GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass
class Worker:
    """A worker that runs: its process, and what it prints unless it is the chief."""

    number: int
    process: subprocess.Popen
    printed: IO[str] | None

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        return f"worker {self.number} (process {self.process.pid})"

    @property
    def killed(self) -> bool:
        """Whether a signal has ended it."""
        return (self.process.returncode or 0) < 0

    def last_line(self) -> str:
        """Returns the last line that it has printed."""
        if self.printed is None:
            return ""
        self.printed.seek(0)
        return (self.printed.read().strip().splitlines() or [""])[-1].removeprefix("tinytrain: ")


def launch(words: Sequence[str], count: int, restarts: int, out: Path | None) -> int:
    """Runs `tinytrain` with the same words in `count` processes and returns the exit status.

    Args:
        words: of the command line, without --workers and --restarts.
        count: how many processes.
        restarts: how many times all are started again after one was killed, to go on with the run in `out`.
        out: the run folder, if it is known.
    """
    for left in range(restarts, -1, -1):
        going_on = ["--resume"] if out and (out / "config.toml").is_file() and "--resume" not in words else []
        status, sentence = _run([*words, *(going_on if left < restarts else [])], count)
        if sentence:
            again = "they start again" if left else _how_to_go_on(out)
            print(f"tinytrain: {sentence}; {again}", file=sys.stderr)
        if not sentence or not left:
            break
    return status


def _how_to_go_on(out: Path | None) -> str:
    folder = f"--out {shlex.quote(str(out))}" if out else "--out RUN, its folder,"
    return f"go on with the same command, {folder} and --resume"


def _run(words: Sequence[str], count: int) -> tuple[int, str]:
    """Returns (exit status, a sentence about a worker that was killed or "") once all workers have ended."""
    workers: list[Worker] = []
    try:
        with _TermAsInterrupt():
            workers = _started(words, count)
            first = _first_to_fail(workers)
            if first is None:
                return 0, ""
            return _ended(workers, first)
    except KeyboardInterrupt:
        _wait(workers, lambda worker: worker.process.poll() is not None, GRACE_SECONDS / 2)
        return INTERRUPTED, ""
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()


def _started(words: Sequence[str], count: int) -> list[Worker]:
    addresses, gpus = free_addresses(count), len(list(GPUS.iterdir())) if GPUS.is_dir() else 0
    workers = []
    for number in range(count):
        environment = os.environ | {cluster.VARIABLE: cluster.to_text(addresses, number)}
        environment.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, _cores() // count)))
        if gpus >= count:
            environment.setdefault("CUDA_VISIBLE_DEVICES", str(number))
        printed = tempfile.TemporaryFile("w+", errors="replace") if number else None  # noqa: SIM115 closed with it
        process = subprocess.Popen(
            [sys.executable, "-m", "tinytrain", *words],
            env=environment,
            stdin=subprocess.DEVNULL if number else None,
            stdout=printed,
            stderr=printed,
            preexec_fn=_die_with_parent,
        )
        workers.append(Worker(number, process, printed))
    return workers


def _first_to_fail(workers: list[Worker]) -> Worker | None:
    """Returns the worker that fails first, once one has; None once all have ended well."""
    while True:
        statuses = [worker.process.poll() for worker in workers]
        for worker, status in zip(workers, statuses, strict=True):
            if status not in (None, 0):
                return worker
        if all(status == 0 for status in statuses):
            return None
        time.sleep(POLL_SECONDS)


def _ended(workers: list[Worker], first: Worker) -> tuple[int, str]:
    """Returns what `_run` does, after one worker has ended with an error."""
    if first.killed:
        name = signal.Signals(-first.process.returncode).name
        return 1, f"{first.name} of {len(workers)} was killed by {name}, and the others were ended"
    chief = workers[0]
    _wait([chief], lambda worker: worker.process.poll() is not None, GRACE_SECONDS)
    status = chief.process.poll()
    if status is not None and status > 0:  # it has said why
        return status, ""
    print(f"tinytrain: {first.name} of {len(workers)} ended: {first.last_line()}", file=sys.stderr)
    return max(first.process.returncode, 1), ""


def _wait(workers: list[Worker], ready: Callable[[Worker], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(map(ready, workers)):
        time.sleep(POLL_SECONDS)


def free_addresses(count: int) -> tuple[str, ...]:
    """Returns addresses of this machine whose ports are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    for one in sockets:
        one.close()
    return addresses


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _die_with_parent() -> None:
    """Lets the kernel end this process when its parent ends, in any way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class _TermAsInterrupt:
    """Inside of the block, SIGTERM raises KeyboardInterrupt, so that the workers are ended."""

    def __enter__(self) -> None:
        self.before = signal.signal(signal.SIGTERM, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self.before)
