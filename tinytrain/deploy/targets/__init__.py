"""Export targets: a module here writes the project that `tinytrain export` leaves in EXPORT/firmware.

`export.target` chooses one by its file name; there is no registry. A new target (CMake, Zephyr, ESP-IDF, Arduino) is
one new file with the function

    def write(folder: Path, board: Board, contents: Contents) -> Path:

which writes `folder`/firmware for `board`, whole or not at all, and returns its path. `c_source.write` writes the
model's C++ for any target. `plugins.data_folder("firmware")` holds the sources: `app/` for every target, and
`platform/`, which a target with an operating system replaces.

Whatever the target, `export` proves and measures the model with the Makefile project, which it builds and emulates
itself; `tinytrain bench` emulates that one only.
"""

from pathlib import Path

from tinytrain.config import plugins
from tinytrain.deploy.boards import Board
from tinytrain.deploy.c_source import Contents

FOLDER = "deploy.targets"
PROVEN = "makefile"  # the target that `export` builds and emulates


def write(target: str, folder: Path, board: Board, contents: Contents) -> Path:
    """Writes `folder`/firmware as the target of this name does, and returns its path.

    Raises UserError for an unknown target.
    """
    project: Path = plugins.load(FOLDER, target).write(folder, board, contents)
    return project
