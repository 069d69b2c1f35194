"""The learning-rate range test: one epoch in which the rate rises, and the rate at which the loss fell fastest.

The fast-ai variant of Prokofiev and Sovrasov (2021) as their released code does it (methods.md C.5): after one epoch at
optim.lr, the N steps of another one are taken with the rates low·(high/low)^(i/(N − 1)), by SGD without momentum. The
losses l are smoothed,
s_i = f·l_i + (1 − f)·s_(i−1), where f = 0.01 weighs the new one; the test ends early when s exceeds 5 times its lowest.
Of the points without the first 10 and the last 5 the one is taken at which s falls fastest. We end at a loss that is
not finite, too; the published code does not say.
"""

import dataclasses
import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinytrain.config.schema import Config
from tinytrain.data.splits import Splits
from tinytrain.errors import UserError
from tinytrain.run import Run
from tinytrain.train.task import build_network
from tinytrain.train.trainer import Trainer

SMOOTHING, DIVERGED = 0.01, 5.0
FIRST, LAST = 10, 5  # points that are left out
FEWEST = FIRST + LAST + 2  # a slope needs two


def rates(low: float, high: float, steps: int) -> np.ndarray:
    """Returns the learning rates (steps,), rising exponentially from `low` to `high`."""
    return low * (high / low) ** (np.arange(steps) / max(steps - 1, 1))


def smoothed(losses: Iterable[float]) -> list[float]:
    """Returns the smoothed losses, up to where they diverge."""
    kept: list[float] = []
    for loss in losses:
        value = SMOOTHING * loss + (1 - SMOOTHING) * kept[-1] if kept else loss
        if not math.isfinite(value) or (kept and value > DIVERGED * min(kept)):
            break
        kept.append(value)
    return kept


def steepest(lrs: np.ndarray, losses: list[float]) -> float:
    """Returns the learning rate at which the smoothed `losses` fall fastest; raises UserError for too few of them."""
    refuse_too_few(len(losses), "before the loss diverged")
    slopes = np.gradient(np.array(losses[FIRST : len(losses) - LAST]))
    return float(lrs[FIRST + int(np.argmin(slopes))])


def refuse_too_few(steps: int, when: str) -> None:
    """Raises UserError unless the range test has enough points."""
    if steps < FEWEST:
        raise UserError(
            f"search.algorithm = 'range' got {steps} steps {when}, of which the first {FIRST} and the last {LAST} "
            f"do not count: expected at least {FEWEST}, so take a smaller optim.batch, a lower search.high or "
            "search.algorithm=tpe"
        )


def search(run: Run | None, plain: Config, data: Splits, low: float, high: float) -> dict[str, Any]:
    """Returns {"lr", "trials", "curve", "epochs", "seconds"} of the test from `low` to `high`.

    Args:
        run: where the epoch before the test keeps its checkpoint; None on a worker beside the chief.
        plain: one epoch of plain training.
        data: the images.
        low: the first learning rate.
        high: the last one, unless the loss diverges before it.
    """
    trainer = Trainer(plain, data, build_network(plain, data.dataset.classes))
    refuse_too_few(trainer.steps, "an epoch")
    trainer.fit(run)
    optim = dataclasses.replace(plain.optim, momentum=0.0, nesterov=False)
    trainer.config = dataclasses.replace(plain, optim=optim)
    trainer.compile(low)
    lrs = rates(low, high, trainer.steps)
    seconds, begun = sum(row["seconds"] for row in trainer.history), time.perf_counter()
    losses = smoothed(_losses(trainer, lrs))
    seconds = round(seconds + time.perf_counter() - begun, 1)
    curve = {"lr": lrs[: len(losses)].tolist(), "loss": losses}
    epochs = 2  # counted as whole ones, though the second may end early
    return {"lr": steepest(lrs, losses), "trials": [], "curve": curve, "epochs": epochs, "seconds": seconds}


def _losses(trainer: Trainer, lrs: np.ndarray) -> Iterable[float]:
    """Takes the steps of the second epoch, one for each rate, and gives their losses."""
    share = trainer.workers.share(trainer.batch)
    steps = iter(trainer.batches(trainer.config.seed, range(trainer.steps, 2 * trainer.steps), share))
    method = trainer.method
    method.make_train_function()
    for lr in lrs:
        method.optimizer.learning_rate = lr
        method.reset_metrics()  # otherwise the loss would be the mean of all steps so far
        yield float(method.train_function(steps)["loss"])
