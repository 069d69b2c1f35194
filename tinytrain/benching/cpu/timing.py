"""How fast networks are, measured side by side: windows of time, one of each network after the other, in rounds.

Other work on the machine slows all of them, so that their ratios hold where their times do not. What a window finds in
the caches is its own: each begins with a warm-up that does not count.
"""

import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tinytrain import progress
from tinytrain.deploy.cpu.session import Session, Window

Key = TypeVar("Key", bound=Hashable)
WINDOWS = 5
WINDOW_S = 1.0
WARM_UP = 0.2  # of a window


@dataclass(frozen=True)
class Timing:
    """The windows of one network; `streams` is how many images it took at once."""

    streams: int
    windows: Sequence[Window]

    @property
    def milliseconds(self) -> float:
        """The median of all inferences, in ms."""
        return float(np.median(self._latencies))

    @property
    def rate(self) -> float:
        """The median over the windows, in inferences a second."""
        return statistics.median(window.rate for window in self.windows)

    def report(self) -> dict[str, Any]:
        """Returns what bench.json holds: medians and spread of the time of an inference and of the rate."""
        low, high = (float(value) for value in np.percentile(self._latencies, (10, 90)))
        rates = [window.rate for window in self.windows]
        return {
            "streams": self.streams,
            "inferences": len(self._latencies),
            "milliseconds": self.milliseconds,
            "p10_milliseconds": low,
            "p90_milliseconds": high,
            "min_milliseconds": float(self._latencies.min()),
            "max_milliseconds": float(self._latencies.max()),
            "inferences_per_second": self.rate,
            "min_inferences_per_second": min(rates),
            "max_inferences_per_second": max(rates),
        }

    @property
    def _latencies(self) -> np.ndarray:
        return 1000 * np.concatenate([window.latencies for window in self.windows])


def measure(
    sessions: Mapping[Key, Session], images: Mapping[Key, np.ndarray], windows: int = WINDOWS, seconds: float = WINDOW_S
) -> dict[Key, Timing]:
    """Returns how fast each of the sessions is.

    Args:
        sessions: the networks, by any keys.
        images: (1, H, W, C) for each, as it takes them.
        windows: how many each of them gets.
        seconds: how long a window is, without its warm-up.
    """
    measured: dict[Key, list[Window]] = {key: [] for key in sessions}
    with progress.stage("measuring", windows * len(sessions), "window") as stage:
        for _ in range(windows):
            for key, session in sessions.items():
                session.window(images[key], WARM_UP * seconds)
                measured[key].append(session.window(images[key], seconds))
                stage.advance()
    return {key: Timing(session.streams, measured[key]) for key, session in sessions.items()}
