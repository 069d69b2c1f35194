"""The table of `tinytrain list models`: what each architecture costs at its usual size, and where it fits."""

from typing import Any

import numpy as np

from tinytrain import progress, tables
from tinytrain.config import plugins
from tinytrain.deploy import boards, estimate, firmware, fit_check
from tinytrain.deploy.compiled import flash
from tinytrain.deploy.tflm import operators
from tinytrain.nn import macs

HEADINGS = ("model", "options", "pixels", "classes", "params", "MACs", "int8 KiB", "arena KiB", "", "fits")
COLUMNS = ("<20", "<22", ">6", ">8", ">12", ">15", ">10", ">10", "<2", "")
USUAL_CLASSES = 1000


def rows(classes: int | None = None) -> list[dict[str, Any]]:
    """Returns one row for each of the SIZES of each architecture, counted from its graph.

    It is for `classes`, or for the classes of the papers.

    {"name", "options", "resolution", "classes", "params", "macs", "int8_bytes", "arena_bytes", "fits": {BOARD: bool}};
    params are those that are trained (BatchNorm's γ and β included); int8_bytes and arena_bytes are estimates.
    """
    override = {"classes": classes} if classes else {}
    sizes = [
        (name, options | override) for name in plugins.names("models") for options in plugins.load("models", name).SIZES
    ]
    return [_row(name, options) for name, options in progress.counted(sizes, "counting", len(sizes), "network")]


def as_text(table: list[dict[str, Any]]) -> list[str]:
    """Returns the table to read, a line a row."""
    return tables.aligned([HEADINGS, *map(_cells, table)], COLUMNS)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["name"],
        ", ".join(f"{key} {value}" for key, value in row["options"].items()),
        str(row["resolution"]),
        str(row["classes"]),
        f"{row['params']:,}",
        f"{row['macs']:,}",
        f"{row['int8_bytes'] / 1024:,.0f}",
        f"{row['arena_bytes'] / 1024:,.0f}",
        "",
        ", ".join(board for board in sorted(row["fits"]) if row["fits"][board]) or "no board",
    )


def _row(name: str, options: dict[str, Any]) -> dict[str, Any]:
    sizes = {"classes": USUAL_CLASSES, "channels": 3} | options
    model = plugins.load("models", name).build(**sizes)
    arena_bytes, model_bytes = estimate.arena_and_model_bytes(model, compiled=True)
    return {
        "name": name,
        "options": {key: value for key, value in options.items() if key not in ("resolution", "classes")},
        "resolution": sizes["resolution"],
        "classes": sizes["classes"],
        "params": int(sum(np.prod(variable.shape) for variable in model.trainable_variables)),
        "macs": macs.count(model),
        "int8_bytes": model_bytes,
        "arena_bytes": arena_bytes,
        "fits": {board: fits_board(arena_bytes, model_bytes, board) for board in boards.names()},
    }


def fits_board(arena_bytes: int, model_bytes: int, board_name: str) -> bool:
    """Returns whether a model of these sizes fits the board `board_name` with the compiled engine, by estimates.

    Args:
        arena_bytes: of the tensor arena.
        model_bytes: of the model in the firmware.
        board_name: the board.
    """
    board = boards.load(board_name)
    sizes = firmware.Sizes(
        model_bytes=model_bytes,
        runtime_bytes=flash.LIBC_BYTES,
        firmware_bytes=operators.FIRMWARE_BYTES + flash.ALL_CODE_BYTES,
        arena_bytes=arena_bytes,
        stack_bytes=firmware.STACK_BYTES,
        other_ram_bytes=operators.OTHER_RAM_BYTES,
        measured=False,
    )
    return fit_check.on_board(sizes, board).fits
