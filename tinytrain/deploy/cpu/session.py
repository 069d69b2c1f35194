"""A network that a runtime has loaded for one of three uses of a CPU, and how many images it takes in some seconds.

ONE_CORE is one image after the other on one core, which compares with other machines. LATENCY is one image after the
other on all cores, THROUGHPUT as many at once as the runtime likes: the performance hints of OpenVINO.
"""

import abc
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ONE_CORE, LATENCY, THROUGHPUT = "one_core", "latency", "throughput"
MODES = (ONE_CORE, LATENCY, THROUGHPUT)


@dataclass(frozen=True)
class Window:
    """What was done in a window of time: its `seconds`, and the seconds of each inference that ended in it."""

    seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Inferences a second."""
        return len(self.latencies) / self.seconds


class Session(abc.ABC):
    """A loaded network; `streams` is how many images it takes at once."""

    streams = 1

    @abc.abstractmethod
    def infer(self, image: np.ndarray) -> list[np.ndarray]:
        """Returns each output (1, …) for one image (1, H, W, C), of the type that the network takes."""

    def window(self, image: np.ndarray, seconds: float) -> Window:
        """Runs one image again and again until `seconds` are over, and at least once in each stream."""
        latencies: list[float] = []
        began = now = time.perf_counter()
        while now - began < seconds or not latencies:
            before = now
            self.infer(image)
            now = time.perf_counter()
            latencies.append(now - before)
        return Window(now - began, latencies)


class Threads(Session):
    """Several sessions of one network, each in a thread of its own: streams for a runtime that has none.

    The runtime must let go of Python's lock while it computes.
    """

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.sessions, self.streams = sessions, len(sessions)

    def infer(self, image: np.ndarray) -> list[np.ndarray]:
        """As Session says, in the first of them."""
        return self.sessions[0].infer(image)

    def window(self, image: np.ndarray, seconds: float) -> Window:
        """As Session says, in all of them at once."""
        windows: list[Window] = []

        def run(session: Session) -> None:
            windows.append(session.window(image, seconds))

        threads = [threading.Thread(target=run, args=(session,)) for session in self.sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        longest = max(window.seconds for window in windows)
        return Window(longest, [latency for window in windows for latency in window.latencies])
