"""Trains the planned runs of an experiment one after another; a finished run is kept, an unfinished one goes on."""

import contextlib
import gc
import itertools
import logging
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from tinytrain import files
from tinytrain.config import dataset_catalog
from tinytrain.config.schema import Config
from tinytrain.data import identity
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset
from tinytrain.errors import UserError, escaped
from tinytrain.files import make_folder
from tinytrain.locks import Held
from tinytrain.run import Run
from tinytrain.train import fit
from tinytrain.train.resolve import decided, resolve

TABLE_BYTES = 100_000  # about what the tables and the first files of a run take


@dataclass(frozen=True)
class Planned:
    """A run to train.

    Attributes:
        name: of its config or arm, as tables show it.
        data: the name of its dataset, as tables and folders show it.
        seed: its seed.
        config: its whole config.
        folder: where it is written.
        config_path: the file that the config comes from, which errors name.
        typed: the dotted keys of the config that were chosen, which what is usual for the task does not replace; None:
            those that differ from the default.
    """

    name: str
    data: str
    seed: int
    config: Config
    folder: Path
    config_path: Path
    typed: Collection[str] | None = None


def train_all(plan: Sequence[Planned], table: Path, finished: Callable[[Planned, Run], None]) -> None:
    """Trains every run of a plan that is not finished, and calls `finished` after each.

    A run that another process trains, because the same command runs twice for example, comes last.

    Args:
        plan: the runs in order.
        table: the file that `finished` writes, which errors name.
        finished: called with the planned run and the finished one.

    Raises:
        UserError: before any training, if a folder holds a run with another config or other images, or cannot be made;
            at the end, if a run failed or another process still trains it.
    """
    _refuse_runs_of_other_configs(plan)
    _refuse_runs_of_other_images(plan)
    make_folder(table.parent)
    files.require_space(table.parent, TABLE_BYTES, "the tables", "name another folder with --out")
    with _hint_on_interrupt():
        errors = _train_each(plan, finished)
    if errors:
        with contextlib.suppress(OSError):
            table.parent.rmdir()  # possible only if it is empty: no run was begun
        raise UserError(
            f"{len(errors)} of {len(plan)} runs failed, the others are in '{table}'; the first: {errors[0]}"
        )


def _train_each(plan: Sequence[Planned], finished: Callable[[Planned, Run], None]) -> list[UserError]:
    """Trains every run and returns the errors of those that failed; a run that another process holds is tried last."""
    errors: list[UserError] = []
    waiting: list[Planned] = []
    for planned in itertools.chain(plan, waiting):  # `waiting` grows meanwhile
        try:
            run = _trained(planned)
        except Held as error:
            if planned in waiting:
                errors.append(error)
            else:
                waiting.append(planned)
            print(f"tinytrain: {error}", file=sys.stderr)
        except UserError as error:  # such as a loss that is not finite
            print(f"tinytrain: {error}", file=sys.stderr)
            errors.append(error)
        else:
            finished(planned, run)
    return errors


@contextlib.contextmanager
def _hint_on_interrupt() -> Iterator[None]:
    """Adds to a KeyboardInterrupt how the training goes on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note("the same command, run again, continues")
        raise


def _refuse_runs_of_other_configs(plan: Sequence[Planned]) -> None:
    """Raises UserError if a folder holds a run that was begun with another config than the planned one."""
    for planned in plan:
        if (run := Run(planned.folder)).config_path.is_file():
            run.refuse_other_config(planned.config, decided(planned.config, run.config().task, planned.typed))


def _refuse_runs_of_other_images(plan: Sequence[Planned]) -> None:
    """Raises UserError if a run was trained on other images than its dataset holds now.

    A dataset is not read if all runs on it are finished.
    """
    unfinished = {planned.config.data.spec for planned in plan if not Run(planned.folder).finished}
    datasets: dict[str, Dataset] = {}
    for planned in plan:
        run = Run(planned.folder)
        recorded = run.split_path.is_file() or run.images_path.is_file()
        if planned.config.data.spec not in unfinished or not (run.config_path.is_file() and recorded):
            continue
        config = run.config()
        key = repr(config.data)
        try:
            dataset = datasets.get(key) or load_dataset(config)
        except UserError:  # raised again when it is trained
            continue
        datasets[key] = dataset
        identity.recorded_splits(run, dataset, resolve(config, dataset))


def refuse_shared_folders(plan: Sequence[Planned]) -> None:
    """Raises UserError if two planned runs have the same folder."""
    folders = [planned.folder for planned in plan]
    if repeated := next((planned for planned in plan if folders.count(planned.folder) > 1), None):
        raise UserError(
            f"two of the runs would share the folder '{repeated.folder}': give each config file and each dataset a "
            "name of its own"
        )


def data_name(spec: str) -> str:
    """Returns the name of a dataset in tables and folders: the source of a SPEC, or the last part of its path."""
    source, _, argument = spec.partition(":")
    return source if source in dataset_catalog.ROWS or not argument else Path(argument).resolve().name


def naming_file(path: Path, error: UserError) -> UserError:
    """Returns `error` with the name of its config file in front, unless it names the file already."""
    return error if str(path) in str(error) else UserError(f"{path}: {error}")


def _trained(planned: Planned) -> Run:
    """Returns the run, trained to the end."""
    run = Run(planned.folder)
    if run.finished:
        return run
    print(escaped(f"{planned.folder}:"), file=sys.stderr)
    # each run traces its functions again, about which TensorFlow warns
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    begun = run.config_path.is_file()
    try:
        return fit.fit(planned.config, planned.folder, resume=begun, typed=planned.typed)
    except Held:
        raise
    except UserError as error:
        raise naming_file(planned.config_path, error) from None
    finally:
        keras.utils.clear_session()  # otherwise the graphs of all runs stay in memory
        gc.collect()
