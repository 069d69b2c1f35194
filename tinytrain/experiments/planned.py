"""A run to train, as `compare`, `reproduce` and `fit --teacher` plan it."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from tinytrain.config.schema import Config
from tinytrain.train.chosen import FitCheck


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
        fit_check: called with its untrained network, to refuse one that is too large for a board.
    """

    name: str
    data: str
    seed: int
    config: Config
    folder: Path
    config_path: Path
    typed: Collection[str] | None = None
    fit_check: FitCheck | None = None
