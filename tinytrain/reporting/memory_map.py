"""The arena over time: where each buffer lies, and while which operators."""

from dataclasses import dataclass

import numpy as np

from tinytrain.deploy.kernels.derive import derive
from tinytrain.deploy.tflm import memory_planner
from tinytrain.tflite.model import Model


@dataclass(frozen=True)
class MemoryMap:
    """The head of the arena with the scratch memory of the kernels.

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


def read(model: Model, own_kernels: bool) -> MemoryMap:
    """Returns the memory map of a .tflite: as the export plans it with kernels of ours, else as TFLM does."""
    placed = derive(model).placement if own_kernels else None
    if placed is None:
        placed_blocks = memory_planner.plan(memory_planner.buffers(memory_planner.schedule(model), cmsis_nn=True))
    else:
        placed_blocks = list(placed.blocks)
    times = range(len(model.operators) + 1)
    live = np.array(
        [used_bytes([block for block in placed_blocks if _lives(block[1], time)]) for time in times], np.int64
    )
    ends = (offset + buffer.size_bytes for offset, buffer in placed_blocks)
    return MemoryMap(placed_blocks, live, max(ends, default=0))


def _lives(buffer: memory_planner.Buffer, time: int) -> bool:
    return buffer.first <= time <= buffer.last


def used_bytes(blocks: list[tuple[int, memory_planner.Buffer]]) -> int:
    """Returns the bytes that blocks take together; an output may lie over its input."""
    used = end = 0
    for offset, buffer in sorted(blocks, key=lambda block: block[0]):
        used += max(offset + buffer.size_bytes - max(offset, end), 0)
        end = max(end, offset + buffer.size_bytes)
    return used
