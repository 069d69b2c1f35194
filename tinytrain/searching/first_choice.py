"""`fit --model auto`: the network for a board that is taken without any training."""

from collections.abc import Collection

from tinytrain import progress
from tinytrain.config.schema import Config
from tinytrain.data import boxes
from tinytrain.data.load import load_dataset
from tinytrain.deploy import boards
from tinytrain.errors import UserError
from tinytrain.searching import priors
from tinytrain.searching import space as spaces
from tinytrain.searching.limits import Limits
from tinytrain.searching.space import Network, Space
from tinytrain.train.resolve import resolve, with_usual


def of(config: Config, typed: Collection[str], mcu: str) -> Network:
    """Returns the first network of the table of priors that fits the board or microcontroller `mcu`.

    Args:
        config: the run; model.name is not read.
        typed: the dotted keys that the user typed, which stay.
        mcu: the board.

    Raises:
        UserError: the data cannot be read, or are not for classification. DoesNotFit: no network fits.
    """
    with progress.stage("reading the data"):
        dataset = load_dataset(config)
    if dataset.task in boxes.TASKS:
        raise UserError(
            f"--model auto chooses among networks measured for classification, but '{config.data.spec}' holds boxes: "
            "name a model of `tinytrain list models`"
        )
    known = resolve(with_usual(config, dataset, typed)[0], dataset)
    limits = Limits(boards.load(mcu), known, len(dataset.classes), int(known.model.channels))
    space = Space(known, {key for key in typed if key != "model.name"}, spaces.side(dataset), limits)
    with progress.stage("looking for the network that fits"):
        return priors.choose(space, limits.that_fit(space.smallest()))[0]
