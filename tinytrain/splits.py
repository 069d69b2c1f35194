"""The train, val and test split of a dataset: official where there is one, else stratified and seeded."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tinytrain.config import Data
from tinytrain.datasets import Source
from tinytrain.errors import UserError


@dataclass(frozen=True)
class Subset:
    """Images of one split: `indices` into the pool named `pool`."""

    pool: str
    indices: np.ndarray


def split(source: Source, data: Data, seed: int) -> dict[str, Subset]:
    """Returns {"train", "val", "test"} of `source`; the same seed gives the same split.

    Raises UserError naming every class that has too few images to stand in each split.
    """
    pools = source.pools
    base = "train" if "train" in pools else "all"
    holdouts = {"test": data.test_fraction, "val": data.val_fraction}
    holdouts = {name: share for name, share in holdouts.items() if name not in pools}
    _refuse_small_classes(source, base, needed=1 + len(holdouts))
    everything = np.arange(len(pools[base].labels))
    left, subsets = everything, {name: Subset(name, np.arange(len(pools[name].labels))) for name in pools}
    for name, share in holdouts.items():
        left, held = _stratified(left, pools[base].labels, share, seed)
        subsets[name] = Subset(base, np.sort(held))
    return {"train": Subset(base, np.sort(left)), "val": subsets["val"], "test": subsets["test"]}


def as_names(source: Source, subsets: dict[str, Subset]) -> dict[str, list[str]]:
    """Returns the image names of each split, as `split.json` in the run folder holds them."""
    return {name: [source.pools[part.pool].names[i] for i in part.indices] for name, part in subsets.items()}


def _stratified(indices: np.ndarray, labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns (kept, held out): `share` of every class, at least one image of each on both sides."""
    random = np.random.default_rng([seed, len(indices)])
    held = []
    for label in np.unique(labels[indices]):
        members = random.permutation(indices[labels[indices] == label])
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held.append(members[:count])
    held_out = np.concatenate(held)
    return np.setdiff1d(indices, held_out), held_out


def _refuse_small_classes(source: Source, base: str, needed: int) -> None:
    for name, pool in source.pools.items():
        counts = Counter(pool.labels.tolist())
        wanted = needed if name == base else 1
        small = [f"{word} ({counts[i]})" for i, word in enumerate(source.classes) if counts[i] < wanted]
        if small:
            raise UserError(
                f"too few images in {'the data' if name == 'all' else name} for {', '.join(small)}: every class needs "
                f"at least {wanted}, so that each split has one"
            )
