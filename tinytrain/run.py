"""The run folder: everything that one `tinytrain fit` leaves behind, each file written whole or not at all.

config.toml    complete: it alone repeats the run
origin.json    version and commits of tinytrain that trained it, the machines it ran on, and the classes of its data
graph.json     the layers of the network, if model.weights had a say in them
split.json     the names of the images in each split
content.json   the content and the class of each of these images (identity.py)
search.json    what the learning-rate search tried and found, if there was one
history.csv    one row an epoch
tensorboard/   the same for TensorBoard, with log.tensorboard
last.npz       all there is to go on with after the last whole epoch
best.npz       the weights with the best score on the val split, of equal ones the last
model.keras    the plain model with those weights
metrics.json   val and test figures; written last, so that a run with it is finished
"""

import csv
import io
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tinytrain import files, locks
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.errors import UserError, is_utf8, readable
from tinytrain.files import make_folder, read_json, refuse_links, write_text

RUNS = Path("runs")
LOCK_FILE = ".lock"
# What a training does not read, or not to train: a run that goes on takes it as it is given then.
FREE = ("log.", "qat.", "export.", "data.check")


def _numbered(stem: Path) -> Path:
    """Makes the first of the folders STEM-001, STEM-002 … that is not there; no two processes get the same one."""
    make_folder(stem.parent)
    for number in range(1, 10**6):
        folder = stem.with_name(f"{stem.name}-{number:03d}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"cannot make the folder '{folder}': {error.strerror}; name another with --out") from None
    raise UserError(f"'{stem}-001' and all numbers to 999999 are taken: name another folder with --out")


class Run:
    """One run folder, and a path to it. `Run.create` begins one, `Run.open` finds one that is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_path, self.split_path = folder / "config.toml", folder / "split.json"
        self.content_path = folder / "content.json"
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
        """Returns a new run in `folder`, by default in a new folder runs/NAME-NNN of the first free number.

        Of several processes each gets a folder of its own by default.

        Raises UserError for a folder that holds a run, Held for one that another process is writing.
        """
        if folder is None:
            return cls(_numbered(RUNS / name))
        if not is_utf8(str(folder)):
            raise UserError(f"the run folder '{readable(str(folder))}' is not UTF-8: name another one")
        run = cls(folder)
        # Of a run that another process has just begun, the lock is the better answer.
        with run.writing() if folder.is_dir() else nullcontext():
            run.refuse_begun()
        make_folder(folder)
        return run

    def refuse_begun(self) -> None:
        """Raises UserError if there is a file or a run in place of a new one."""
        if self.folder.is_file() or self.config_path.exists() or self.model_path.exists():
            raise UserError(
                f"'{self.folder}' already holds a {'file' if self.folder.is_file() else 'run'}: name another folder "
                "with --out, or go on with an interrupted run with --resume"
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keeps other processes from writing this run inside the block, and removes what killed ones left in it.

        Raises UserError, which names the other process, if one is writing it.
        """
        with locks.held(self.folder / LOCK_FILE, f"the run '{self.folder}'"):
            files.sweep(self.folder.absolute())
            yield

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Returns the run in `folder`; raises UserError if it holds none."""
        run = cls(folder)
        if not run.config_path.is_file():
            what = "holds no run (no config.toml)" if folder.exists() else "does not exist"
            raise UserError(f"'{folder}' {what}: give the folder that `tinytrain fit` wrote")
        refuse_links(folder)
        return run

    @property
    def finished(self) -> bool:
        """Whether the run went to its end."""
        return self.metrics_path.is_file() and self.model_path.is_file()

    def config(self) -> Config:
        """Returns the complete config of the run."""
        return configs.load(self.config_path)

    def refuse_another(self, config: Config, typed: Collection[str] | None = None) -> None:
        """Raises UserError naming the first key in which `config` differs from the run's; "auto" differs from none.

        The keys of a method that neither uses make no difference, nor those of FREE.

        Args:
            config: what is asked for.
            typed: the dotted keys that were asked for by name; None: all.
        """
        stored = self.config()
        unused = {*plugins.names("methods")} - {*configs.methods(config), *configs.methods(stored)}
        known = configs.keys()
        for dotted in known:
            if dotted.partition(".")[0] in unused or dotted.startswith(FREE):
                continue
            if typed is not None and dotted not in typed:
                continue
            wanted, kept = configs.get_key(config, dotted), configs.get_key(stored, dotted)
            if wanted not in (kept, "auto"):
                raise UserError(
                    f"cannot resume '{self.folder}' with {dotted} = {wanted!r}: it was begun with {kept!r}; "
                    "ask for the same, name another folder, or delete this one to train it anew"
                )

    def take(self, config: Config) -> None:
        """Writes the keys of FREE as `config` has them into config.toml, if they are others there."""
        stored, changed, known = self.config(), False, configs.keys()
        for dotted in known:
            if dotted.startswith(FREE) and configs.get_key(config, dotted) != configs.get_key(stored, dotted):
                configs.set_key(stored, dotted, configs.get_key(config, dotted))
                changed = True
        if changed:
            write_text(self.config_path, configs.dump(stored))

    def split(self) -> dict[str, list[str]]:
        """Returns the names of the images in each split, as the run was trained."""
        return read_json(self.split_path)

    def metrics(self) -> dict[str, Any]:
        """Returns metrics.json; raises UserError if the run is not finished."""
        if not self.finished:
            quoted = shlex.quote(str(self.folder))
            raise UserError(
                f"the run '{self.folder}' is not finished: go on with tinytrain fit --out {quoted} --resume"
            )
        return read_json(self.metrics_path)

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
