"""A paper's experiment at a fraction of its size: fewer epochs, fewer images, and what is counted in either.

With E epochs of the paper, S_e of them and S_i of the images:

    optim.epochs             e = max(1, round(S_e·E)); what follows uses the share e/E that this really is
    optim.warmup_epochs      times e/E, so the warm-up keeps its share of the steps; the plateau's is whole
    plateau.patience, .stop_patience, search.epochs   times e/E, rounded, at least 1 (0 stays 0)
    data.train_images        max(classes, round(S_i·N)) of the N that the paper's split of this data leaves, or all
    data.val_images          likewise, but at least 1,000 or all: fewer would choose an epoch by chance

Nothing else is counted in epochs or images: the cosine ends with the last epoch, plateau.forced and
netaug.expansion_only are shares, and netaug.statistics_images is the most that it takes. The batch stays, so a
smaller share of the images is fewer steps an epoch; `batched` takes smaller ones, with sgd's rate in proportion
(methods.md F.30), but none below 8 or the arm's own: one image has no batch statistics. Test images are all used:
they cost little and decide how sure a figure is.
"""

import copy
from dataclasses import dataclass

from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.train.lr_search import defaults

FEWEST_VAL_IMAGES = 1000
SMALLEST_BATCH = 8


@dataclass(frozen=True)
class Scale:
    """The share of the epochs and of the training images, both in (0, 1]."""

    epochs: float = 1.0
    images: float = 1.0

    @property
    def full(self) -> bool:
        """Whether it is the paper's own size."""
        return self.epochs == self.images == 1


def parse(word: str | float | None) -> Scale:
    """Returns the scale that 0.1 (both) or "0.1,0.05" (epochs, images) means; raises UserError for anything else."""
    if word is None:
        return Scale()
    try:
        shares = [float(part) for part in str(word).split(",")]
    except ValueError:
        shares = []
    if len(shares) not in (1, 2) or not all(0 < share <= 1 for share in shares):
        raise UserError(
            f"--scale {word} is no scale: expected a share of epochs and images such as 0.1, or two such as 0.2,0.05"
        )
    return Scale(shares[0], shares[-1])


def scaled(config: Config, scale: Scale, train_images: int, val_images: int, classes: int) -> Config:
    """Returns a copy of `config` at `scale`.

    train_images, val_images: of its split at full size; val_images is 0 where the val split is the data's own, which
    stays as it is.
    """
    config = copy.deepcopy(config)
    if scale.epochs < 1:
        _scale_epochs(config, scale.epochs)
    if scale.images < 1:
        wanted = max(classes, round(scale.images * train_images))
        if wanted <= train_images - classes:  # a split leaves out at least one image of each class, or none
            config.data.train_images = wanted
        if val_images:
            fewest = min(val_images, FEWEST_VAL_IMAGES)
            config.data.val_images = max(classes, fewest, round(scale.images * val_images))
    return config


def batched(config: Config, factor: float) -> Config:
    """Returns a copy of `config` with `factor` times its batch, not below SMALLEST_BATCH, and sgd's rates likewise."""
    config = copy.deepcopy(config)
    optim, search = config.optim, config.search
    before = optim.batch
    optim.batch = max(min(before, SMALLEST_BATCH), round(factor * before))
    if optim.name == "sgd":
        share = optim.batch / before
        optim.lr *= share
        search.step *= share
        low, high = defaults.learning_rates(config.model.name)
        search.low = share * (low if search.low == "auto" else search.low)
        search.high = share * (high if search.high == "auto" else search.high)
    return config


def _scale_epochs(config: Config, share: float) -> None:
    before = config.optim.epochs
    config.optim.epochs = max(1, round(share * before))
    share = config.optim.epochs / before
    config.optim.warmup_epochs *= share
    if config.optim.schedule == "plateau":
        config.optim.warmup_epochs = float(round(config.optim.warmup_epochs))
    plateau, search = config.plateau, config.search
    plateau.patience, plateau.stop_patience = _counted(plateau.patience, share), _counted(plateau.stop_patience, share)
    if search.algorithm in defaults.EPOCHS:
        whole = defaults.epochs(search.algorithm) if search.epochs == "auto" else search.epochs
        search.epochs = _counted(int(whole), share)


def _counted(epochs: int, share: float) -> int:
    return max(1, round(share * epochs)) if epochs else 0
