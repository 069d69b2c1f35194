"""What a classifier is trained with where the user says nothing of it, by the number of images and of steps.

The values belong together: a rate is one of an optimizer and of a batch. So they are chosen together, and not at all
where the user says more of [optim] than how long, in which batches and which weights are kept. How they were measured:
docs/training-methods.md.
"""

import math
from collections.abc import Collection
from typing import Any

from tinytrain.config.schema import Config

WITH_ADAM = ("resnet8",)  # measured; MobileNetV1 learns the digits worse with it (docs/training-methods.md)
FREE = {f"optim.{name}" for name in ("epochs", "batch", "ema", "checkpoint", "sync_batch_norm")}  # need no other value
BATCHES, LEAST_STEPS_OF_EPOCH = (64, 32, 16), 50  # the first of them that few images have as many steps of
RATE, RATE_BATCH = 0.002, 64  # of Adam, at up to so many images a step
WEIGHT_DECAY = 2e-4
EPOCHS, MOST_EPOCHS, LEAST_STEPS = 30, 200, 2000
WARMUP, MOST_WARMUP_STEPS = 0.05, 500  # share of the steps
AVERAGED, LONGEST_AVERAGE = 0.02, 1000  # share of the steps that an average reaches back, and most steps


NETWORKS = " and ".join(WITH_ADAM)
BEGUN_WITH = {  # `usual` in words, for `tinytrain list keys`
    "optim.name": f"adam for {NETWORKS}, unless keys of [optim] other than epochs, batch, ema, checkpoint and "
    "sync_batch_norm are set",
    "optim.lr": f"{RATE:g} for {NETWORKS}, times √(batch/{RATE_BATCH}) with more than {RATE_BATCH} images per step",
    "optim.epochs": f"enough for {LEAST_STEPS:,} steps, from {EPOCHS} to {MOST_EPOCHS}",
    "optim.batch": f"for {NETWORKS} the first of {', '.join(map(str, BATCHES))} that makes {LEAST_STEPS_OF_EPOCH} "
    f"steps per epoch, or {BATCHES[-1]}",
    "optim.warmup_epochs": f"{100 * WARMUP:g} % of all steps for {NETWORKS}, at most {MOST_WARMUP_STEPS} steps",
    "optim.weight_decay": f"{WEIGHT_DECAY:g} for {NETWORKS}",
    "optim.label_smoothing": f"0 for {NETWORKS}",
    "optim.ema": f"over the last {100 * AVERAGED:g} % of all steps, at most {LONGEST_AVERAGE:,}",
    "optim.checkpoint": "last",
}


def usual(config: Config, images: int, typed: Collection[str]) -> dict[str, Any]:
    """Returns {dotted key: value} that a training of `images` images begins with, where the user says nothing else.

    Args:
        config: the run; of it batch and epochs are read, if they are `typed`, and the search for the rate.
        images: the training images.
        typed: the dotted keys that the user chose.
    """
    said = {dotted for dotted in typed if dotted.startswith("optim.")}
    if said - FREE or config.search.algorithm != "none":
        return {}
    with_adam = config.model.name in WITH_ADAM
    batch = config.optim.batch if "optim.batch" in typed or not with_adam else batch_of(images)
    steps = max(images // batch, 1)
    epochs = config.optim.epochs if "optim.epochs" in typed else epochs_of(steps)
    values = {
        "optim.epochs": epochs,
        "optim.ema": round(1 - 1 / min(max(AVERAGED * steps * epochs, 2.0), LONGEST_AVERAGE), 4),
        "optim.checkpoint": "last",
    }
    return values | (_adam(batch, steps, epochs) if with_adam else {})


def _adam(batch: int, steps: int, epochs: int) -> dict[str, Any]:
    """Returns what belongs to Adam, for so many images a step, steps an epoch and epochs."""
    return {
        "optim.name": "adam",
        "optim.lr": float(f"{RATE * math.sqrt(max(batch / RATE_BATCH, 1)):.2g}"),
        "optim.batch": batch,
        "optim.warmup_epochs": round(min(WARMUP * steps * epochs, MOST_WARMUP_STEPS)) / steps,
        "optim.weight_decay": WEIGHT_DECAY,
        "optim.label_smoothing": 0.0,
    }


def batch_of(images: int) -> int:
    """Returns the images of a step: the largest of `BATCHES` that makes enough steps of an epoch, else the smallest."""
    return next((batch for batch in BATCHES if images // batch >= LEAST_STEPS_OF_EPOCH), BATCHES[-1])


def epochs_of(steps: int) -> int:
    """Returns the epochs of `steps` steps each: the usual ones, or as many more as make enough steps in all."""
    return min(max(EPOCHS, -(-LEAST_STEPS // steps)), MOST_EPOCHS)


def reason(config: Config, images: int) -> str:
    """Returns in words why `usual` chose what `config` holds for about so many training images."""
    optim = config.optim
    steps = max(images // optim.batch, 1)
    return (
        f"about {images:,} training images make {steps:,} steps of {optim.batch} per epoch, "
        f"{steps * optim.epochs:,} in all: {round(optim.warmup_epochs * steps):,} are the warm-up, and the weights are "
        f"averaged over about the last {round(1 / (1 - float(optim.ema))):,}"
    )
