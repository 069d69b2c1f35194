"""Where the activations lie in the arena, planned when exporting: TFLM takes it from the flatbuffer's metadata.

TFLM's own planner places the largest first and leaves gaps; a few hundred other orders find a better place. And an
output of our kernels may lie over its input, if the operator is the last to read that: rows are written while later
ones are still to be read, so the output must begin some bytes before it (`Kernel.lead`).
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.deploy.tflm import memory_planner
from tinytrain.deploy.tflm.memory_planner import ALIGNMENT_BYTES, Buffer
from tinytrain.tflite.model import Model

ORDERS = 300
Leads = Mapping[tuple[int, int], int]  # of (output, input) that may overlap


def offsets(model: Model, kernels: Sequence[Kernel | Refusal]) -> dict[int, int]:
    """Returns the offset of each activation of `model`, by its number; `kernels` are those of its operators."""
    schedule = memory_planner.schedule(model)
    numbers = sorted({*schedule.inputs, *(output for step in schedule.steps for output in step.outputs)})
    buffers = dict(zip(numbers, memory_planner.buffers(schedule, cmsis_nn=False), strict=True))
    leads: dict[tuple[int, int], int] = {}
    for time, (step, kernel) in enumerate(zip(schedule.steps, kernels, strict=True), 1):
        if isinstance(kernel, Kernel) and kernel.lead is not None:
            output = step.outputs[0]
            leads |= {(output, source): kernel.lead for source in step.inputs if buffers[source].last == time}
    return place(buffers, leads)


def place(buffers: Mapping[int, Buffer], leads: Leads, enough: int = 0) -> dict[int, int]:
    """Returns offsets at which no two buffers that live at the same time meet, but as `leads` allows.

    The search ends when all fit `enough` bytes.
    """
    best: dict[int, int] = {}
    others = {number: [each for each in buffers if _meet(buffers[number], buffers[each])] for number in buffers}
    for order in _orders(buffers):
        placed = _placed(order, buffers, leads, others)
        if not best or _total(placed, buffers) < _total(best, buffers):
            best = placed
        if _total(best, buffers) <= enough:
            break
    return best


def _orders(buffers: Mapping[int, Buffer]) -> Iterator[list[int]]:
    """Yields orders in which to place the buffers."""
    random = np.random.default_rng(0)
    yield sorted(buffers, key=lambda number: -buffers[number].size_bytes)
    yield sorted(buffers)
    for _ in range(ORDERS):
        factors = dict(zip(buffers, np.exp(random.uniform(-2.5, 0, len(buffers))), strict=True))
        yield sorted(buffers, key=lambda number: -buffers[number].size_bytes * factors[number])


def _total(placed: Mapping[int, int], buffers: Mapping[int, Buffer]) -> int:
    return max(offset + buffers[number].size_bytes for number, offset in placed.items())


def _meet(one: Buffer, other: Buffer) -> bool:
    """Returns whether two buffers live at the same time."""
    return one.first <= other.last and other.first <= one.last


def _placed(
    order: Sequence[int], buffers: Mapping[int, Buffer], leads: Leads, others: Mapping[int, Sequence[int]]
) -> dict[int, int]:
    """Places buffers in an order, each at the lowest offset that those before it allow.

    Args:
        order: of the buffers.
        buffers: by their numbers.
        leads: as in `place`.
        others: of each buffer those that live at the same time.
    """
    placed: dict[int, int] = {}
    for number in order:
        taken = sorted(
            (offset - distance(number, other, buffers, leads), offset + distance(other, number, buffers, leads))
            for other in others[number]
            if (offset := placed.get(other)) is not None
        )
        offset = 0
        for low, high in taken:  # offsets between them, both excluded, are taken
            if low < offset < high:
                offset = -(-high // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        placed[number] = offset
    return placed


def distance(first: int, second: int, buffers: Mapping[int, Buffer], leads: Leads) -> int:
    """Returns how many bytes after `first` the buffer `second` begins at least, where it begins later."""
    return min(leads.get((first, second), buffers[first].size_bytes), buffers[first].size_bytes)
