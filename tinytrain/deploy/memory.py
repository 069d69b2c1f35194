"""RAM and flash of an int8 model on a board: what it needs beside what there is, and the arena.

With kernels of ours the arena is computed (`arena_bytes`). Without them it is bounded from above by two numbers:
- the smallest arena in which TFLM's own interpreter works on this machine (tflm/interpreter.py). Its pointers have 64
  bits, so it overstates a 32-bit core by 2 to 6 %;
- what CMSIS-NN's scratch buffers add, which that interpreter does not have: the memory plan is recomputed with and
  without them (tflm/memory_planner.py), the difference added, and SCRATCH_HANDLE_BYTES for each.
"""

from collections.abc import Container
from dataclasses import asdict, dataclass

from tinytrain.deploy.kernels import register
from tinytrain.deploy.kernels.derive import Derived
from tinytrain.deploy.tflm import arena_tail, memory_planner
from tinytrain.deploy.tflm.arena_tail import Kept
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model, indices, operator_name

SCRATCH_HANDLE_BYTES = 16  # a pointer and a request in the arena, for each scratch buffer
# What the size of an arena is; that of the compiled engine is planned.
BOUND, MEASURED, UNKNOWN, PLANNED = "upper bound", "measured in the emulator", "unknown", "planned"
# CMSIS-NN's kernels of these keep sums or ask for scratch by formulas that memory_planner.py does not have.
UNPLANNED = ("BATCH_MATMUL", "SVDF", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM")


@dataclass(frozen=True)
class Memory:
    """What a model needs on a board, in bytes, beside what the board has."""

    arena_bytes: int
    ram_bytes: int  # arena, stack, everything else
    ram_limit_bytes: int
    flash_bytes: int  # model, runtime, firmware
    flash_limit_bytes: int

    @property
    def fits(self) -> bool:
        """True if both RAM and flash are enough."""
        return self.ram_bytes <= self.ram_limit_bytes and self.flash_bytes <= self.flash_limit_bytes

    def report(self) -> dict[str, int]:
        """Returns the section "memory" of report.json."""
        return asdict(self)

    def excess(self) -> str:
        """Returns what is too large, with the numbers; "" if it fits."""
        parts = []
        if self.ram_bytes > self.ram_limit_bytes:
            parts.append(f"{self.ram_bytes:,} bytes of RAM where there are {self.ram_limit_bytes:,}")
        if self.flash_bytes > self.flash_limit_bytes:
            parts.append(f"{self.flash_bytes:,} bytes of flash where there are {self.flash_limit_bytes:,}")
        return " and ".join(parts)


def unplanned(model: Model) -> list[str]:
    """Returns the operators of a model for which `target_arena_bytes` is no bound, each name once."""
    return [name for name in model.counts if name in UNPLANNED]


def target_arena_bytes(model: Model) -> int:
    """Returns an upper bound, a multiple of 16, of the arena that a .tflite needs on a Cortex-M with CMSIS-NN.

    It is none for a model with operators that are UNPLANNED.
    """
    return memory_planner.align(ReferenceInterpreter(model.content).arena_bytes + cmsis_nn_bytes(model))


def arena_bytes(model: Model, derived: Derived) -> int:
    """Returns the arena of a firmware, a multiple of 16: with kernels of ours what it uses, computed byte by byte.

    It is an upper bound where an operator of TFLM's keeps what is not known (tflm/arena_tail.py), and without kernels
    of ours (`target_arena_bytes`).

    Args:
        model: the stripped model.
        derived: what the firmware holds of it.
    """
    planned = derived.placement
    if planned is None:
        return target_arena_bytes(model)
    operators, kinds = derived.model.operators, register.kinds(derived.model)
    kept = [
        Kept() if kinds[use.name] == register.KERNEL else arena_tail.kept(use, kinds[use.name]) for use in operators
    ]
    unknown = {use.name for use, each in zip(operators, kept, strict=True) if each is None}
    tensors = {tensor.index for use in operators for tensor in (*use.inputs, *use.outputs) if tensor is not None}
    tensors |= {tensor.index for tensor in (*derived.model.inputs, *derived.model.outputs)}
    known = [each or Kept() for each in kept]
    inputs, outputs = len(model.inputs), len(model.outputs)
    tail = arena_tail.tail_bytes(len(tensors), known, planned.scratch_count, inputs, outputs)
    more = ReferenceInterpreter(only(model, unknown).content).arena_bytes if unknown else 0
    start = arena_tail.planning_bytes(len(tensors), len(planned.offsets), planned.scratch_count)
    return max(planned.head_bytes, memory_planner.align(start)) + memory_planner.align(tail) + more


def only(model: Model, names: Container[str]) -> Model:
    """Returns a model of the operators with these names alone; what others computed are inputs of it."""
    tree = model.copy_tree()
    graph = tree.subgraphs[0]
    graph.operators = [node for node in graph.operators if operator_name(node, tree) in names]
    written = {index for node in graph.operators for index in indices(node.outputs)}
    read = {index for node in graph.operators for index in indices(node.inputs) if index >= 0}
    constants = {tensor.index for use in model.operators for tensor in use.inputs if tensor and tensor.constant}
    graph.inputs, graph.outputs = sorted(read - written - constants), sorted(written)
    return Model.pack(tree)


def cmsis_nn_bytes(model: Model) -> int:
    """Returns what CMSIS-NN's scratch buffers add to the arena of a model."""
    schedule = memory_planner.schedule(model)
    more = memory_planner.head_bytes(schedule, cmsis_nn=True) - memory_planner.head_bytes(schedule, cmsis_nn=False)
    return max(more, 0) + SCRATCH_HANDLE_BYTES * memory_planner.scratch_count(schedule)
