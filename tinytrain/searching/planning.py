"""What a search is about, decided once for all its processes: what fits, how long a trial is, which are first."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tinytrain import progress
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data.source import Dataset
from tinytrain.data.splits import Splits
from tinytrain.searching import budget, priors, speed, trial
from tinytrain.searching import space as spaces
from tinytrain.searching.budget import Plan, Speed
from tinytrain.searching.limits import Limits
from tinytrain.searching.space import Network, Space
from tinytrain.searching.study import Study
from tinytrain.searching.work import Job

FIRST = 3  # trials that are not drawn, but the first architectures of the table of priors
DRAWN = 2  # networks whose epochs a plan goes by


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    overrides: the KEY=VALUE words; typed: their keys; config: without "auto"; dataset: the images; seconds: after which
    the search is over, None: after `trials`.
    """

    overrides: list[str]
    typed: set[str]
    config: Config
    dataset: Dataset
    seconds: float | None
    trials: int | None


def job(study: Study, asked: Asked, limits: Limits) -> Job:
    """Returns what is searched; the first process plans it, and puts the first trials into the study.

    Raises:
        DoesNotFit: no network fits. UserError: there is no time for one trial.
    """
    space = Space(asked.config, asked.typed, spaces.side(asked.dataset), limits)
    images = len(Splits(asked.dataset, asked.config).subsets["train"].indices)
    with progress.stage("looking for the networks that fit"):
        architectures = limits.that_fit(space.smallest())
    stored = study.get("plan") or planned(space, asked, architectures, limits, images, study.used_seconds)
    limits.most_step_seconds = stored["most_step_seconds"]
    architectures = limits.that_fit(space.smallest())
    if study.get("plan") is None:
        for network in priors.choose(space, architectures, FIRST):
            study.study.enqueue_trial(space.parameters(network))
        study.put("plan", stored)
    plan = Plan(**stored["plan"])
    study.begin(plan.epochs)
    return Job(
        overrides=asked.overrides,
        dataset=asked.dataset,
        images=images,
        space=space,
        limits=limits,
        architectures=architectures,
        plan=plan,
        most_trials=asked.trials,
        seconds=asked.seconds,
        speed=Speed(**stored["speed"]) if stored["speed"] else None,
        seed=asked.config.seed,
        keeps_best=asked.config.optim.checkpoint == "best",
    )


def planned(
    space: Space,
    asked: Asked,
    architectures: Sequence[str],
    limits: Limits,
    images: int,
    used_seconds: Callable[[], float],
) -> dict[str, Any]:
    """Returns what a search goes by; measures how fast this machine trains, if the search ends after a time.

    Args:
        space: what is searched.
        asked: what was asked for.
        architectures: that fit.
        limits: of the board.
        images: that are trained on.
        used_seconds: gives the seconds that have gone.

    Returns:
        {"plan", "speed", "most_step_seconds", "epoch_seconds": of a network, the mean}, as JSON can hold them; the last
        three are None if the search ends after a number of trials.
    """
    epochs = asked.config.optim.epochs
    if asked.seconds is None:
        return {
            "plan": asdict(Plan(epochs, 0.0, budget.FINALISTS)),
            "speed": None,
            "most_step_seconds": None,
            "epoch_seconds": None,
        }
    with progress.stage("drawing some networks, to plan with"):
        networks = [*priors.choose(space, architectures, FIRST), *_drawn(space, architectures, asked.config.seed)]
    seconds = {network: limits.sketch(network).step_seconds for network in networks}
    ordered = sorted(seconds, key=lambda network: seconds[network])
    both = [ordered[0], ordered[len(ordered) // 2]]
    measured = speed.measure(
        [_config(asked, one) for one in both], [seconds[one] for one in both], asked.dataset.classes
    )
    epoch_seconds = [measured.epoch(seconds[network], images) for network in ordered]
    fixed = "optim.epochs" in asked.typed
    spent = used_seconds()
    steps = max(images // asked.config.optim.batch, 1)
    plan = budget.plan(asked.seconds, epochs, fixed, epoch_seconds, measured, asked.config.qat.epochs, steps, spent)
    most = budget.most_step_seconds(asked.seconds - spent, plan, measured, images)
    return {
        "plan": asdict(plan),
        "speed": asdict(measured),
        "most_step_seconds": max(most, seconds[ordered[0]]),
        "epoch_seconds": statistics.mean(epoch_seconds),
    }


def _config(asked: Asked, network: Network) -> Config:
    words = [*asked.overrides, *(f"{key}={value}" for key, value in network.settings.items())]
    return trial.resolved(configs.load(None, words), configs.typed(None, words), asked.dataset)


def _drawn(space: Space, architectures: Sequence[str], seed: int) -> list[Network]:
    generator = np.random.default_rng(seed)
    return [space.draw(_Random(generator), architectures)[0] for _ in range(DRAWN)]


class _Random:
    """Draws without a study."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Returns a number; how a logarithmic one is drawn does not matter here."""
        return float(self.generator.uniform(low, high))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Returns one of the choices."""
        return choices[int(self.generator.integers(len(choices)))]
