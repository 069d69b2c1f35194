"""The network as C: model_graph.c, calls of the kernels in firmware/kernels at the planned offsets.

The constants of each operator are one array of words, as its kernel reads them; equal ones stand there once.
"""

from collections.abc import Iterable

import numpy as np

from tinytrain.deploy.compiled.fused import Group
from tinytrain.deploy.compiled.nodes import Node
from tinytrain.deploy.compiled.plan import Plan, Step, ring_bytes
from tinytrain.deploy.kernels import depthwise
from tinytrain.deploy.kernels.kernel import Kernel

# Struct of the block and arguments of each kernel: inputs i, all of them as an array a, output o, scratch s.
CALLS = {
    "conv": ("KernelConv", "ios"),
    "conv_1x1": ("KernelConv", "ios"),
    "fully_connected": ("KernelConv", "ios"),
    "depthwise": ("KernelDepthwise", "ios"),
    "conv_any": ("KernelConvAny", "io"),
    "add": ("KernelAdd", "iio"),
    "sum": ("KernelSum", "iio"),
    "multiply": ("KernelMultiply", "iio"),
    "average_pool": ("KernelPool", "io"),
    "max_pool": ("KernelPool", "io"),
    "mean": ("KernelMean", "io"),
    "pad": ("KernelPad", "io"),
    "softmax": ("KernelSoftmax", "io"),
    "concatenation": ("KernelConcatenation", "ao"),
    "resize": ("KernelResize", "io"),
    "transpose": ("KernelTranspose", "io"),
    "lookup": ("KernelLookup", "io"),
}
WORDS_PER_LINE = 10
HEAD = """// Written by `tinytrain export`. Do not edit: export again.
#include "app/engine.h"
#include "app/graph.h"
#include "kernels/kernels.h"

#define CONSTANT static const __attribute__((aligned(4), section(".rodata.model")))

"""


def source(plan: Plan) -> str:
    """Returns the text of model_graph.c."""
    return _Writer(plan).text()


def function(kernel: Kernel) -> str:
    """Returns the name of a kernel's function without "kernel_": there are some for depthwise convolutions."""
    return f"depthwise_{depthwise.variant(kernel)}" if kernel.name == "depthwise" else kernel.name


def constant_bytes(plan: Plan) -> int:
    """Returns the bytes of all constants of the operators."""
    writer = _Writer(plan)
    writer.text()
    return sum(-(-len(content) // 4) * 4 for content in writer.names)


class _Writer:
    """Collects constants and calls."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.network = plan, plan.network
        self.constants: list[str] = []
        self.names: dict[bytes, str] = {}  # of the arrays, by their bytes

    def text(self) -> str:
        calls = [self._call(number, step) for number, step in enumerate(self.plan.steps)]
        by_rows = self.plan.input_rows > 0  # then graph.c runs the first step
        outputs = ", ".join(str(self.plan.offsets[buffer]) for buffer in self.network.outputs)
        return (
            f"{HEAD}{''.join(self.constants)}"
            f"const uint32_t graph_arena_bytes = {self.plan.arena_bytes}, graph_step_count = {len(self.plan.steps)};\n"
            f"const GraphInput graph_input = {self._input(by_rows)};\n"
            f"const uint32_t graph_outputs[] = {{{outputs}}};\n\n"
            f"void graph_run(int8_t* arena) {{\n{''.join(calls[by_rows:])}}}\n"
        )

    def _input(self, by_rows: bool) -> str:
        """Returns the record of the input; its row and its ring are all of it where it is whole."""
        size = self.network.sizes[self.network.source]
        offset, first, row, ring = self.plan.offsets[self.network.source], "0", size, size
        if by_rows and isinstance(group := self.plan.steps[0], Group):
            first, row = "&kFused0", size // self.network.source_shape[1]
            ring = ring_bytes(self.network, group)[self.network.source]
        return f"{{{first}, {offset}, {size}, {row}, {ring}}}"

    def _call(self, number: int, step: Step) -> str:
        scratch = f"arena + {self.plan.scratch.get(number, 0)}"
        if isinstance(step, Group):
            self._fused(number, step)
            statement = f"graph_fused(&kFused{number}, arena);"
        else:
            statement = self._plain(step, scratch)
        return f"  operator_begins();\n  {statement}\n  operator_ends();\n"

    def _plain(self, node: Node, scratch: str) -> str:
        struct, kinds = CALLS[node.kernel.name]
        inputs = [self._address(node, place) for place in range(len(node.inputs))]
        arguments = [f"(const {struct}*){self._block(node.kernel.block)}"]
        for kind in kinds:
            if kind == "i":
                arguments.append(inputs.pop(0))
            elif kind == "a":
                arguments.append(f"(const int8_t*[]){{{', '.join(inputs)}}}")
            else:
                arguments.append(f"arena + {self.plan.offsets[node.output]}" if kind == "o" else scratch)
        return f"kernel_{function(node.kernel)}({', '.join(arguments)});"

    def _address(self, node: Node, place: int) -> str:
        buffer = node.inputs[place]
        if buffer < 0:
            return f"(const int8_t*){self._constant(node, place)}"
        return f"arena + {self.plan.offsets[buffer]}"

    def _constant(self, node: Node, place: int) -> str:
        tensor = node.operator.inputs[place]
        if tensor is None:
            raise AssertionError("an input that is left out is no constant")
        return self._block(self.network.model.constant(tensor).tobytes())

    def _block(self, content: bytes) -> str:
        """Returns the name of the array of these bytes."""
        if content not in self.names:
            name = self.names[content] = f"kBlock{len(self.names)}"
            words = np.frombuffer(content + bytes(-len(content) % 4), "<u4").tolist()
            lines = (words[i : i + WORDS_PER_LINE] for i in range(0, len(words), WORDS_PER_LINE))
            rows = ",\n".join(",".join(f"0x{word:x}" for word in line) for line in lines)
            self.constants.append(f"CONSTANT uint32_t {name}[] = {{\n{rows}}};\n\n")
        return self.names[content]

    def _fused(self, number: int, group: Group) -> None:
        """Adds the tables of a group, the last of which is kFused and its number."""
        maps, stages = _Maps(self, group), []
        if self.network.source in group.rings:
            maps.add_input()
            stages.append("    {0, 0, {0, 0}, 0},\n")
        for node in group.nodes:
            numbers = [maps.number(node, place) for place in range(len(node.inputs))]
            inputs = ", ".join(map(str, numbers + [numbers[0]] * (2 - len(numbers))))
            run = f"kernel_{function(node.kernel)}_rows"
            stages.append(f"    {{{self._block(node.kernel.block)}, {run}, {{{inputs}}}, {maps.written(node)}}},\n")
        schedule = [value for entry in group.schedule for value in (entry.stage, entry.count)] + [0, 0]
        self.constants += [
            _table("KernelMap", f"kMaps{number}", maps.rows),
            _table("KernelStage", f"kStages{number}", stages),
            _table("uint8_t", f"kSchedule{number}", _lines(schedule)),
            f"static const KernelFused kFused{number} = "
            f"{{kMaps{number}, kStages{number}, kSchedule{number}, {self.plan.scratch.get(number, 0)}}};\n\n",
        ]


class _Maps:
    """The maps of a group, each as a row of its table."""

    def __init__(self, writer: _Writer, group: Group) -> None:
        self.writer, self.rings = writer, group.rings
        self.rows: list[str] = []
        self.numbers: dict[int, int] = {}

    def add_input(self) -> None:
        """Adds the network's input, as map 0."""
        network = self.writer.network
        self._add(network.source, "", network.source_shape[1], _step(network.source_shape))

    def number(self, node: Node, place: int) -> int:
        """Returns the number of the map that an input of a node is."""
        buffer, tensor = node.inputs[place], node.operator.inputs[place]
        reach = (node.reaches or [])[place]
        if buffer not in self.numbers and tensor is not None:
            constant = self.writer._address(node, place) if buffer < 0 else ""
            self._add(
                buffer, constant, 1 if reach.whole else tensor.shape[1], 0 if reach.whole else _step(tensor.shape)
            )
        return self.numbers[buffer]

    def written(self, node: Node) -> int:
        """Returns the number of the map that a node writes."""
        shape = node.operator.outputs[0].shape
        if node.output not in self.numbers:
            self._add(node.output, "", shape[1], _step(shape))
        return self.numbers[node.output]

    def _add(self, buffer: int, constant: str, height: int, step: int) -> None:
        self.numbers[buffer] = len(self.numbers)
        offset = 0 if constant else self.writer.plan.offsets[buffer]
        self.rows.append(f"    {{{constant or 0}, {offset}, {self.rings.get(buffer, height)}, {step}}},\n")


def _step(shape: tuple[int, ...]) -> int:
    return shape[2] * shape[3]


def _lines(values: list[int]) -> Iterable[str]:
    for i in range(0, len(values), 40):
        yield f"    {', '.join(map(str, values[i : i + 40]))},\n"


def _table(kind: str, name: str, rows: Iterable[str]) -> str:
    return f"static const {kind} {name}[] = {{\n{''.join(rows)}}};\n\n"
