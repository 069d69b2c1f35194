"""`tinytrain fit`: a training, refused before it begins if its network does not fit the board."""

import contextlib
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.deploy.fit_check import BoardCheck
from tinytrain.errors import UserError
from tinytrain.experiments import runs
from tinytrain.experiments.forecast import Forecast, of_one
from tinytrain.experiments.planned import Planned
from tinytrain.run import Run
from tinytrain.train import fit as training
from tinytrain.workers import cluster, collectives


def fit(
    config: Config,
    out: Path | str | None = None,
    mcu: str | None = None,
    resume: bool = False,
    typed: Collection[str] | None = None,
    choose_model: bool = False,
) -> Run | None:
    """Trains the model of `config` and returns its run folder, finished.

    Where TF_CONFIG is set, the workers that it names train it together: all of them call this with the same arguments,
    before any operation of TensorFlow. Workers other than the chief print nothing and return None.

    Args:
        config: the run; with `resume` the config it was started with, or `Config()` to use the one in the run folder.
        out: the run folder, by default the first free runs/DATA-MODEL-NNN.
        mcu: a board or microcontroller; the untrained network is converted and refused if it does not fit. A detector
            without model.resolution gets the largest one that fits.
        resume: go on after the last whole epoch of the run in `out`, as if it had never stopped.
        typed: the dotted keys of `config` that were chosen, which the usual values of the task do not replace. None:
            those that differ from the default.
        choose_model: take the first network that fits `mcu` from a table of measured networks (docs/search.md),
            instead of model.name and of other keys of the network that are not typed. A resumed run keeps its own.

    Raises:
        UserError: a mistake in the config, the data or TF_CONFIG, or another process writes the run. DoesNotFit: too
        large for `mcu`. WorkerGone: another worker has ended. KeyboardInterrupt has a note that says how to go on.
    """
    workers = collectives.begin(cluster.of_environment())
    with contextlib.nullcontext() if workers.chief else _silence():
        if choose_model and not resume:
            typed = take_first_choice(config, typed, mcu)
        return training.fit(config, Path(out) if out else None, resume, BoardCheck(mcu) if mcu else None, typed)


def forecast(
    config: Config,
    out: Path | str | None = None,
    mcu: str | None = None,
    resume: bool = False,
    typed: Collection[str] | None = None,
    choose_model: bool = False,
) -> tuple[dict[str, Any], str]:
    """Returns what `fit` would do with these arguments, and a text that says it; trains and writes nothing.

    The result is a row of `experiments.forecast.Forecast`. Some steps of a new run are timed.

    Raises:
        UserError and DoesNotFit as `fit` does before its first epoch.
    """
    if choose_model and not resume:
        typed = take_first_choice(config, typed, mcu)
    folder = Path(out) if out else Run.next_folder(training.usual_name(config))
    if not resume:
        Run(folder).refuse_existing()
    check = BoardCheck(mcu) if mcu else None
    data = runs.data_name(config.data.spec)
    planned = Planned(config.model.name, data, config.seed, config, folder, folder, typed, check)
    known = Forecast([planned])
    return known.rows[0], of_one(known)


def take_first_choice(config: Config, typed: Collection[str] | None, mcu: str | None) -> set[str]:
    """Sets the network of `config` to a good first choice for a board; returns the keys that are decided then.

    Args:
        config: the run; changed in place.
        typed: as in `fit`; these keys stay.
        mcu: the board, without which nothing can be chosen.

    Raises:
        UserError: no board, or data that cannot be read or are not for classification. DoesNotFit: no network fits.
    """
    from tinytrain.searching import first_choice

    if mcu is None:
        raise UserError("--model auto chooses the network for a board: say which with --mcu BOARD")
    if typed is None:
        known, default = configs.keys(), Config()
        typed = {key for key in known if configs.get_key(config, key) != configs.get_key(default, key)}
    network = first_choice.of(config, typed, mcu)
    for dotted, value in network.settings.items():
        configs.set_key(config, dotted, value)
    print(f"tinytrain: --model auto: {network}, the first of the measured networks that fits {mcu}", file=sys.stderr)
    return {*typed, *network.settings}


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Prints nothing in the block: the chief says it for all workers."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
        yield
