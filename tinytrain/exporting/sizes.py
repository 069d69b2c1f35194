"""What an export takes on its board: memory linked or estimated, whether it fits, and on what that stands."""

from pathlib import Path
from typing import Any

from tinytrain import progress
from tinytrain.deploy import firmware, fit_check, make, memory
from tinytrain.deploy.boards import Board
from tinytrain.deploy.compiled.plan import Plan
from tinytrain.deploy.decode.boxes import Decoder
from tinytrain.tflite.model import Model


def sections(
    sources: Path,
    model: Model,
    arena_bytes: int,
    basis: str,
    board: Board,
    decoder: Decoder | None,
    plan: Plan | None = None,
) -> dict[str, Any]:
    """Returns the keys "fits", "memory", "sizes" and "arena_basis" of report.json.

    Linked if the compiler and the engine are there, else estimated. "fits" is None where the size of the arena is
    unknown.

    Args:
        sources: the firmware folder.
        model: what the firmware holds.
        arena_bytes: of the firmware.
        basis: what these are, a constant of memory.py.
        board: the board of the export.
        decoder: of a detector, what its firmware holds besides.
        plan: of the compiled engine, None for TFLM.
    """
    sizes = firmware.estimate(model, arena_bytes, board, decoder, plan)
    lacking = make.lacking(tflm=plan is None)
    if not lacking and fit_check.on_board(sizes, board).fits:
        with progress.stage("linking the firmware"):
            sizes = firmware.link(sources, board, make.tflm_dir())
    needed = fit_check.on_board(sizes, board)
    is_unknown = basis == memory.UNKNOWN and needed.fits  # what is too large without the unknown part stays so
    parts = f"{sizes.model_bytes:,} model, {sizes.runtime_bytes:,} runtime, {sizes.firmware_bytes:,} firmware; "
    to_link = "install the compiler" if plan else "set TFLM_DIR"
    return {
        "fits": None if is_unknown else needed.fits,
        "memory": needed.report() | ({"arena_bytes": None, "ram_bytes": None} if is_unknown else {}),
        "sizes": parts + ("linked" if sizes.measured else f"runtime estimated, {to_link} to link it"),
        "arena_basis": {"how": basis, "unplanned_operators": [] if plan else memory.unplanned(model)},
    }
