"""`tinytrain fit`: a training, refused before it begins if its network does not fit the board."""

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from tinytrain.config.schema import Config
from tinytrain.deploy.fit_check import BoardCheck
from tinytrain.run import Run
from tinytrain.train import fit as training
from tinytrain.workers import cluster, collectives


def fit(
    config: Config,
    out: Path | str | None = None,
    mcu: str | None = None,
    resume: bool = False,
    typed: Collection[str] | None = None,
) -> Run | None:
    """Trains the model of `config` and returns its run folder, finished.

    Where TF_CONFIG is set, the workers that it names train it together: all of them call this with the same arguments,
    before any operation of TensorFlow. Other workers than the chief print nothing and return None.

    Args:
        config: the run; with `resume` the one it was begun with, or `Config()` to take what the run folder holds.
        out: the run folder, by default the first free runs/DATA-MODEL-NNN.
        mcu: a board or microcontroller; the untrained network is converted and refused if it does not fit. A detector
            without model.resolution gets the largest one that fits.
        resume: go on after the last whole epoch of the run in `out`, as if it had never stopped.
        typed: the dotted keys of `config` that were chosen: what is usual for the task does not replace them. None:
            those that differ from the default.

    Raises:
        UserError: a mistake in the config, the data or TF_CONFIG, or another process writes the run. DoesNotFit: too
        large for `mcu`. WorkerGone: another worker has ended. KeyboardInterrupt has a note that says how to go on.
    """
    workers = collectives.begin(cluster.of_environment())
    with contextlib.nullcontext() if workers.chief else _silence():
        return training.fit(config, Path(out) if out else None, resume, BoardCheck(mcu) if mcu else None, typed)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Prints nothing in the block: the chief says it for all workers."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
        yield
