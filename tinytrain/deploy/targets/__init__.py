"""Export targets: a module here writes what `tinytrain export` leaves in the export for a program on the board.

`export.target`, or --target, chooses one by its file name; there is no registry. A new target (Zephyr, ESP-IDF,
Arduino) is one new file with the functions

    def write(folder: Path, board: Board, contents: Contents) -> Path:
    def build_command(folder: Path, board: Board, needs_tflm: bool) -> str:

The first writes a folder of its own into the export's `folder`, whole or not at all, and returns its path; the second
returns the command that builds it there. `c_source.write` writes the model's C++ for any target.
`plugins.data_folder("firmware")` holds the sources: `app/` for every target, and `platform/`, which a target with an
operating system replaces.

Whatever the target, `export` proves and measures the model with the bare-metal firmware, which it builds and emulates
itself; `tinytrain bench` runs that one only.
"""

from pathlib import Path

from tinytrain.config import plugins
from tinytrain.deploy.boards import Board
from tinytrain.deploy.c_source import Contents

PROVEN = "bare-metal"  # the target that `export` builds and emulates


def write(target: str, folder: Path, board: Board, contents: Contents) -> Path:
    """Writes a folder into `folder` as the target of this name does, and returns its path.

    Raises UserError for an unknown target.
    """
    project: Path = plugins.load(plugins.TARGETS, target).write(folder, board, contents)
    return project


def build_command(target: str, folder: Path, board: Board, needs_tflm: bool) -> str:
    """Returns the command that builds what `write` has left in the export's `folder`."""
    command: str = plugins.load(plugins.TARGETS, target).build_command(folder, board, needs_tflm)
    return command
