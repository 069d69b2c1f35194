"""What an export takes on its board: memory linked or estimated, whether it fits, and on what that stands."""

from pathlib import Path
from typing import Any

from tinytrain import progress
from tinytrain.deploy import firmware, fit_check, make, memory
from tinytrain.deploy.boards import Board
from tinytrain.deploy.decode.boxes import Decoder
from tinytrain.tflite.model import Model


def sections(
    sources: Path, model: Model, arena_bytes: int, basis: str, board: Board, decoder: Decoder | None
) -> dict[str, Any]:
    """Returns the keys "fits", "memory", "sizes" and "arena_basis" of report.json.

    Linked if TFLM and the compiler are there, else estimated. "fits" is None where the size of the arena is unknown.

    Args:
        sources: the firmware folder.
        model: what the firmware holds.
        arena_bytes: of the firmware.
        basis: what these are, as `arena.size` returns it.
        board: the board of the export.
        decoder: of a detector, what its firmware holds besides.
    """
    sizes = firmware.estimate(model, arena_bytes, board, decoder)
    if not make.lacking() and fit_check.on_board(sizes, board).fits:
        with progress.stage("linking the firmware"):
            sizes = firmware.link(sources, board, make.tflm_dir())
    needed = fit_check.on_board(sizes, board)
    is_unknown = basis == memory.UNKNOWN and needed.fits  # what is too large without the unknown part stays so
    parts = f"{sizes.model_bytes:,} model, {sizes.runtime_bytes:,} runtime, {sizes.firmware_bytes:,} firmware; "
    return {
        "fits": None if is_unknown else needed.fits,
        "memory": needed.report() | ({"arena_bytes": None, "ram_bytes": None} if is_unknown else {}),
        "sizes": parts + ("linked" if sizes.measured else "runtime estimated, set TFLM_DIR to link it"),
        "arena_basis": {"how": basis, "unplanned_operators": memory.unplanned(model)},
    }
