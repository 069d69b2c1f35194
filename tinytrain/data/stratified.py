"""Draws a share of every class, or so many images in all."""

from collections.abc import Set

import numpy as np

from tinytrain.data import copies
from tinytrain.data.source import counted
from tinytrain.errors import UserError

JOINED = -2  # the stratum of the classes that are the rarest in a single image


def hold_out(
    indices: np.ndarray,
    labels: np.ndarray,
    units: np.ndarray,
    share: float,
    seed: int,
    name: str,
    leave: int = 1,
    strict: bool = True,
    reserved: Set[int] = frozenset(),
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (kept, held out): `share` of every class (an int: so many images), one of each at least on both sides.

    Images of the same unit (`units`, one for each label) are on the same side. Of a class with copies `leave` units
    are kept, and all `reserved` ones. Unless it is `strict`, a class may be on one side only, and those of a single
    image are drawn as one.
    """
    random = np.random.default_rng([seed, len(indices)])
    strata = labels[indices] if strict else _with_single_ones_joined(labels[indices])
    present, sizes = np.unique(strata, return_counts=True)
    counts = _exact(sizes, share, name) if isinstance(share, int) else _rounded(sizes, share)
    order = {int(label): random.permutation(np.flatnonzero(strata == label)) for label in present}
    wanted = dict(zip(order, counts.tolist(), strict=True))
    holdout = copies.GroupedHoldout(strata, units[indices], wanted, leave, strict, reserved)
    holdout.hold_out_classes(order)
    if isinstance(share, int):
        holdout.correct_total(order)
    return indices[~holdout.mask], indices[holdout.mask]


def _with_single_ones_joined(strata: np.ndarray) -> np.ndarray:
    """Returns (N,) the strata with those of a single image made one."""
    present, where, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    return np.where(sizes[where] == 1, JOINED, present[where])


def _rounded(sizes: np.ndarray, share: float) -> np.ndarray:
    return np.clip(np.round(share * sizes).astype(int), 1, sizes - 1)


def _exact(sizes: np.ndarray, total: int, name: str) -> np.ndarray:
    """Returns how many of each class make `total`, in proportion to `sizes`: the largest remainders are rounded up."""
    low, high = int((sizes > 1).sum()), int((sizes - 1).sum())
    if not low <= total <= high:
        what = (
            f"train on {counted(total, 'image')}"
            if name == "train"
            else f"hold out {counted(total, 'image')} for {name}"
        )
        raise UserError(f"cannot {what}: expected {low:,} to {high:,}, so that one of each class is left")
    ideal = total * sizes / sizes.sum()
    counts = np.clip(np.floor(ideal).astype(int), 1, sizes - 1)
    while counts.sum() != total:
        step = 1 if counts.sum() < total else -1
        free = counts < sizes - 1 if step == 1 else counts > 1
        counts[np.argmax(np.where(free, step * (ideal - counts), -np.inf))] += step
    return counts
