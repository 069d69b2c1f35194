"""Draws images whatever their class, as a plain shuffle does: PyTorch's random_split for example."""

import numpy as np

from tinytrain.data.source import counted
from tinytrain.errors import UserError


def hold_out(
    indices: np.ndarray, units: np.ndarray, share: float, seed: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (kept, held out): the first `share` of a random order (an int: so many images).

    Images of the same unit are on the same side, so that with copies fewer may be held out. A class may be on one side
    only.

    Args:
        indices: of the images to draw from.
        units: one for each image there is, those of copies equal.
        share: of the images, 0..1, or how many.
        seed: draws the order.
        name: of the split, for the error.

    Raises:
        UserError: as many images as there are, or more.
    """
    count = share if isinstance(share, int) else min(max(round(share * len(indices)), 1), len(indices) - 1)
    if not 0 < count < len(indices):
        raise UserError(
            f"cannot hold out {counted(count, 'image')} for {name}: expected 1 to {len(indices) - 1:,}, so that one "
            "is left"
        )
    _, groups = np.unique(units[indices], return_inverse=True)
    sizes = np.bincount(groups)
    is_held = np.zeros(len(sizes), bool)
    for group in groups[np.random.default_rng([seed, len(indices)]).permutation(len(indices))].tolist():
        if not is_held[group] and sizes[group] <= count:
            is_held[group] = True
            count -= int(sizes[group])
            if not count:
                break
    mask = is_held[groups]
    return indices[~mask], indices[mask]
