"""Whose kernels the firmware holds: export.kernels says so, and ours need a core with the DSP extension."""

from typing import Any

from tinytrain.deploy.boards import Board
from tinytrain.deploy.kernels.derive import Derived, derive
from tinytrain.deploy.kernels.refusal import Refusal
from tinytrain.tflite.model import Model

OURS, TFLM = "tinytrain", "tflm"  # values of export.kernels
DSP_CORES = ("cortex-m4", "cortex-m7", "cortex-m33")  # an M33 has the extension if its maker took it


def reason_against(setting: str, board: Board) -> str:
    """Returns why the firmware for `board` holds none of our kernels, "" if it does; `setting` is export.kernels."""
    if setting == TFLM:
        return f"export.kernels is {TFLM}"
    return "" if board.core in DSP_CORES else f"the {board.core} of {board.name} lacks the DSP extension"


def held(model: Model, setting: str, board: Board) -> Derived:
    """Returns what the firmware for `board` holds of a stripped model, and whose kernel runs each operator."""
    reason = reason_against(setting, board)
    return Derived(model, [Refusal(reason)] * len(model.operators)) if reason else derive(model)


def section(model: Model, derived: Derived, reason: str) -> dict[str, Any]:
    """Returns the section "kernels" of report.json: how many operators run on ours, and why others do not.

    Args:
        model: the stripped model.
        derived: what the firmware holds of it.
        reason: that of `reason_against`.
    """
    refused = [
        {"number": number, "operator": operator.name, "reason": str(kernel)}
        for number, (operator, kernel) in enumerate(zip(model.operators, derived.kernels, strict=True))
        if isinstance(kernel, Refusal)
    ]
    return {
        "chosen": TFLM if reason else OURS,
        "reason": reason,
        "operators": len(model.operators),
        "ours": len(derived.ours),
        "others": [] if reason else refused,
    }
