"""The arena over time: where each buffer lies, and while which operators."""

from dataclasses import dataclass
from typing import Any

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
        rows: the places in `blocks` of rows of maps that fused operators hand on, in place of whole maps.
        compiled: whether the compiled engine runs the model.
        steps: the operators, counted from 1, that the compiled engine runs together; empty for TFLM.
    """

    blocks: list[tuple[int, memory_planner.Buffer]]
    live_bytes: np.ndarray
    head_bytes: int
    rows: frozenset[int] = frozenset()
    compiled: bool = False
    steps: tuple[tuple[int, ...], ...] = ()

    @property
    def peak(self) -> int:
        """The operator, counted from 1, during which most bytes are in use."""
        return int(self.live_bytes[1:].argmax()) + 1

    @property
    def peak_operators(self) -> tuple[int, ...]:
        """The operator of the peak, counted from 1, and those that run together with it."""
        return next((step for step in self.steps if self.peak in step), (self.peak,))

    @property
    def peak_step(self) -> str:
        """The operators of the peak in words."""
        first, last = min(self.peak_operators), max(self.peak_operators)
        return f"operator {first}" if first == last else f"operators {first} to {last}"

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
    ends = (offset + buffer.size_bytes for offset, buffer in placed_blocks)
    return MemoryMap(placed_blocks, _live(placed_blocks, len(model.operators)), max(ends, default=0))


def compiled(section: dict[str, Any], operators: int) -> MemoryMap:
    """Returns the memory map of the compiled engine.

    Args:
        section: "engine" of report.json.
        operators: how many the model has.
    """
    steps = tuple(tuple(number + 1 for number in step["operators"]) for step in section["steps"])
    begins = [0, *(min(step) for step in steps)]  # by the number of the step, from 1
    ends = [0, *(max(step) for step in steps)]
    rows = section["buffers"]
    blocks = [
        (
            row["offset"],
            memory_planner.Buffer(
                row["bytes"], begins[row["first"]], ends[row["last"]], scratch=row["kind"] == "scratch"
            ),
        )
        for row in rows
    ]
    inner = frozenset(place for place, row in enumerate(rows) if row["kind"] == "rows")
    return MemoryMap(blocks, _live(blocks, operators), section["arena_bytes"], inner, compiled=True, steps=steps)


def _live(blocks: list[tuple[int, memory_planner.Buffer]], operators: int) -> np.ndarray:
    """Returns (operators + 1,) the bytes in use while each operator, counted from 1, runs."""
    times = range(operators + 1)
    return np.array([used_bytes([block for block in blocks if _lives(block[1], time)]) for time in times], np.int64)


def _lives(buffer: memory_planner.Buffer, time: int) -> bool:
    return buffer.first <= time <= buffer.last


def used_bytes(blocks: list[tuple[int, memory_planner.Buffer]]) -> int:
    """Returns the bytes that blocks take together; an output may lie over its input."""
    used = end = 0
    for offset, buffer in sorted(blocks, key=lambda block: block[0]):
        used += max(offset + buffer.size_bytes - max(offset, end), 0)
        end = max(end, offset + buffer.size_bytes)
    return used
