"""Where the activations lie in the arena, planned when exporting: TFLM takes it from the flatbuffer's metadata.

TFLM's own planner places the largest first and leaves gaps; a few hundred other orders find a better place. And an
output of our kernels may lie over its input, if the operator is the last to read that: rows are written while later
ones are still to be read, so the output must begin some bytes before it (`Kernel.lead`). Scratch memory cannot be
planned so: TFLM puts it where it finds a gap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tinytrain.deploy.tflm.memory_planner import ALIGNMENT_BYTES, Buffer, Schedule, align, buffers, scratch_of

ORDERS = 300
Leads = Mapping[tuple[int, int], int]  # of (output, input) that may overlap


@dataclass(frozen=True)
class Needs:
    """What an operator asks for: scratch memory in bytes, each piece; and its lead (`Kernel.lead`), None without."""

    scratch: tuple[int, ...] = ()
    lead: int | None = None


@dataclass(frozen=True)
class Placement:
    """The plan of the arena's head.

    offsets: of each activation by its number; blocks: (offset, buffer) of each of them, and of all scratch memory where
    TFLM will find a gap for it; scratch_count: how many of these there are.
    """

    offsets: Mapping[int, int]
    blocks: Sequence[tuple[int, Buffer]]

    @property
    def head_bytes(self) -> int:
        """The bytes of the head."""
        return _end(self.blocks)

    @property
    def scratch_count(self) -> int:
        """How many pieces of scratch memory operators ask for."""
        return sum(buffer.scratch for _, buffer in self.blocks)


def plan(schedule: Schedule, needs: Sequence[Needs | None], orders: int = ORDERS) -> Placement:
    """Returns where the activations of a network lie; `needs` are those of its operators, None for those of TFLM."""
    numbers = sorted({*schedule.inputs, *(output for step in schedule.steps for output in step.outputs)})
    tensors = dict(zip(numbers, buffers(schedule, cmsis_nn=False), strict=True))
    leads: dict[tuple[int, int], int] = {}
    scratch: dict[int, tuple[int, ...]] = {}
    for time, (step, need) in enumerate(zip(schedule.steps, needs, strict=True), 1):
        scratch[time] = scratch_of(step, schedule.shapes) if need is None else need.scratch
        if need is not None and need.lead is not None:
            output = step.outputs[0]
            leads |= {(output, source): need.lead for source in step.inputs if tensors[source].last == time}
    return place(tensors, leads, scratch, orders)


def place(
    tensors: Mapping[int, Buffer],
    leads: Leads,
    scratch: Mapping[int, Sequence[int]] = MappingProxyType({}),
    orders: int = ORDERS,
    enough: int = 0,
) -> Placement:
    """Returns offsets at which no two buffers that live at the same time meet, but as `leads` allows.

    Args:
        tensors: the buffers.
        leads: how many bytes before an input an output begins at least that may overwrite it.
        scratch: the sizes of scratch memory by the time when it is needed.
        orders: how many random orders are tried.
        enough: bytes of an arena that end the search; where no random order reaches them, the best one is improved.
    """
    random = np.random.default_rng(0)
    tried = [sorted(tensors, key=lambda number: -tensors[number].size_bytes), sorted(tensors)]
    for _ in range(orders):
        factors = dict(zip(tensors, np.exp(random.uniform(-2.5, 0, len(tensors))), strict=True))
        tried.append(sorted(tensors, key=lambda number: -tensors[number].size_bytes * factors[number]))
    together = {
        number: [other for other, buffer in tensors.items() if _meet(tensors[number], buffer)] for number in tensors
    }
    live = {time: [n for n, buffer in tensors.items() if buffer.first <= time <= buffer.last] for time in scratch}

    def blocks(placed: Mapping[int, int]) -> list[tuple[int, Buffer]]:
        """Returns the activations and the scratch memory."""
        found = [(offset, tensors[number]) for number, offset in placed.items()]
        for time, sizes in scratch.items():
            found += _scratch([(placed[n], placed[n] + tensors[n].size_bytes) for n in live[time]], sizes, time)
        return found

    best, best_order = dict[int, int](), tried[0]
    for order in tried:
        placed = _placed(order, tensors, together, leads)
        if not best or _end(blocks(placed)) < _end(blocks(best)):
            best, best_order = placed, order
        if _end(blocks(best)) <= enough:
            break
    for _ in range(orders if enough else 0):
        if _end(blocks(best)) <= enough:
            break
        order = _moved(best_order, best, tensors, together, random)
        placed = _placed(order, tensors, together, leads)
        if _end(blocks(placed)) <= _end(blocks(best)):  # equal ones lead out of a dead end
            best, best_order = placed, order
    return Placement(best, blocks(best))


def _moved(
    order: Sequence[int],
    placed: Mapping[int, int],
    tensors: Mapping[int, Buffer],
    together: Mapping[int, Sequence[int]],
    random: np.random.Generator,
) -> list[int]:
    """Returns an order with one of the buffers moved that live together with the one at the end of the arena."""
    highest = max(placed, key=lambda number: placed[number] + tensors[number].size_bytes)
    moved = [*order]
    moved.remove(chosen := int(random.choice(together[highest])))
    moved.insert(int(random.integers(len(order))), chosen)
    return moved


def _end(blocks: Sequence[tuple[int, Buffer]]) -> int:
    return max((offset + buffer.size_bytes for offset, buffer in blocks), default=0)


def _meet(first: Buffer, second: Buffer) -> bool:
    return first.first <= second.last and second.first <= first.last


def _scratch(taken: Sequence[tuple[int, int]], sizes: Sequence[int], time: int) -> list[tuple[int, Buffer]]:
    """Returns where TFLM puts scratch memory beside what is taken (begin, end), the largest piece first."""
    taken, placed = sorted(taken), list[tuple[int, Buffer]]()
    for size in sorted(map(align, sizes), reverse=True):
        offset = 0
        for begin, end in taken:
            if begin - offset >= size:
                break
            offset = max(offset, end)
        taken = sorted([*taken, (offset, offset + size)])
        placed.append((offset, Buffer(size, time, time, scratch=True)))
    return placed


def _placed(
    order: Sequence[int], tensors: Mapping[int, Buffer], together: Mapping[int, Sequence[int]], leads: Leads
) -> dict[int, int]:
    """Places buffers in an order, each at the lowest offset that those before it allow."""
    placed: dict[int, int] = {}
    for number in order:
        taken = sorted(
            (
                placed[other] - distance(number, other, tensors, leads),
                placed[other] + distance(other, number, tensors, leads),
            )
            for other in together[number]
            if other in placed
        )
        offset = 0
        for low, high in taken:  # offsets between them, both excluded, are taken
            if low < offset < high:
                offset = -(-high // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        placed[number] = offset
    return placed


def distance(first: int, second: int, tensors: Mapping[int, Buffer], leads: Leads) -> int:
    """Returns how many bytes after `first` the buffer `second` begins at least, where it begins later."""
    return min(leads.get((first, second), tensors[first].size_bytes), tensors[first].size_bytes)
