"""What a training chooses for the user: what is usual for the task, and the largest resolution that fits the board."""

import sys
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import keras

from tinytrain import progress
from tinytrain.config.schema import Config
from tinytrain.data.load import mistakes_in
from tinytrain.data.source import Dataset
from tinytrain.errors import Mistakes
from tinytrain.train import resolve
from tinytrain.train.figures import module_of
from tinytrain.train.task import build_network


class FitCheck(Protocol):
    """What a board has room for."""

    def __call__(self, model: keras.Model, config: Config, classes: int) -> None:
        """Raises DoesNotFit unless the untrained `model` of `config` fits."""

    def largest(self, build: Callable[[int], tuple[keras.Model, Config]], classes: int, sides: Sequence[int]) -> int:
        """Returns the first of `sides`, in pixels, largest first, whose network fits; the last one if none does."""


def with_usual(
    config: Config, dataset: Dataset, typed: Collection[str] | None, fit_check: FitCheck | None
) -> tuple[Config, str]:
    """Returns `config` with what its task begins with, and the largest resolution that fits; and lines that say so.

    Raises UserError for data that cannot be trained on, before it looks for the resolution.
    """
    config, changed = resolve.with_usual(config, dataset, typed)
    sides = getattr(module_of(dataset.task), "SIDES", ())
    if fit_check and sides and config.model.resolution == "auto":
        Mistakes(mistakes_in(dataset)).raise_all()
        with progress.stage("looking for the largest resolution that fits"):
            config.model.resolution = fit_check.largest(
                lambda side: _at(config, dataset, side), len(dataset.classes), sides
            )
        changed |= {"model.resolution": config.model.resolution}
    if not changed:
        return config, ""
    listed = " ".join(f"{key}={value}" for key, value in changed.items())
    reason = getattr(module_of(dataset.task), "reason", None)
    because = f"\n{reason(config, resolve.training_images(config, dataset))}" if reason else ""
    return config, f"chosen for the task {dataset.task}, unless you set them: {listed}{because}"


def print_lines(taken: str, config: Config) -> None:
    """Prints what was chosen for the user, once nothing is wrong with it, and what the network is that follows."""
    if taken:
        for line in taken.splitlines():
            print(f"tinytrain: {line}", file=sys.stderr)
    described = getattr(module_of(config.task), "described", None)
    if described:
        print(f"tinytrain: the network: {described(config)}", file=sys.stderr)


def _at(config: Config, dataset: Dataset, side: int) -> tuple[keras.Model, Config]:
    """Returns the untrained network of `config` at another resolution, and its config without "auto"."""
    config = resolve.copied(config)
    config.model.resolution, config.model.weights = side, ""  # which are as large, and are read when it is trained
    config = resolve.resolve(config, dataset)
    return build_network(config, dataset.classes), config
