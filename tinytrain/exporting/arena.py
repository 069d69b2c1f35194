"""How large the tensor arena of the firmware is: what it uses in the emulator, or a bound without one."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from tinytrain.deploy import memory
from tinytrain.deploy.boards import Board
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.kernels.derive import Derived
from tinytrain.deploy.targets import bare_metal
from tinytrain.deploy.tflm import memory_planner
from tinytrain.exporting import emulated
from tinytrain.tflite.model import Model

START_MARGINS_BYTES = (0, 512, 4096)  # a small model takes more while it is prepared than it uses in the end
AMPLE_BYTES = 2 * 1024 * 1024  # in the emulator, which has 4 MB of RAM


def size(
    model: Model, derived: Derived, board: Board, folder: Path, contents: Callable[[int], Contents]
) -> tuple[int, str]:
    """Returns the bytes of TFLM's arena and what they are: memory.MEASURED, BOUND, or UNKNOWN without a known bound.

    The bound stands where nothing can be emulated, and where the firmware does not start in the emulator.

    Args:
        model: the stripped model.
        derived: what the firmware holds of it.
        board: the board of the export.
        folder: where firmware is written for a moment, to measure it.
        contents: bytes of the arena → what the firmware then holds.
    """
    bound_bytes, _ = unmeasured = bound(model, derived)
    emulated_board = emulated.board_for(board)
    if emulated_board is None:
        return unmeasured

    def used_bytes(arena_bytes: int) -> int:
        """Returns what is used of an arena of this size, 0 if the firmware does not start with it."""
        with tempfile.TemporaryDirectory(prefix=".arena-", dir=folder) as temporary:
            sources = bare_metal.write(Path(temporary), board, contents(arena_bytes))
            return emulated.run(sources, emulated_board).get("arena_used_bytes", 0)

    if most := used_bytes(max(AMPLE_BYTES, bound_bytes)):
        least = memory_planner.align(most)
        for arena_bytes in sorted({*(least + margin for margin in START_MARGINS_BYTES), max(bound_bytes, least)}):
            if used_bytes(arena_bytes):
                return arena_bytes, memory.MEASURED
    return unmeasured


def bound(model: Model, derived: Derived) -> tuple[int, str]:
    """Returns the bytes of TFLM's arena and what they are, without measuring them: memory.BOUND or UNKNOWN."""
    return memory.arena_bytes(model, derived), memory.UNKNOWN if memory.unplanned(model) else memory.BOUND
