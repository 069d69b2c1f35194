"""The run folder: everything that one `tinytrain fit` leaves behind, each file written whole or not at all.

config.toml    complete: it alone repeats the run
origin.json    version and commits of tinytrain that trained it, and the classes of its data
graph.json     the layers of the network, if model.weights had a say in them
split.json     the names of the images in each split
search.json    what the learning-rate search tried and found, if there was one
history.csv    one row an epoch
tensorboard/   the same for TensorBoard, with log.tensorboard
last.npz       all there is to go on with after the last whole epoch
best.npz       the weights with the best top-1 on the val split, of equal ones the last
model.keras    the plain model with those weights
metrics.json   val and test figures; written last, so that a run with it is finished
"""

import csv
import io
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tinytrain import config as configs
from tinytrain import rooms
from tinytrain.errors import UserError
from tinytrain.schema import Config

RUNS = Path("runs")


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Calls `write` on a temporary file beside `path`, then renames it: no reader ever sees half a file."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=path.suffix, delete=False) as file:
            try:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                os.unlink(file.name)
                raise
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise UserError(
            f"cannot write '{path}': {error.strerror or error}; free some room or name another folder"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    write_atomically(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically, indented."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it; raises UserError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder '{folder}': {error.strerror}; name another one with --out") from None


class Run:
    """One run folder, and a path to it. `Run.create` begins one, `Run.open` finds one that is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_path, self.split_path = folder / "config.toml", folder / "split.json"
        self.origin_path, self.graph_path = folder / "origin.json", folder / "graph.json"
        self.search_path = folder / "search.json"
        self.history_path, self.metrics_path = folder / "history.csv", folder / "metrics.json"
        self.last_path, self.best_path, self.model_path = (
            folder / "last.npz",
            folder / "best.npz",
            folder / "model.keras",
        )

    def __fspath__(self) -> str:
        return str(self.folder)

    @classmethod
    def create(cls, folder: Path | None, name: str) -> "Run":
        """Returns a new run in `folder`, by default the first free runs/NAME-NNN; refuses a folder that holds one."""
        if folder is None:
            taken = {path.name for path in RUNS.glob(f"{name}-*")}
            folder = RUNS / next(word for n in range(1, 10**6) if (word := f"{name}-{n:03d}") not in taken)
        run = cls(folder)
        if folder.is_file() or run.config_path.exists() or run.model_path.exists():
            raise UserError(
                f"'{folder}' already holds a {'file' if folder.is_file() else 'run'}: name another folder with --out, "
                "or go on with an interrupted run with --resume"
            )
        make_folder(folder)
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Returns the run in `folder`; raises UserError if it holds none."""
        run = cls(folder)
        if not run.config_path.is_file():
            what = "holds no run (no config.toml)" if folder.exists() else "does not exist"
            raise UserError(f"'{folder}' {what}: give the folder that `tinytrain fit` wrote")
        return run

    @property
    def finished(self) -> bool:
        """Whether the run went to its end."""
        return self.metrics_path.is_file() and self.model_path.is_file()

    def config(self) -> Config:
        """Returns the complete config of the run."""
        return configs.load(self.config_path)

    def refuse_another(self, config: Config) -> None:
        """Raises UserError naming the first key in which `config` differs from the run's; "auto" differs from none.

        The keys of a method that neither uses make no difference.
        """
        stored = self.config()
        unused = {*rooms.names("methods")} - {*configs.methods(config), *configs.methods(stored)}
        known = configs.keys()
        for dotted in known:
            if dotted.partition(".")[0] in unused:
                continue
            wanted, kept = configs.get_key(config, dotted), configs.get_key(stored, dotted)
            if wanted not in (kept, "auto"):
                raise UserError(
                    f"cannot resume '{self.folder}' with {dotted} = {wanted!r}: it was begun with {kept!r}; "
                    "ask for the same, name another folder, or delete this one to train it anew"
                )

    def split(self) -> dict[str, list[str]]:
        """Returns the names of the images in each split, as the run was trained."""
        return json.loads(self.split_path.read_text())

    def metrics(self) -> dict[str, Any]:
        """Returns metrics.json; raises UserError if the run is not finished."""
        if not self.finished:
            raise UserError(
                f"the run '{self.folder}' is not finished: go on with tinytrain fit --out {self.folder} --resume"
            )
        return json.loads(self.metrics_path.read_text())

    def history(self) -> list[dict[str, str]]:
        """Returns the rows of history.csv, an epoch each."""
        return list(csv.DictReader(self.history_path.read_text().splitlines()))

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """Writes history.csv, one row an epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.history_path, text.getvalue())
