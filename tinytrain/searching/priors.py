"""The first choice of a network for a board, without any training, from a table that the project has measured.

priors.toml holds the accuracy that `benchmarks/priors.py` measured for networks of several architectures and widths at
one or more resolutions. It is their order that counts: the first choice is the first one that fits the board at the
usual resolution of the data. docs/search.md says how the table was made.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinytrain.config import toml_files
from tinytrain.searching.space import Network, Space

TABLE = Path(__file__).with_name("priors.toml")
USUAL_RESOLUTION = 96  # the most, where more would fit


def ranked(resolution: int) -> list[dict[str, Any]]:
    """Returns the rows of the table of the resolution that is nearest to one, in pixels, the most accurate first."""
    rows = toml_files.read(TABLE, "table of priors")["networks"]
    nearest = min((row["resolution"] for row in rows), key=lambda side: abs(math.log(side / resolution)))
    return sorted((row for row in rows if row["resolution"] == nearest), key=lambda row: -row["accuracy"])


def choose(space: Space, architectures: Sequence[str], count: int = 1) -> list[Network]:
    """Returns the first networks of the table that fit, at the usual resolution of the data or the next that fits.

    What the user typed stays. Another stem than in the table is another network, of which the table says nothing.
    Where none of the table fits, it is the widest of its first architecture that does.

    Args:
        space: what the user left open, and what fits.
        architectures: those of which some network fits, at least one.
        count: how many at most, each of another architecture.
    """
    sides = [side for side in space.all_resolutions if side <= USUAL_RESOLUTION] or space.all_resolutions[:1]
    rows = [row for row in ranked(sides[-1]) if row["name"] in architectures]
    for side in reversed(sides):
        found: dict[str, Network] = {}
        for row in rows:
            if row["name"] in found or len(found) == count:
                continue
            network = space.nearest(Network(row["name"], row["width"], side, row["stem"]))
            same_width = network.width == row["width"] or len(space.all_widths) == 1
            same_stem = network.stem == row["stem"] or len(space.stems(side)) == 1
            if network.resolution == side and same_width and same_stem:
                found[row["name"]] = network
        if found:
            return list(found.values())
    first = rows[0] if rows else {"name": architectures[0], "stem": space.stems(sides[-1])[0]}
    return [space.nearest(Network(first["name"], space.all_widths[-1], sides[-1], first["stem"]))]
