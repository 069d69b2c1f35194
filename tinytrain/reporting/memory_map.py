"""The arena over time: which buffer lies where, and while which operator runs."""

from dataclasses import dataclass

import numpy as np

from tinytrain.deploy.tflm import memory_planner


@dataclass(frozen=True)
class MemoryMap:
    """The head of the arena, with CMSIS-NN's scratch, as TFLM's planner lays it out.

    blocks: (offset in bytes, buffer); live_bytes: (operators + 1,) in use at each time, 0 before the first operator;
    head_bytes: what all of it takes, at least the most that lives at once.
    """

    blocks: list[tuple[int, memory_planner.Buffer]]
    live_bytes: np.ndarray
    head_bytes: int

    @property
    def peak(self) -> int:
        """The operator, counted from 1, while which most bytes are in use."""
        return int(self.live_bytes[1:].argmax()) + 1

    def scratch_bytes(self, time: int) -> int:
        """Returns what CMSIS-NN takes for itself while operator `time` runs."""
        return sum(buffer.size_bytes for _, buffer in self.blocks if buffer.scratch and buffer.first == time)


def read(schedule: memory_planner.Schedule) -> MemoryMap:
    """Returns the map of a schedule."""
    blocks = memory_planner.plan(memory_planner.buffers(schedule, cmsis_nn=True))
    live = np.zeros(len(schedule.steps) + 1, np.int64)
    for _, buffer in blocks:
        live[buffer.first : buffer.last + 1] += buffer.size_bytes
    return MemoryMap(blocks, live, max((offset + buffer.size_bytes for offset, buffer in blocks), default=0))
