"""What runs in which order, what is fused, and where everything lies in the arena: planned when exporting.

The planner looks for the smallest arena over the whole network, then for the fewest instructions with it. At each
border between two steps the same tensors are alive, whatever was fused before and after it; so the best plan up to
a border is the best of those that end in a plain node or a group there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinytrain.deploy.compiled import overhead
from tinytrain.deploy.compiled.fused import Group, group, stages_of
from tinytrain.deploy.compiled.nodes import Network, Node
from tinytrain.deploy.kernels import placement
from tinytrain.deploy.tflm.memory_planner import Buffer, align

Step = Node | Group
FEW_NODES, MOST_NODES = 4, 12  # of a group
BANDS = (2, 4, 8, 16)


@dataclass(frozen=True)
class Plan:
    """Steps in order; offsets of each buffer, of rings and, by the number of the step, of scratch memory.

    peak: the step that needs the arena's end; added: instructions that fusing costs, estimated; blocks: offset and
    life of all of them by their numbers, counted in steps from 1.
    """

    network: Network
    steps: Sequence[Step]
    offsets: Mapping[int, int]
    scratch: Mapping[int, int]
    arena_bytes: int
    peak: int
    added: int
    blocks: Mapping[int, tuple[int, Buffer]]

    @property
    def input_rows(self) -> int:
        """How many rows of the input are in RAM at a time; 0: all of it is there before the first step."""
        return _rings(self.steps[0]).get(self.network.source, 0) if self.steps else 0


@dataclass(frozen=True)
class Choice:
    """A step that runs the nodes from `begin` to `end`; `cost`: instructions more than those of plain nodes."""

    begin: int
    end: int
    step: Step
    bytes_: int
    cost: int


def plan(network: Network, limit: int = 0) -> Plan:
    """Returns the plan of the smallest arena, or of the fewest instructions within `limit` bytes if it fits them."""
    places = range(len(network.nodes))
    plain = [_choice(network, place, place + 1, network.nodes[place], 0) for place in places]
    groups = list(_groups(network, plain, range(1, FEW_NODES + 1), 2**62))
    groups += _groups(network, plain, range(FEW_NODES + 1, MOST_NODES + 1), _smallest(network, [*plain, *groups]))
    bound = max(_smallest(network, [*plain, *groups]), limit)
    fitting = [choice for choice in groups if choice.bytes_ <= bound and _most(plain, choice.begin, choice.end) > bound]
    wider = [wide for choice in fitting for wide in _wider(network, choice, bound)]
    chosen = _cheapest(network, [*(choice for choice in plain if choice.bytes_ <= bound), *fitting, *wider])
    peak = max(choice.bytes_ for choice in chosen)
    return placed(network, [choice.step for choice in chosen], peak, sum(choice.cost for choice in chosen))


def _choice(network: Network, begin: int, end: int, step: Step, cost: int) -> Choice:
    rings = ring_bytes(network, step) if isinstance(step, Group) else {}
    local = _scratch(step) + sum(align(size) for size in rings.values())
    by_rows = network.source in rings
    return Choice(begin, end, step, _bytes(network, begin, end, _leads(step), local, input_by_rows=by_rows), cost)


def _most(plain: Sequence[Choice], begin: int, end: int) -> int:
    """Returns the peak of the nodes from `begin` to `end` by themselves."""
    return max(choice.bytes_ for choice in plain[begin:end])


def _groups(network: Network, plain: Sequence[Choice], counts: Iterable[int], below: int) -> Iterator[Choice]:
    """Yields the groups of so many nodes that could lower the peak, and could take less than `below` bytes.

    Their rings are the smallest: one row of the output at a time. The input is by rows in those that can have it so.
    """
    for count in counts:
        for begin in range(len(network.nodes) - count + 1):
            yield from _at(network, begin, begin + count, below)


def _at(network: Network, begin: int, end: int, below: int) -> Iterator[Choice]:
    """Yields the groups of the nodes from `begin` to `end`, as `_groups` says."""
    overlapped = dict.fromkeys(network.sizes, 0)
    for by_rows in (False, True) if begin == 0 else (False,):
        if end - begin + by_rows < 2 or _bytes(network, begin, end, overlapped, 0, input_by_rows=by_rows) >= below:
            continue
        if (stages := stages_of(network, begin, end, input_by_rows=by_rows)) is not None:
            fused = group(network, stages, 1)
            yield _choice(network, begin, end, fused, overhead.instructions(fused, stages))


def _wider(network: Network, choice: Choice, most: int) -> Iterator[Choice]:
    """Yields the group of a choice with more rows at a time, as long as it takes at most `most` bytes."""
    by_rows = network.source in _rings(choice.step)
    stages = stages_of(network, choice.begin, choice.end, input_by_rows=by_rows)
    if stages is None:
        return
    for band in BANDS:
        fused = group(network, stages, band)
        wide = _choice(network, choice.begin, choice.end, fused, overhead.instructions(fused, stages))
        if band >= stages[-1].height or wide.bytes_ > most:
            return
        yield wide


def ring_bytes(network: Network, fused: Group) -> dict[int, int]:
    """Returns the bytes of each ring of a group."""
    heights = {node.output: node.operator.outputs[0].shape[1] for node in fused.nodes}
    if network.source in fused.rings:
        heights[network.source] = network.source_shape[1]
    return {buffer: rows * (network.sizes[buffer] // heights[buffer]) for buffer, rows in fused.rings.items()}


def _rings(step: Step) -> Mapping[int, int]:
    return step.rings if isinstance(step, Group) else {}


def output_of(step: Step) -> int:
    """Returns the buffer that a step writes."""
    return step.nodes[-1].output if isinstance(step, Group) else step.output


def _leads(step: Step) -> Mapping[int, int]:
    """Returns how many bytes before each input the output may begin at least, without those that it must not meet."""
    if isinstance(step, Group):
        return step.leads
    return {} if step.kernel.lead is None else dict.fromkeys(step.inputs, step.kernel.lead)


def _scratch(step: Step) -> int:
    nodes = step.nodes if isinstance(step, Group) else [step]
    return max(align(node.kernel.scratch_bytes) for node in nodes)


def _bytes(
    network: Network, begin: int, end: int, leads: Mapping[int, int], local: int, *, input_by_rows: bool = False
) -> int:
    """Returns what is alive while the nodes from `begin` to `end` run as one step with `local` bytes of their own."""
    output = network.nodes[end - 1].output
    size = align(network.sizes[output])
    alive = {buffer for buffer, made in network.made.items() if made < begin and network.last[buffer] >= begin}
    if input_by_rows:
        alive.discard(network.source)  # its ring is among the bytes of the step
    dying = {buffer for buffer in alive if network.last[buffer] < end}
    best = size + sum(align(network.sizes[buffer]) for buffer in dying)
    for buffer in dying & set(leads):
        over = align(network.sizes[buffer])
        both = max(size, min(align(leads[buffer]), size) + over)
        best = min(best, both + sum(align(network.sizes[other]) for other in dying - {buffer}))
    return best + local + sum(align(network.sizes[buffer]) for buffer in alive - dying)


def _smallest(network: Network, choices: Sequence[Choice]) -> int:
    """Returns the smallest peak."""
    peaks = [0] + [2**62] * len(network.nodes)
    for choice in sorted(choices, key=lambda choice: choice.end):
        peaks[choice.end] = min(peaks[choice.end], max(peaks[choice.begin], choice.bytes_))
    return peaks[-1]


def _cheapest(network: Network, choices: Sequence[Choice]) -> list[Choice]:
    """Returns the choices that run all nodes with the fewest instructions; of equals, those of the fewest bytes."""
    best: list[tuple[int, int, list[Choice]] | None] = [(0, 0, [])] + [None] * len(network.nodes)
    for choice in sorted(choices, key=lambda choice: choice.end):
        before = best[choice.begin]
        if before is None:
            continue
        cost, bytes_ = before[0] + choice.cost, max(before[1], choice.bytes_)
        known = best[choice.end]
        if known is None or (cost, bytes_) < known[:2]:
            best[choice.end] = (cost, bytes_, [*before[2], choice])
    if best[-1] is None:
        raise AssertionError("no plan within the smallest peak")
    return best[-1][2]


def placed(network: Network, steps: Sequence[Step], enough: int = 0, added: int = 0) -> Plan:
    """Returns the plan of these steps, with an offset for all that they read and write; `enough` as in `place`."""
    buffers: dict[int, Buffer] = {}
    leads: dict[tuple[int, int], int] = {}
    numbers: dict[int, int] = {}  # of the scratch memory of each step
    times = {-1: 0, len(network.nodes): len(steps)}
    place, new = 0, max(network.sizes) + 1
    for time, step in enumerate(steps, 1):
        count = len(step.nodes) if isinstance(step, Group) else 1
        times |= dict.fromkeys(range(place, place + count), time)
        place += count
    written = {output_of(step) for step in steps}
    whole = written if network.source in _rings(steps[0]) else written | {network.source}
    for buffer in whole:
        life = times[network.made[buffer]], times[network.last[buffer]]
        buffers[buffer] = Buffer(align(network.sizes[buffer]), *life)
    for time, step in enumerate(steps, 1):
        if _scratch(step):
            numbers[time - 1], new = new, new + 1
            buffers[numbers[time - 1]] = Buffer(_scratch(step), time, time, scratch=True)
        if isinstance(step, Group):
            rings = ring_bytes(network, step)
            buffers |= {buffer: Buffer(align(size), time, time) for buffer, size in rings.items()}
        for buffer, lead in _leads(step).items():
            if buffer >= 0 and buffers[buffer].last == time:
                leads[output_of(step), buffer] = lead
    # in an order that does not depend on their numbers, so that an estimate finds the same place as an export
    ordered = dict(sorted(buffers.items(), key=lambda item: (item[1].first, item[1].last, item[1].size_bytes)))
    offsets = placement.place(ordered, leads, enough=enough).offsets
    ends = {number: offset + buffers[number].size_bytes for number, offset in offsets.items()}
    highest = max(ends, key=lambda number: ends[number])
    return Plan(
        network,
        steps,
        {number: offset for number, offset in offsets.items() if number in network.sizes},
        {step: offsets[number] for step, number in numbers.items()},
        ends[highest],
        max(buffers[highest].first - 1, 0),
        added,
        {number: (offset, buffers[number]) for number, offset in offsets.items()},
    )
