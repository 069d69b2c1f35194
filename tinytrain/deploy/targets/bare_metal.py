"""The target "bare-metal": the sources of firmware/ with the model, built by GNU make and arm-none-eabi-gcc."""

import shlex
import shutil
from pathlib import Path

from tinytrain import files
from tinytrain.config import plugins
from tinytrain.deploy import c_source
from tinytrain.deploy.boards import Board
from tinytrain.deploy.c_source import Contents
from tinytrain.deploy.firmware import keeps_image
from tinytrain.errors import UserError
from tinytrain.files import make_folder

_LEFT_OUT = ("build", "model", "library", "__pycache__")  # folders beside the sources that do not belong to them


def write(folder: Path, board: Board, contents: Contents) -> Path:
    """Writes `folder`/firmware, all that the build needs beside TFLM, and returns its path.

    It is written under a temporary name and renamed. `board` is the one that `make` builds for by default.

    Raises:
        UserError: `folder`/firmware exists already, or `contents` are none for the firmware (see c_source.write).
    """
    project = folder / "firmware"
    if project.exists():
        raise UserError(f"{project} exists already; remove it or give another folder")
    make_folder(folder)
    with files.folder(folder) as temporary:
        draft = temporary / "firmware"
        shutil.copytree(plugins.data_folder("firmware"), draft, ignore=_ignore)
        (draft / "model").mkdir()
        c_source.write(draft / "model", contents)
        arena_bytes = contents.plan.arena_bytes if contents.plan else contents.arena_bytes
        keeps = keeps_image(board, arena_bytes, contents.golden_input.size)
        (draft / "model" / "board.mk").write_text(f"BOARD ?= {board.name}\nTARGET_KEEPS_IMAGE := {keeps:d}\n", "utf-8")
        draft.rename(project)
    return project


def build_command(folder: Path, board: Board, needs_tflm: bool) -> str:
    """Returns the command that builds `folder`/firmware for `board`."""
    library = " TFLM_DIR=…" if needs_tflm else ""
    return f"make -C {shlex.quote(str(folder / 'firmware'))} BOARD={board.name}{library}"


def _ignore(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name in _LEFT_OUT or name.startswith(".")]
