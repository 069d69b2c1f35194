"""What a search tries: networks (architecture, width, resolution, stem) and the few training keys that matter.

A candidate is drawn by Optuna as numbers that mean the same for all networks: the width as a share of those that the
board has room for (1: the widest that fits), the resolution likewise. So every draw is a network that fits, and what
the sampler learns of one architecture helps it with the next. Nothing here imports TensorFlow.
"""

import bisect
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data.facts import Facts
from tinytrain.data.source import Dataset

# Each about a quarter wider than the one before. Published tiny networks have 0.2 to 1, ResNet-8 of 4 is a ResNet-32's.
WIDTHS = (0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.625, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
RESOLUTIONS = (24, 32, 48, 64, 80, 96, 128, 160, 192, 224)
MOST_CIFAR = 64  # pixels: at more, a first convolution of stride 1 takes 4 times the MACs for little (docs/search.md)
UNKNOWN_SIDE = 96  # pixels, of images that were never looked at
STEMS = ("imagenet", "cifar")
USUAL = "usual"  # what `fit` takes for the network
FACTORS = {"optim.lr": (0.3, 3.0), "optim.weight_decay": (0.25, 25.0)}  # of the usual value
SMOOTHINGS = (USUAL, 0.0, 0.1)
AUGMENTATIONS = {USUAL: {}, "more": {"augment.resized_crop": 0.5}}
# The key that each part of a draw decides: one that the user has typed is not drawn.
KEYS = {
    "architecture": "model.name",
    "width": "model.width",
    "resolution": "model.resolution",
    "stem": "model.stem",
    "lr": "optim.lr",
    "weight_decay": "optim.weight_decay",
    "label_smoothing": "optim.label_smoothing",
    "augmentation": "augment.resized_crop",
}


@dataclass(frozen=True)
class Network:
    """A network of the search; resolution in pixels."""

    name: str
    width: float
    resolution: int
    stem: str

    @property
    def settings(self) -> dict[str, Any]:
        """{dotted key: value} of the config."""
        return {f"model.{key}": value for key, value in asdict(self).items()}

    def __str__(self) -> str:
        usual = plugins.load("models", self.name).DEFAULTS.get("stem", "imagenet")
        stem = "" if self.stem == usual else f" stem {self.stem}"
        return f"{self.name} {self.width:g} at {self.resolution}{stem}"


class Draws(Protocol):
    """What draws: a trial of Optuna."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Returns a number."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Returns one of the choices."""


class Fits(Protocol):
    """What says which networks have room."""

    def may_fit(self, network: Network) -> bool:
        """Returns whether a network may have room, by what is quickly known."""

    def widths(self, name: str, resolution: int, stem: str, candidates: Sequence[float]) -> Sequence[float]:
        """Returns those of the `candidates`, which rise, that have room for sure."""


class Space:
    """The candidates of a search.

    Args:
        config: what the user typed; other keys have their default.
        typed: the dotted keys that the user typed.
        side: of the images in pixels: no resolution is larger, unless all are.
        fits: which networks have room on the board.
    """

    def __init__(self, config: Config, typed: Collection[str], side: int, fits: Fits) -> None:
        self.config, self.typed, self.fits = config, typed, fits
        self.architectures = [config.model.name] if KEYS["architecture"] in typed else plugins.names("models")
        self.all_widths = [float(config.model.width)] if self._is_typed("width") else list(WIDTHS)
        self.all_resolutions = [int(config.model.resolution)] if self._is_typed("resolution") else resolutions(side)

    def _is_typed(self, part: str) -> bool:
        return KEYS[part] in self.typed and configs.get_key(self.config, KEYS[part]) != "auto"

    def stems(self, resolution: int) -> list[str]:
        """Returns the stems that are tried at a resolution."""
        if self._is_typed("stem"):
            return [str(self.config.model.stem)]
        return list(STEMS) if resolution <= MOST_CIFAR else [STEMS[0]]

    def smallest(self) -> list[Network]:
        """Returns the network of each architecture that needs the least."""
        resolution = self.all_resolutions[0]
        stem = self.stems(resolution)[0]
        return [Network(name, self.all_widths[0], resolution, stem) for name in self.architectures]

    def draw(self, trial: Draws, architectures: Sequence[str]) -> tuple[Network, dict[str, Any]]:
        """Returns a network that fits, and {dotted key: value} of the training; those of FACTORS are a factor.

        Args:
            trial: what draws.
            architectures: those whose smallest network fits.
        """
        name = str(trial.suggest_categorical("architecture", list(architectures)))
        wanted = _of_share(trial, "resolution", self._resolutions(name))
        resolution, stems = self._with_room(name, wanted)
        stem = str(trial.suggest_categorical("stem", stems)) if len(stems) > 1 else stems[0]
        width = _of_share(trial, "width", self._widths(name, resolution, stem))
        return Network(name, width, resolution, stem), self._training(trial)

    def _training(self, trial: Draws) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for dotted, limits in FACTORS.items():
            part = dotted.removeprefix("optim.")
            if not self._is_typed(part):
                settings[dotted] = float(f"{trial.suggest_float(part, *limits, log=True):.3g}")
        if not self._is_typed("label_smoothing"):
            smoothing = trial.suggest_categorical("label_smoothing", list(SMOOTHINGS))
            settings |= {} if smoothing == USUAL else {"optim.label_smoothing": smoothing}
        if not self._is_typed("augmentation"):
            settings |= AUGMENTATIONS[trial.suggest_categorical("augmentation", list(AUGMENTATIONS))]
        return settings

    def parameters(self, network: Network) -> dict[str, Any]:
        """Returns what `draw` has to draw for a network and the usual training keys."""
        widths = self._widths(network.name, network.resolution, network.stem)
        sides = self._resolutions(network.name)
        drawn: dict[str, Any] = {
            "architecture": network.name,
            "resolution": _share(network.resolution, sides),
            "stem": network.stem,
            "width": _share(network.width, widths),
            "lr": 1.0,
            "weight_decay": 1.0,
            "label_smoothing": USUAL,
            "augmentation": USUAL,
        }
        return {part: value for part, value in drawn.items() if part == "architecture" or not self._is_typed(part)}

    def nearest(self, network: Network) -> Network:
        """Returns the network of this space that is nearest to one of the same architecture, and not larger if any."""
        resolution, stems = self._with_room(network.name, _below(network.resolution, self._resolutions(network.name)))
        stem = network.stem if network.stem in stems else stems[0]
        width = _below(network.width, self._widths(network.name, resolution, stem))
        return Network(network.name, width, resolution, stem)

    def _resolutions(self, name: str) -> list[int]:
        """Returns the resolutions at which the smallest network of an architecture may fit, or the first."""
        low, high = 1, len(self.all_resolutions)
        middle = high  # at first: mostly all fit
        while low < high:
            side = self.all_resolutions[middle - 1]
            smallest = Network(name, self.all_widths[0], side, self.stems(side)[0])
            low, high = (middle, high) if self.fits.may_fit(smallest) else (low, middle - 1)
            middle = (low + high + 1) // 2
        return self.all_resolutions[:low]

    def _with_room(self, name: str, wanted: int) -> tuple[int, list[str]]:
        """Returns the largest resolution up to the `wanted` one that has room for sure, and its stems with room."""
        for resolution in reversed([side for side in self.all_resolutions if side <= wanted]):
            if stems := [stem for stem in self.stems(resolution) if self._widths(name, resolution, stem)]:
                return resolution, stems
        raise AssertionError(f"the smallest {name} does not fit")  # only architectures that fit are drawn

    def _widths(self, name: str, resolution: int, stem: str) -> Sequence[float]:
        return self.fits.widths(name, resolution, stem, self.all_widths)


def side(dataset: Dataset) -> int:
    """Returns the side of the images in pixels: of different ones that of their longer sides which is in the middle."""
    infos = [one.infos for one in dataset.image_sets.values() if one.infos is not None]
    if dataset.side or not infos:
        return dataset.side or UNKNOWN_SIDE
    return int(np.median(np.concatenate([Facts.of(each).sizes.max(axis=1) for each in infos])))


def resolutions(side: int) -> list[int]:
    """Returns the resolutions for images of `side` pixels, rising: none is larger than they are, and one of them is.

    Images of more pixels than the largest resolution are shrunk to that.
    """
    return sorted({*(each for each in RESOLUTIONS if each <= side), min(side, RESOLUTIONS[-1])})


def _of_share(trial: Draws, part: str, values: Sequence[Any]) -> Any:
    """Returns the value at the drawn share, 0..1, of rising values; of a single one nothing is drawn."""
    if len(values) == 1:
        return values[0]
    return values[min(int(trial.suggest_float(part, 0.0, 1.0) * len(values)), len(values) - 1)]


def _share(value: Any, values: Sequence[Any]) -> float:
    """Returns the share in the middle of those that give `value`."""
    return (list(values).index(value) + 0.5) / len(values)


def _below(value: Any, values: Sequence[Any]) -> Any:
    """Returns the largest of rising values that is not above `value`, or the first."""
    return values[max(bisect.bisect_right(values, value) - 1, 0)]
