"""`tinytrain fit`: a training, refused before it begins if its network does not fit the board."""

from collections.abc import Collection
from pathlib import Path

from tinytrain.config.schema import Config
from tinytrain.deploy.fit_check import BoardCheck
from tinytrain.run import Run
from tinytrain.train import fit as training


def fit(
    config: Config,
    out: Path | str | None = None,
    mcu: str | None = None,
    resume: bool = False,
    typed: Collection[str] | None = None,
) -> Run:
    """Trains the model of `config` and returns its run folder, finished.

    Args:
        config: the run; with `resume` the one it was begun with, or `Config()` to take what the run folder holds.
        out: the run folder, by default the first free runs/DATA-MODEL-NNN.
        mcu: a board or microcontroller; the untrained network is converted and refused if it does not fit. A detector
            without model.resolution gets the largest one that fits.
        resume: go on after the last whole epoch of the run in `out`, as if it had never stopped.
        typed: the dotted keys of `config` that were chosen: what is usual for the task does not replace them. None:
            those that differ from the default.

    Raises:
        UserError: a mistake in the config or the data, or another process writes the run. DoesNotFit: too large for
        `mcu`. KeyboardInterrupt has a note that says how to go on.
    """
    return training.fit(config, Path(out) if out else None, resume, BoardCheck(mcu) if mcu else None, typed)
