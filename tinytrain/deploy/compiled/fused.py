"""Nodes that run together, some rows of each at a time, so that the maps between them never exist whole.

Each row is computed once. A map between two nodes lies in a ring that holds the rows that are still to be read; its
size follows from running the schedule here, when exporting, and the firmware runs the same schedule from a table.

The network's input can be such a map, too. Its rows come from outside: the schedule then begins with a stage that has
no node, and an entry of it waits for rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tinytrain.deploy.compiled.nodes import Network, Node
from tinytrain.deploy.compiled.rows import ONE_BY_ONE, Reach
from tinytrain.deploy.kernels.kernel import Kernel
from tinytrain.tflite.model import Operator

MOST_ROWS = 255  # of an entry of the schedule


@dataclass(frozen=True)
class Entry:
    """Stage `stage` of a group computes `count` rows from `first` on; the input's stage waits for them."""

    stage: int
    first: int
    count: int


@dataclass(frozen=True)
class Group:
    """Neighbouring nodes, the last of which writes what others read.

    rings: rows of each map between the nodes, and of the network's input if that comes by rows; leads: of each input
    that only this group reads from now on, how many bytes before it the output may begin at least (as Kernel.lead);
    schedule: what runs, in order; band: rows of the output that are computed together.
    """

    nodes: tuple[Node, ...]
    rings: dict[int, int]
    leads: dict[int, int]
    schedule: tuple[Entry, ...]
    band: int


@dataclass(frozen=True)
class Stage:
    """A node of a group, or the network's input: rows of its output, and how it reads each of its inputs."""

    node: Node
    height: int
    reaches: Sequence[Reach]


def stages_of(network: Network, begin: int, end: int, *, input_by_rows: bool = False) -> list[Stage] | None:
    """Returns the nodes from `begin` to `end` as stages, or None if they cannot be fused.

    Args:
        network: the network.
        begin: the place of the first node.
        end: the place after the last one.
        input_by_rows: whether the network's input is a stage before them, so that only some rows of it are in RAM.
    """
    nodes = network.nodes[begin:end]
    stages = []
    if input_by_rows:
        if max(network.readers[network.source], default=end) >= end or network.source in network.outputs:
            return None  # it is also read later
        stages.append(_input_stage(network))
    for place, node in enumerate(nodes, begin):
        if node.reaches is None:
            return None
        readers = network.readers[node.output]
        inner = readers and max(readers) < end and node.output not in network.outputs
        if bool(inner) != (place < end - 1):
            return None
        stages.append(Stage(node, node.operator.outputs[0].shape[1], node.reaches))
    inside = {stage.node.output for stage in stages}
    return stages if all(_is_by_rows(stage, inside) for stage in stages) else None


def _input_stage(network: Network) -> Stage:
    """Returns the network's input as a stage without anything to run."""
    node = Node(-1, Operator("", (), ()), Kernel("", bytes(4)), (), network.source, ())
    return Stage(node, network.source_shape[1], ())


def _is_by_rows(stage: Stage, inside: set[int]) -> bool:
    """Returns whether a stage reads what other stages write by rows, and in the shape that they write."""
    tensors = stage.node.operator.inputs
    return all(
        not reach.whole and tensor is not None and tensor.index == buffer
        for buffer, reach, tensor in zip(stage.node.inputs, stage.reaches, tensors, strict=False)
        if buffer in inside
    )


def group(network: Network, stages: Sequence[Stage], band: int) -> Group:
    """Returns the schedule of stages for outputs of `band` rows at a time."""
    makers = {stage.node.output: place for place, stage in enumerate(stages)}
    run = _Run(stages, makers, network)
    last = len(stages) - 1
    for end in range(band, stages[last].height + band, band):
        needed = [0] * len(stages)
        needed[last] = min(end, stages[last].height)
        for place in range(last, -1, -1):
            stage = stages[place]
            for buffer, reach in zip(stage.node.inputs, stage.reaches, strict=True):
                if (maker := makers.get(buffer)) is not None and needed[place] > 0:
                    needed[maker] = max(needed[maker], reach.end(needed[place], stages[maker].height))
        for place, rows in enumerate(needed):
            run.compute(place, rows)
    if network.source in makers:
        run.compute(0, stages[0].height)  # rows that no window reads come, too
    rings = {stage.node.output: run.rings[place] for place, stage in enumerate(stages[:-1])}
    schedule = [piece for entry in run.entries for piece in _pieces(entry, stages, rings)]
    nodes = tuple(stage.node for stage in stages if stage.node.output != network.source)
    return Group(nodes, rings, run.leads, tuple(schedule), band)


class _Run:
    """Runs stages and notes what was still to be read whenever rows were written."""

    def __init__(self, stages: Sequence[Stage], makers: dict[int, int], network: Network) -> None:
        self.stages, self.makers, self.network = stages, makers, network
        self.done = [0] * len(stages)
        self.rings = [0] * len(stages)
        self.leads: dict[int, int] = {}
        self.entries: list[Entry] = []

    def compute(self, place: int, rows: int) -> None:
        """Computes the rows of a stage up to `rows` that are not there yet."""
        first = self.done[place]
        if rows <= first:
            return
        for begin in range(first, rows, MOST_ROWS):
            self.entries.append(Entry(place, begin, min(rows - begin, MOST_ROWS)))
        output = self.stages[place].node.output
        if place < len(self.stages) - 1:
            self.rings[place] = max(self.rings[place], rows - self._unread(output, self.stages[place].height))
        else:
            written = rows * self.network.sizes[output] // self.stages[place].height
            self._note_leads(written)
        self.done[place] = rows

    def _note_leads(self, written: int) -> None:
        """Notes how far the output has come before what is still to be read of each input."""
        for stage in self.stages:
            for buffer, reach in zip(stage.node.inputs, stage.reaches, strict=True):
                if buffer in self.makers or buffer < 0:
                    continue
                size = self.network.sizes[buffer]
                if reach.whole:
                    self.leads[buffer] = self.network.sizes[self.stages[-1].node.output]
                    continue
                height = _height(stage, buffer)
                unread = self._unread(buffer, height) * (size // height)
                self.leads[buffer] = max(self.leads.get(buffer, 0), written - unread)

    def _unread(self, buffer: int, height: int) -> int:
        """Returns the first row of a map that is still to be read, `height` if none is."""
        rows = [
            reach.first(self.done[place]) if self.done[place] < stage.height else height
            for place, stage in enumerate(self.stages)
            for each, reach in zip(stage.node.inputs, stage.reaches, strict=True)
            if each == buffer
        ]
        return min(min(rows, default=height), height)


def _height(stage: Stage, buffer: int) -> int:
    """Returns the rows of a map that a stage reads."""
    tensor = stage.node.operator.inputs[stage.node.inputs.index(buffer)]
    if tensor is None:
        raise AssertionError("an input that is left out is no buffer")
    return tensor.shape[1]


def _pieces(entry: Entry, stages: Sequence[Stage], rings: dict[int, int]) -> list[Entry]:
    """Returns an entry in parts whose rows follow each other in rings, as KernelRows asks for."""
    node = stages[entry.stage].node
    if not node.inputs:
        return [entry]
    maps = [node.output, *(node.inputs if node.kernel.name in ONE_BY_ONE else ())]
    pieces, first, end = [], entry.first, entry.first + entry.count
    while first < end:
        count = min([end - first, *(rings[each] - first % rings[each] for each in maps if each in rings)])
        pieces.append(Entry(entry.stage, first, count))
        first += count
    return pieces
