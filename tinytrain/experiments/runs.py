"""Runs that are planned together: trained one after another, each as far as it is not trained yet."""

import contextlib
import gc
import itertools
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from tinytrain import files
from tinytrain.config import catalog
from tinytrain.config.schema import Config
from tinytrain.data import identity
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset
from tinytrain.errors import UserError, escaped
from tinytrain.files import make_folder
from tinytrain.locks import Held
from tinytrain.run import Run
from tinytrain.train import fit
from tinytrain.train.resolve import resolve

TABLE_BYTES = 100_000  # about, and the first files of a run


@dataclass(frozen=True)
class Planned:
    """One run to be: what its config and its dataset are called, its seed, its whole config and its folder.

    origin: the file that the config comes from, which a mistake in it is told with.
    """

    name: str
    data: str
    seed: int
    config: Config
    folder: Path
    origin: Path


def train_all(plan: Sequence[Planned], table: Path, finished: Callable[[Planned, Run], None]) -> None:
    """Trains every run of `plan`, in order, as far as it is not trained, and calls `finished` after each.

    Args:
        plan: the runs.
        table: the file that `finished` writes, which an error names.
        finished: takes in what was planned and the run that it became.

    A run that another process trains, such as the same command typed twice, comes last.

    Raises UserError, before anything is trained, if a folder holds a run of another config or cannot be made, and after
    everything else if a run failed, or another process still trains it: the others do not wait for it.
    """
    _refuse_runs_of_other_configs(plan)
    _refuse_runs_of_other_images(plan)
    make_folder(table.parent)
    files.require_space(table.parent, TABLE_BYTES, "the tables", "name another folder with --out")
    with _typed_again():
        failed = _train_each(plan, finished)
    if failed:
        with contextlib.suppress(OSError):
            table.parent.rmdir()  # if it is empty: no run was begun
        raise UserError(
            f"{len(failed)} of {len(plan)} runs failed, the others are in '{table}'; the first: {failed[0]}"
        )


def _train_each(plan: Sequence[Planned], finished: Callable[[Planned, Run], None]) -> list[UserError]:
    """Trains every run, one that another process trains at the end if it is free then; returns why some failed."""
    failed: list[UserError] = []
    waiting: list[Planned] = []
    for planned in itertools.chain(plan, waiting):  # which grows
        try:
            run = _trained(planned)
        except Held as error:
            if planned in waiting:
                failed.append(error)
            else:
                waiting.append(planned)
            print(f"tinytrain: {error}", file=sys.stderr)
        except UserError as error:  # a loss that is not finite, say
            print(f"tinytrain: {error}", file=sys.stderr)
            failed.append(error)
        else:
            finished(planned, run)
    return failed


@contextlib.contextmanager
def _typed_again() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note("the same command typed again goes on")
        raise


def _refuse_runs_of_other_configs(plan: Sequence[Planned]) -> None:
    """Raises UserError if a run that was begun has another config than is planned for its folder."""
    for planned in plan:
        if (run := Run(planned.folder)).config_path.is_file():
            run.refuse_other_config(planned.config)


def _refuse_runs_of_other_images(plan: Sequence[Planned]) -> None:
    """Raises UserError if a run was trained on other images than are there now for those that are still to be trained.

    A dataset on which nothing is to be trained any more is not read.
    """
    wanted = {planned.config.data.spec for planned in plan if not Run(planned.folder).finished}
    sources: dict[str, Dataset] = {}
    for planned in plan:
        run = Run(planned.folder)
        if planned.config.data.spec not in wanted or not (run.config_path.is_file() and run.split_path.is_file()):
            continue
        config = run.config()
        key = repr(config.data)
        try:
            source = sources.get(key) or load_dataset(config)
        except UserError:  # told where it is trained
            continue
        sources[key] = source
        identity.recorded_splits(run, source, resolve(config, source))


def refuse_shared_folders(plan: Sequence[Planned]) -> None:
    """Raises UserError if two runs would be trained in the same folder."""
    folders = [planned.folder for planned in plan]
    if twice := next((planned for planned in plan if folders.count(planned.folder) > 1), None):
        raise UserError(
            f"two of the runs would share the folder '{twice.folder}': give each config file and each dataset a name "
            "of its own"
        )


def data_name(spec: str) -> str:
    """Returns what a dataset is called in tables and folders: the word of a SPEC, or the last name of its path."""
    word, _, argument = spec.partition(":")
    return word if word in catalog.ROWS or not argument else Path(argument).resolve().name


def naming_file(path: Path, error: UserError) -> UserError:
    """Returns `error` with the config file that it is about, unless it names it already."""
    return error if str(path) in str(error) else UserError(f"{path}: {error}")


def _trained(planned: Planned) -> Run:
    """Returns the finished run, trained as far as it was not."""
    run = Run(planned.folder)
    if run.finished:
        return run
    print(escaped(f"{planned.folder}:"), file=sys.stderr)
    logging.getLogger("tensorflow").setLevel(
        logging.ERROR
    )  # each run traces anew, which TensorFlow takes for a mistake
    begun = run.config_path.is_file()
    try:
        return fit.fit(planned.config, planned.folder, resume=begun)
    except Held:
        raise
    except UserError as error:
        raise naming_file(planned.origin, error) from None
    finally:
        keras.utils.clear_session()  # or the graphs of all runs stay in memory
        gc.collect()
