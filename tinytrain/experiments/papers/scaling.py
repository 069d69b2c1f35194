"""Scales a paper's experiment down: fewer epochs, narrower networks, fewer images, smaller ones, and what counts these.

One share S is of the work, which grows with the epochs and about with the square of the width. Images matter most to
what a network learns, so all of them stay: S_e = √S of the epochs and S_w = √√S of the width remain, and each saves as
much as the other. Where networks begin from published weights, which there are for their own width only, S_e = S.

With E epochs in the paper, and the shares S_e of the epochs, S_w of the width, S_i of the images and S_r of the
resolution:

    optim.epochs             e = max(1, round(S_e·E)); the keys below use e/E, the share that remains
    optim.warmup_epochs      times e/E, so that the warm-up keeps its share of the steps; whole for schedule "plateau"
    optim.drops              times e/E, so that the rate keeps falling at its shares of the steps
    augment.mix_off_epochs   the same, rounded, where task = "detect"
    plateau.patience, .stop_patience, search.epochs   times e/E, rounded, at least 1 (0 stays 0)
    model.width              times S_w, to three decimals
    data.train_images        max(classes, round(S_i·N)) of the N training images of the paper's split, or all
    model.resolution         S_r of it; for boxes a multiple of the largest stride below that, detect.anchors with it
    data.val_images          the same, but at least 1,000 or all: with fewer, chance would choose the epoch

No other key is counted in epochs or images: the cosine schedule ends with the last epoch, plateau.forced and
netaug.expansion_only are shares, and netaug.statistics_images is an upper limit. The batch size stays, so fewer images
are fewer steps in an epoch. `batched` makes batches smaller, with the learning rate of sgd in proportion (Goyal et al.,
2017, linear scaling rule), but not below 8 or the arm's own size, because batch statistics need several images. All
test images are used: they cost little and decide how precise a figure is.
"""

import copy
from dataclasses import dataclass, replace

from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data import boxes
from tinytrain.errors import UserError
from tinytrain.train.lr_search import defaults

LEAST_VAL_IMAGES = 1000
LEAST_BATCH = 8
LEAST_SIDE, USUAL_STRIDE = 8, 32  # pixels


@dataclass(frozen=True)
class Scale:
    """The share of the epochs, of the training images, of the resolution and of the width, all in (0, 1]."""

    epochs: float = 1.0
    images: float = 1.0
    resolution: float = 1.0
    width: float = 1.0

    @classmethod
    def of_work(cls, share: float) -> "Scale":
        """Returns the scale that leaves about a share of the work, with all images."""
        return cls(epochs=share**0.5, width=share**0.25)

    @property
    def work(self) -> float:
        """About the share of the work that is left of the epochs and the width."""
        return self.epochs * self.width**2

    def at_full_width(self) -> "Scale":
        """Returns the scale that leaves the width, and as much of the work by the epochs alone."""
        return replace(self, epochs=self.work, width=1.0)

    @property
    def full(self) -> bool:
        """Whether it is the full size, that of the paper."""
        return self.epochs == self.images == self.resolution == self.width == 1

    @property
    def text(self) -> str:
        """What --scale takes."""
        if self.width < 1:
            return f"{self.work:g}"
        smaller = f",{self.resolution:g}" if self.resolution < 1 else ""
        return f"{self.epochs:g},{self.images:g}{smaller}"


def parse(text: str | float | None) -> Scale:
    """Returns the scale that the flag --scale means.

    Args:
        text: 0.1 for that share of the work, "0.1,0.05" for shares of the epochs and the images, "0.1,0.05,0.5" for one
            of the resolution as well, or None for the full size.

    Raises:
        UserError: for anything else.
    """
    if text is None:
        return Scale()
    try:
        shares = [float(share) for share in str(text).split(",")]
    except ValueError:
        shares = []
    if len(shares) not in (1, 2, 3) or not all(0 < share <= 1 for share in shares):
        raise UserError(
            f"--scale {text} is not a scale: expected a share of the work such as 0.1, shares of epochs and images "
            "such as 0.2,0.05, or three shares with that of the resolution"
        )
    return Scale.of_work(*shares) if len(shares) == 1 else Scale(*shares)


def scaled(config: Config, scale: Scale, train_images: int, val_images: int, classes: int) -> Config:
    """Returns a copy of a config at a scale.

    Args:
        config: at full size.
        scale: the shares.
        train_images: the number of training images at full size.
        val_images: the number of val images at full size; 0 if the data has a val split of its own, which stays whole.
        classes: the number of classes.
    """
    config = copy.deepcopy(config)
    if scale.epochs < 1:
        _scale_epochs(config, scale.epochs)
    if scale.resolution < 1 and config.model.resolution != "auto":
        shrink(config, round(scale.resolution * int(config.model.resolution)))
    if scale.width < 1:
        _narrow(config, scale.width)
    if scale.images < 1:
        scaled_images = max(classes, round(scale.images * train_images))
        if scaled_images <= train_images - classes:  # a split leaves out at least one image of each class, or none
            config.data.train_images = scaled_images
        if val_images:
            least = min(val_images, LEAST_VAL_IMAGES)
            config.data.val_images = max(classes, least, round(scale.images * val_images))
    return config


def lengthened(config: Config, epochs: int) -> Config:
    """Returns a copy of a config that trains for `epochs`, and with it all that is counted in epochs.

    A search of the learning rate before the training stays as long as it is.
    """
    longer = copy.deepcopy(config)
    _scale_epochs(longer, epochs / config.optim.epochs)
    longer.search = copy.deepcopy(config.search)
    return longer


def shrink(config: Config, side: int) -> None:
    """Brings a config to a resolution of `side` pixels, at least 8, in place.

    For boxes it is the next smaller multiple of the largest stride, and the anchors shrink with it.
    """
    model, detect = config.model, config.detect
    old, new = int(model.resolution), max(side, LEAST_SIDE)
    if config.task in boxes.TASKS:
        stride = USUAL_STRIDE if isinstance(detect.strides, str) else int(max(detect.strides))
        new = max(new // stride, 1) * stride
        if not isinstance(detect.anchors, str):
            detect.anchors = [max(anchor * new / old, 1.0) for anchor in detect.anchors]
    model.resolution = new


def _narrow(config: Config, share: float) -> None:
    """Brings the network of a config to a share of its width, in place."""
    width = config.model.width
    if width == "auto":
        width = plugins.load("models", config.model.name).DEFAULTS["width"]
    config.model.width = round(share * float(width), 3)


def batched(config: Config, factor: float) -> Config:
    """Returns a copy of `config` with `factor` times its batch size, and with sgd's learning rates in proportion.

    The batch size does not fall below LEAST_BATCH, or below that of `config` if that is smaller.
    """
    config = copy.deepcopy(config)
    optim, search = config.optim, config.search
    old_batch = optim.batch
    optim.batch = max(min(old_batch, LEAST_BATCH), round(factor * old_batch))
    if optim.name in ("auto", "sgd"):  # "auto" is sgd where a rate is said
        share = optim.batch / old_batch
        optim.lr *= share
        search.step *= share
        low, high = defaults.learning_rates(config.model.name)
        search.low = share * (low if search.low == "auto" else search.low)
        search.high = share * (high if search.high == "auto" else search.high)
    return config


def _scale_epochs(config: Config, share: float) -> None:
    old_epochs = config.optim.epochs
    config.optim.epochs = max(1, round(share * old_epochs))
    share = config.optim.epochs / old_epochs
    config.optim.warmup_epochs *= share
    if config.optim.schedule == "plateau":
        config.optim.warmup_epochs = float(round(config.optim.warmup_epochs))
    if not isinstance(config.optim.drops, str):
        config.optim.drops = [drop * share for drop in config.optim.drops]
    if config.task in boxes.TASKS:
        config.augment.mix_off_epochs = round(config.augment.mix_off_epochs * share)
    plateau, search = config.plateau, config.search
    plateau.patience, plateau.stop_patience = (
        _scaled_count(plateau.patience, share),
        _scaled_count(plateau.stop_patience, share),
    )
    if search.algorithm in defaults.EPOCHS:
        full_epochs = defaults.epochs(search.algorithm) if search.epochs == "auto" else search.epochs
        search.epochs = _scaled_count(int(full_epochs), share)


def _scaled_count(epochs: int, share: float) -> int:
    return max(1, round(share * epochs)) if epochs else 0
