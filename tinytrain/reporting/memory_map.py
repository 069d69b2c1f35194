"""The arena over time: where each buffer lies, and while which operators."""

from dataclasses import dataclass

import numpy as np

from tinytrain.deploy.tflm import memory_planner


@dataclass(frozen=True)
class MemoryMap:
    """The head of the arena with the scratch buffers of CMSIS-NN, as TFLM's planner lays it out.

    Attributes:
        blocks: (offset in bytes, buffer) of each buffer.
        live_bytes: (operators + 1,) bytes in use while each operator, counted from 1, runs; [0] is before the first.
        head_bytes: the size of the head, which is at least the maximum of `live_bytes`.
    """

    blocks: list[tuple[int, memory_planner.Buffer]]
    live_bytes: np.ndarray
    head_bytes: int

    @property
    def peak(self) -> int:
        """The operator, counted from 1, during which most bytes are in use."""
        return int(self.live_bytes[1:].argmax()) + 1

    def scratch_bytes(self, number: int) -> int:
        """Returns the bytes of the scratch buffers of operator `number`, counted from 1."""
        return sum(buffer.size_bytes for _, buffer in self.blocks if buffer.scratch and buffer.first == number)


def read(schedule: memory_planner.Schedule) -> MemoryMap:
    """Returns the memory map of a schedule."""
    blocks = memory_planner.plan(memory_planner.buffers(schedule, cmsis_nn=True))
    live = np.zeros(len(schedule.steps) + 1, np.int64)
    for _, buffer in blocks:
        live[buffer.first : buffer.last + 1] += buffer.size_bytes
    return MemoryMap(blocks, live, max((offset + buffer.size_bytes for offset, buffer in blocks), default=0))
