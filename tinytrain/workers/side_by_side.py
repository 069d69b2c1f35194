"""Starts processes that share the runs of an experiment on this machine: `tinytrain compare --workers N`.

Each is the same command, and takes the runs that no other has (experiments/sharing.py), so one that ends early takes
nothing with it but its time. Worker 0 has the terminal; the lines of the others come with their number in front.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import IO

from tinytrain.errors import escaped
from tinytrain.workers import processes
from tinytrain.workers.processes import Worker

OURS = "tinytrain: "  # begins a sentence about what is wrong


class Relay(threading.Thread):
    """Prints what a worker says on standard error, line by line, except how it ended, which is kept in `last`.

    What is wrong with the command, for example, all of them say, and one is enough.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__(name=f"lines of worker {worker.number}", daemon=True)
        self.worker, self.last, self.silent = worker, "", False
        self.start()

    def run(self) -> None:
        """Prints the lines until the worker has ended."""
        lines: IO[str] | None = self.worker.process.stderr
        for line in lines or ():
            self.flush()
            if line.startswith(OURS):
                self.last = line
            elif line.strip():
                self._print(line)

    def flush(self) -> None:
        """Prints what was kept."""
        if self.last:
            self._print(self.last)
        self.last = ""

    def _print(self, line: str) -> None:
        if not self.silent:
            erase = "\r\x1b[K" if sys.stderr.isatty() else ""  # the bar of worker 0, which draws it again
            print(f"{erase}worker {self.worker.number}: {escaped(line.rstrip())}", file=sys.stderr, flush=True)


def launch(words: Sequence[str], count: int) -> int:
    """Runs `tinytrain` with the same words in `count` processes and returns the exit status.

    That is the status of worker 0 or, if it was killed, of the first that was not.
    """
    workers: list[Worker] = []
    relays: list[Relay] = []
    try:
        with processes.TermAsInterrupt(workers):
            for number in range(count):
                workers.append(_started(words, number, count))
            relays += map(Relay, workers[1:])  # threads only now, which a fork does not take along
            _wait_for_all(workers)
    except KeyboardInterrupt:
        for relay in relays:
            relay.silent = True
        processes.end(workers, processes.GRACE_SECONDS / 2)
        return processes.INTERRUPTED
    finally:
        processes.end(workers)
    return _status(workers, relays)


def _started(words: Sequence[str], number: int, count: int) -> Worker:
    if number == 0:
        return processes.start(words, number, count, {}, None, None)
    table = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 closed with the worker
    return processes.start(words, number, count, {"TINYTRAIN_PROGRESS": "0"}, table, subprocess.PIPE)


def _wait_for_all(workers: list[Worker]) -> None:
    """Waits until all have ended, and says which were killed."""
    running = list(workers)
    while running:
        for worker in [worker for worker in running if worker.process.poll() is not None]:
            running.remove(worker)
            if worker.killed:
                goes_on = "the others continue" if running else "run the same command again to continue"
                print(f"{OURS}{worker.name} was killed by {worker.killed}; {goes_on}", file=sys.stderr)
        time.sleep(processes.POLL_SECONDS)


def _status(workers: list[Worker], relays: list[Relay]) -> int:
    """Returns the exit status, after printing what only other workers than the first have to say."""
    survivors = [worker for worker in workers if not worker.killed]
    status = survivors[0].process.returncode if survivors else 1
    for relay in relays:
        relay.join()
        if workers[0].killed or workers[0].process.returncode == 0:
            relay.flush()
    if survivors and survivors[0].number:
        print(survivors[0].text, end="")
    return status
