"""Starts the workers of a training on this machine, and ends all of them where one ends: `tinytrain fit --workers N`.

Each is a process of its own with a TF_CONFIG of its own, an equal part of the processor cores, and a GPU where there
are enough. The chief has the terminal; of the others a sentence is shown only if the chief does not say it.
"""

import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tinytrain.workers import cluster, processes
from tinytrain.workers.processes import Worker


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
        with processes.TermAsInterrupt(workers):
            _start(workers, words, count)
            first = _first_to_fail(workers)
            if first is None:
                return 0, ""
            return _ended(workers, first)
    except KeyboardInterrupt:
        processes.end(workers, processes.GRACE_SECONDS / 2)
        return processes.INTERRUPTED, ""
    finally:
        processes.end(workers)


def _start(workers: list[Worker], words: Sequence[str], count: int) -> None:
    """Adds `count` workers, which run, to `workers`."""
    addresses = free_addresses(count)
    for number in range(count):
        variables = {cluster.VARIABLE: cluster.to_text(addresses, number)}
        printed = tempfile.TemporaryFile("w+", errors="replace") if number else None  # noqa: SIM115 closed with it
        workers.append(processes.start(words, number, count, variables, printed, printed))


def _first_to_fail(workers: list[Worker]) -> Worker | None:
    """Returns the worker that fails first, once one has; None once all have ended well."""
    while True:
        statuses = [worker.process.poll() for worker in workers]
        for worker, status in zip(workers, statuses, strict=True):
            if status not in (None, 0):
                return worker
        if all(status == 0 for status in statuses):
            return None
        time.sleep(processes.POLL_SECONDS)


def _ended(workers: list[Worker], first: Worker) -> tuple[int, str]:
    """Returns what `_run` does, after one worker has ended with an error."""
    if first.killed:
        return 1, f"{first.name} of {len(workers)} was killed by {first.killed}, and the others were ended"
    chief = workers[0]
    processes.wait([chief], lambda worker: worker.process.poll() is not None, processes.GRACE_SECONDS)
    status = chief.process.poll()
    if status is not None and status > 0:  # it has said why
        return status, ""
    print(f"tinytrain: {first.name} of {len(workers)} ended: {_last_line(first)}", file=sys.stderr)
    return max(first.process.returncode, 1), ""


def _last_line(worker: Worker) -> str:
    return (worker.text.strip().splitlines() or [""])[-1].removeprefix("tinytrain: ")


def free_addresses(count: int) -> tuple[str, ...]:
    """Returns addresses of this machine whose ports are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
    for one in sockets:
        one.close()
    return addresses
