"""RAM and flash of an int8 model on a board: what it needs beside what there is, and a bound of the arena.

The arena of the target is bounded from above by two numbers:
- the smallest arena in which TFLM's own interpreter works on this machine (tflm/interpreter.py). Its pointers have 64
  bits, so it overstates a 32-bit core by 2 to 6 %;
- what CMSIS-NN's scratch buffers add, which that interpreter does not have: the memory plan is recomputed with and
  without them (tflm/memory_planner.py), the difference added, and SCRATCH_HANDLE_BYTES for each.
"""

from dataclasses import asdict, dataclass

from tinytrain.deploy.tflm import memory_planner
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.tflite.model import Model

SCRATCH_HANDLE_BYTES = 16  # a pointer and a request in the arena, for each scratch buffer
BOUND, MEASURED, UNKNOWN = "upper bound", "measured in the emulator", "unknown"  # what the size of an arena is
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


def cmsis_nn_bytes(model: Model) -> int:
    """Returns what CMSIS-NN's scratch buffers add to the arena of a model."""
    schedule = memory_planner.schedule(model)
    more = memory_planner.head_bytes(schedule, cmsis_nn=True) - memory_planner.head_bytes(schedule, cmsis_nn=False)
    return max(more, 0) + SCRATCH_HANDLE_BYTES * memory_planner.scratch_count(schedule)
