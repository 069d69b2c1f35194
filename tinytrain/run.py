"""The run folder: all files that one `tinytrain fit` writes, each of them atomically; FILES says what they are."""

import csv
import io
import shlex
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

from tinytrain import files, locks
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.errors import UserError, is_utf8, near, readable
from tinytrain.files import make_folder, read_json, refuse_links, write_readme, write_text

RUNS = Path("runs")
LEASE = ".lock"
TITLE = "The training of one network, written by `tinytrain fit`; RUN stands for this folder"
FILES = {  # of a run; README.txt in it says the same
    "config.toml": "the complete config: `tinytrain fit RUN/config.toml` repeats the run",
    "origin.json": "the versions, commits and packages that trained it, the machines, and the classes of its data",
    "graph.json": "the layers of the network, if they depend on model.weights",
    "split.json": "the names of the images in each split",
    "content.json": "the content and the class of each of these images",
    "images.npz": "replaces these two files if there are more than 100,000 images",
    "search.json": "the trials and the result of the learning-rate search, if there was one",
    "search/, search.db": "the trials of that search, and their database",
    "history.csv": "one row for each epoch",
    "tensorboard/": "the same for TensorBoard, if log.tensorboard is set",
    "last.npz": "the complete state after the last whole epoch: `tinytrain fit --out RUN --resume` continues from it",
    "best.npz": "the weights with the best score on the val images (the latest, if several tie)",
    "model.keras": "the trained network, plain Keras: `tinytrain export RUN --mcu BOARD` puts it on a board",
    "metrics.json": "the results on the val and the test images; written last, so a run that has this file is finished",
    "export-BOARD/": "an export for a board, once there is one; its README.txt says what is in it",
}
# Keys that do not influence the training: they may change when a run is resumed.
CHANGEABLE_KEYS = ("log.", "qat.", "export.", "data.check")


def _numbered(stem: Path) -> Iterator[Path]:
    """Yields STEM-001, STEM-002 … STEM-999999."""
    for number in range(1, 10**6):
        yield stem.with_name(f"{stem.name}-{number:03d}")


def _make_numbered(stem: Path) -> Path:
    """Makes the first of the folders STEM-001, STEM-002 … that is free; no two processes get the same one."""
    make_folder(stem.parent)
    for folder in _numbered(stem):
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"cannot make the folder '{folder}': {error.strerror}; name another with --out") from None
    raise UserError(f"'{stem}-001' and all numbers to 999999 are taken: name another folder with --out")


def _names_in(path: Path) -> dict[str, list[str]]:
    """Returns the names in images.npz, by split."""
    import numpy as np  # in use for large data only

    try:
        with np.load(path, allow_pickle=False) as file:
            splits = [name.partition("/")[0] for name in file.files if name.endswith("/digests")]
            arrays = {split: (file[f"{split}/names/letters"], file[f"{split}/names/ends"].tolist()) for split in splits}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"cannot read '{path}': {error}; it has changed since tinytrain wrote it") from None
    texts = {split: (letters.tobytes(), pairwise(ends)) for split, (letters, ends) in arrays.items()}
    return {
        split: [letters[start:end].decode("utf-8", "surrogatepass") for start, end in places]
        for split, (letters, places) in texts.items()
    }


class Run:
    """One run folder, which can be used as a path. `Run.create` makes a new one, `Run.open` opens an existing one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_path, self.split_path = folder / "config.toml", folder / "split.json"
        self.content_path, self.images_path = folder / "content.json", folder / "images.npz"
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
        """Returns a new run in `folder`, by default in a new folder runs/NAME-NNN with the first free number.

        By default, each of several processes gets a folder of its own.

        Raises:
            UserError: the folder holds a run already, or cannot be made.
            Held: another process is writing it.
        """
        if folder is None:
            return cls(_make_numbered(RUNS / name))
        if not is_utf8(str(folder)):
            raise UserError(f"the run folder '{readable(str(folder))}' is not UTF-8: name another one")
        run = cls(folder)
        run.refuse_taken()
        make_folder(folder)
        return run

    @staticmethod
    def next_folder(name: str) -> Path:
        """Returns the folder that `create` makes by default, unless another process makes it first."""
        return next(folder for folder in _numbered(RUNS / name) if not folder.exists())

    def refuse_taken(self) -> None:
        """Raises UserError if the folder holds a run already, or is locked by another process.

        For a run that another process has just begun, the error of the lock says more.
        """
        with self.writing() if self.folder.is_dir() else nullcontext():
            self.refuse_existing()

    def refuse_existing(self) -> None:
        """Raises UserError if the folder is a file or holds a run already."""
        if self.folder.is_file() or self.config_path.exists() or self.model_path.exists():
            raise UserError(
                f"'{self.folder}' already holds a {'file' if self.folder.is_file() else 'run'}: name another folder "
                "with --out, or continue an interrupted run with --resume"
            )

    @contextmanager
    def writing(self, watch: locks.Watch | None = None) -> Iterator[None]:
        """Has the lease of the run inside the block, and removes what killed processes have left in it.

        Args:
            watch: as in `locks.held`.

        Raises:
            Held: another process is writing the run.
        """
        with locks.held(self.folder / LEASE, f"the run '{self.folder}'", watch):
            files.remove_leftovers(self.folder.absolute())
            yield

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Returns the run in `folder`; raises UserError if it holds none."""
        run = cls(folder)
        if not run.config_path.is_file():
            what = "holds no run (no config.toml)" if folder.exists() else "does not exist"
            raise UserError(f"'{folder}' {what}: give the folder that `tinytrain fit` wrote{near(folder)}")
        refuse_links(folder)
        return run

    @property
    def finished(self) -> bool:
        """Whether the training has finished."""
        return self.metrics_path.is_file() and self.model_path.is_file()

    def config(self) -> Config:
        """Returns the complete config of the run."""
        return configs.load(self.config_path)

    def refuse_other_config(self, config: Config, typed: Collection[str] | None = None) -> None:
        """Checks that the run can be resumed with `config`.

        Keys may differ if `config` has "auto", if they belong to a method that neither uses, or if they are among
        CHANGEABLE_KEYS.

        Args:
            config: the config to resume with.
            typed: the dotted keys to compare, those that the user typed; None: all.

        Raises:
            UserError: a key differs, which it names.
        """
        stored = self.config()
        unused = {*plugins.names("methods")} - {*configs.methods(config), *configs.methods(stored)}
        all_keys = configs.keys()
        for dotted in all_keys:
            if dotted.partition(".")[0] in unused or dotted.startswith(CHANGEABLE_KEYS):
                continue
            if typed is not None and dotted not in typed:
                continue
            new, old = configs.get_key(config, dotted), configs.get_key(stored, dotted)
            if new not in (old, "auto"):
                raise UserError(
                    f"cannot resume '{self.folder}' with {dotted} = {new!r}: it was started with {old!r}; "
                    "use the same value, name another folder, or delete this one to train it again"
                )

    def update_config(self, config: Config) -> None:
        """Copies the CHANGEABLE_KEYS of `config` to config.toml, if they differ."""
        stored, changed, all_keys = self.config(), False, configs.keys()
        for dotted in all_keys:
            value = configs.get_key(config, dotted)
            if dotted.startswith(CHANGEABLE_KEYS) and value != configs.get_key(stored, dotted):
                configs.set_key(stored, dotted, value)
                changed = True
        if changed:
            write_text(self.config_path, configs.dump(stored))

    def write_readme(self) -> None:
        """Writes README.txt, which says what each file of a run is."""
        write_readme(self.folder, TITLE, FILES)

    def split(self) -> dict[str, list[str]]:
        """Returns the names of the images in each split of the training."""
        return _names_in(self.images_path) if self.images_path.is_file() else read_json(self.split_path)

    def metrics(self) -> dict[str, Any]:
        """Returns metrics.json; raises UserError if the run is not finished."""
        if not self.finished:
            quoted = shlex.quote(str(self.folder))
            raise UserError(
                f"the run '{self.folder}' is not finished: go on with tinytrain fit --out {quoted} --resume"
            )
        return read_json(self.metrics_path)

    def history(self) -> list[dict[str, str]]:
        """Returns the rows of history.csv, one for each epoch."""
        return list(csv.DictReader(self.history_path.read_text().splitlines()))

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """Writes history.csv, one row for each epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.history_path, text.getvalue())
