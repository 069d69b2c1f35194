"""Uneven classes (data.balance): the rare ones weigh more in the loss, or are shown more often. For training only."""

import numpy as np

from tinytrain.data import boxes
from tinytrain.data.source import counted
from tinytrain.errors import UserError


def oversample(strata: np.ndarray, seed: int) -> np.ndarray:
    """Returns (M,) sorted indices into the images, in which each class stands as often as the largest one.

    Within a class some images, drawn from the seed, are repeated once more than the others. Images without a box are
    shown once.

    Args:
        strata: (N,) the class of each image, `boxes.NO_BOX` for one without a box.
        seed: draws them.
    """
    random = np.random.default_rng(seed)
    present, counts = np.unique(strata[strata != boxes.NO_BOX], return_counts=True)
    index = [np.flatnonzero(strata == boxes.NO_BOX)]
    for label, count in zip(present, counts, strict=True):
        repeats, remainder = divmod(int(counts.max()), int(count))
        members = np.flatnonzero(strata == label)
        index += [np.repeat(members, repeats), random.permutation(members)[:remainder]]
    return np.sort(np.concatenate(index))


def class_weights(strata: np.ndarray, classes: int) -> np.ndarray:
    """Returns (classes,) float32, N / (classes · images of the class): 1 on average over the N images.

    Raises:
        UserError: a class without an image.
    """
    counts = np.bincount(strata, minlength=classes)
    if not counts.all():
        raise UserError(
            f"data.balance = 'class_weights', but {counted(int((counts == 0).sum()), 'class', 'classes')} without "
            "a training image: every class needs at least one"
        )
    return (len(strata) / (classes * counts)).astype(np.float32)
