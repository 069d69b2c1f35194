"""The firmware of an export, run in QEMU on the core of its board."""

from pathlib import Path
from typing import Any

from tinytrain import progress
from tinytrain.deploy import boards, make, self_test
from tinytrain.deploy.boards import Board
from tinytrain.errors import DoesNotFit
from tinytrain.exporting import proof


def board_for(board: Board, tflm: bool = True) -> Board | None:
    """Returns the emulated board with the core of `board`; None if there is none, or a tool is missing.

    With `tflm`, TensorFlow Lite Micro must be there, too.
    """
    emulated = boards.emulated_board(board)
    return None if emulated is None or make.lacking(emulator=True, tflm=tflm) else emulated


def section(sources: Path, board: Board, tflm: bool = True) -> dict[str, Any]:
    """Returns {"emulated": the section of report.json} for the firmware folder `sources`; {} if it cannot be emulated.

    A firmware that does not start there has the reason in "failed". `tflm`: whether TFLM is its engine.
    """
    emulated = board_for(board, tflm)
    if emulated is None:
        return {}
    printed = run(sources, emulated)
    golden = {None: proof.NOT_REACHED, True: proof.GOLDEN_EQUAL, False: proof.GOLDEN_DIFFERENT}
    return {
        "emulated": {
            "board": emulated.name,
            "golden": golden[printed.get("golden_equal")],
            "different_bytes": printed.get("different_bytes", 0),
            "instructions": printed.get("inference", {}).get("median", 0),
            "arena_used_bytes": printed.get("arena_used_bytes", 0),
            "failed": printed["failed"],
            **_boxes(printed),
        }
    }


def _boxes(printed: dict[str, Any]) -> dict[str, Any]:
    """Returns of a detector whether the boxes of the golden image were the host's, and the time of decoding them."""
    if "boxes_equal" not in printed:
        return {}
    boxes = proof.GOLDEN_EQUAL if printed["boxes_equal"] else proof.GOLDEN_DIFFERENT
    return {"boxes": boxes, "decode_instructions": printed.get("decode", {}).get("count", 0)}


def run(sources: Path, emulated: Board) -> dict[str, Any]:
    """Returns what the firmware prints on the emulated board; "failed" alone if it is too large for it."""
    try:
        with progress.stage("building the firmware and running it in the emulator"):
            return self_test.emulate(sources, emulated, make.tflm_dir())
    except DoesNotFit as error:
        return {"failed": str(error)}
