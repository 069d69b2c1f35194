"""The first choice of a network for a board, without any training, from a table that the project has measured.

priors.toml ranks networks by the mean accuracy that `benchmarks/priors.py` measured for them on small images. The first
choice is the best one of those that fit, brought to the resolution of the data.
"""

from collections.abc import Sequence
from pathlib import Path

from tinytrain.config import toml_files
from tinytrain.search.space import Network, Space

TABLE = Path(__file__).with_name("priors.toml")


def ranked() -> list[Network]:
    """Returns the networks of the table, the best first."""
    rows = toml_files.read(TABLE, "table of priors")["networks"]
    rows.sort(key=lambda row: -row["accuracy"])
    return [Network(row["name"], row["width"], row["resolution"], row["stem"]) for row in rows]


def choose(space: Space, architectures: Sequence[str]) -> Network:
    """Returns the best network of the table that is in `space` and fits; else the widest of any that fits.

    Args:
        space: what the user left open.
        architectures: those of which some network fits, at least one.
    """
    known = [network for network in ranked() if network.name in architectures]
    for network in known:
        nearest = space.nearest(network)
        if nearest.width == network.width or "model.width" in space.typed:
            return nearest
    for name in [*(network.name for network in known), *architectures]:
        return space.nearest(Network(name, space.all_widths[-1], space.all_resolutions[-1], "imagenet"))
    raise AssertionError("no architecture fits")
