"""The checks of `tinytrain export` before its long work: a free folder, a TFLM that suits the board, disk space."""

from pathlib import Path

from tinytrain import files
from tinytrain.deploy import boards, make
from tinytrain.deploy.boards import Board
from tinytrain.errors import UserError
from tinytrain.run import Run

# About what an export takes on the disk: copies of the int8 model, two as such and one in C; the rest of firmware/;
# what the compiler makes of it.
MODEL_COPIES = 6
FIRMWARE_FOLDER_BYTES = 500_000
BUILD_BYTES = 6_000_000


def refuse_taken(folder: Path) -> None:
    """Raises UserError if `folder` holds anything already."""
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise UserError(f"'{folder}' is there already: remove it, or name another folder with --out")


def refuse_other_library(board: Board) -> None:
    """Raises UserError, before the long work, if TFLM_DIR does not suit a board that the firmware is built for."""
    make.check_library(board)
    if (emulated_board := boards.emulated_board(board)) and not make.lacking(emulator=True):
        make.check_library(emulated_board)


def refuse_full_disk(target: Path, folder: Path) -> None:
    """Raises UserError, before the long work, if what is exported would find no room in `folder` or in $TMPDIR."""
    model_bytes, images = target.stat().st_size if target.is_file() else 0, 0
    if target.is_dir() and (run := Run(target)).finished:
        config = run.config()
        model_bytes = run.model_path.stat().st_size // 4  # float32 there
        image_bytes = int(config.model.resolution) ** 2 * int(config.model.channels)
        images = image_bytes * len(run.split().get("test", ()))
    needed = images + MODEL_COPIES * model_bytes + FIRMWARE_FOLDER_BYTES
    files.require_space(folder, needed, "the export", "name another folder with --out")
    build = 0 if make.lacking(tflm=False) else BUILD_BYTES
    needed = images + model_bytes + build
    files.require_space(files.temporary_root(), needed, "the export's proof", "name another folder with TMPDIR")
