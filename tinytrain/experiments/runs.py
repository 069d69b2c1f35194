"""Trains the planned runs of an experiment; a finished run is kept, an unfinished one goes on."""

import contextlib
import gc
import itertools
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from tinytrain import files
from tinytrain.config import dataset_catalog
from tinytrain.data import identity
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset
from tinytrain.errors import DoesNotFit, UserError, escaped
from tinytrain.experiments.planned import Planned
from tinytrain.experiments.sharing import SharedRuns
from tinytrain.files import make_folder
from tinytrain.locks import Held
from tinytrain.run import Run
from tinytrain.train import fit
from tinytrain.train.resolve import decided, resolve

TABLE_BYTES = 100_000  # about what the tables and the first files of a run take


def train_all(plan: Sequence[Planned], table: Path, progressed: Callable[[list[Planned]], None]) -> None:
    """Trains every run of a plan that is not finished, together with other processes that have the same plan.

    Args:
        plan: the runs in order.
        table: the file that `progressed` writes, which errors name.
        progressed: called with all finished runs, in order, after each that is new, whoever has trained it.

    Raises:
        UserError: before any training, if a folder holds a run with another config or other images, or cannot be made;
            at the end, if a run failed. DoesNotFit: a run is too large for its board.
    """
    refuse_other_runs(plan)
    make_folder(table.parent)
    files.require_space(table.parent, TABLE_BYTES, "the tables", "name another folder with --out")
    shared = SharedRuns(plan, _train)
    try:
        shared.train_all(progressed)
    except DoesNotFit:
        for planned in plan:
            _remove_empty(planned.folder, table.parent)
        raise
    if shared.errors:
        for folder in shared.errors:
            _remove_empty(folder, table.parent)
        first = next(iter(shared.errors.values()))
        raise UserError(
            f"{len(shared.errors)} of {len(plan)} runs failed, the others are in '{table}'; the first failure: {first}"
        )


def _remove_empty(folder: Path, last: Path) -> None:
    """Removes the folder of a run that was not begun, and those above it to `last`, as far as they are empty."""
    with contextlib.suppress(OSError):
        for empty in itertools.takewhile(lambda path: path != last.parent, (folder, *folder.parents)):
            empty.rmdir()


def refuse_other_runs(plan: Sequence[Planned]) -> None:
    """Raises UserError if a folder holds a run with another config than the planned one, or on other images."""
    _refuse_runs_of_other_configs(plan)
    _refuse_runs_of_other_images(plan)


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
            f"two of the runs would share the folder '{repeated.folder}': give each config file and each dataset "
            "its own name"
        )


def data_name(spec: str) -> str:
    """Returns the name of a dataset in tables and folders: the source of a SPEC, or the last part of its path."""
    source, _, argument = spec.partition(":")
    return source if source in dataset_catalog.ROWS or not argument else Path(argument).resolve().name


def naming_file(path: Path, error: UserError) -> UserError:
    """Returns `error` with the name of its config file in front, unless it names the file already."""
    return error if str(path) in str(error) else UserError(f"{path}: {error}")


def _train(planned: Planned) -> None:
    """Trains a run to its end."""
    run = Run(planned.folder)
    print(escaped(f"{planned.folder}:"), file=sys.stderr)
    # each run traces its functions again, about which TensorFlow warns
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    begun = run.config_path.is_file()
    try:
        fit.fit(planned.config, planned.folder, begun, planned.fit_check, planned.typed)
    except Held:
        raise
    except UserError as error:
        raise naming_file(planned.config_path, error) from None
    finally:
        keras.utils.clear_session()  # otherwise the graphs of all runs stay in memory
        gc.collect()
