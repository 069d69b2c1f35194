"""The runs of a comparison with a teacher: which networks are trained, with which configs, in which folders.

plain              the student alone, with its own methods and epochs
teacher            a larger network on the same images, unless one is given
distilled          the student with distillation around its methods
netaug_distilled   inside wider networks as well, where the plain student underfits
longer             the plain student for as long as the teacher and the better one of these took together
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data.source import Dataset
from tinytrain.errors import UserError
from tinytrain.experiments.planned import Planned
from tinytrain.experiments.runs import data_name
from tinytrain.experiments.teaching.larger import Larger
from tinytrain.methods.netaug import channels
from tinytrain.nn.graph import walk
from tinytrain.train import chosen
from tinytrain.train.resolve import copied, resolve, with_usual
from tinytrain.train.task import build_network

PLAIN, TEACHER, DISTILLED, NETAUG, LONGER = "plain", "teacher", "distilled", "netaug_distilled", "longer"
TAUGHT = (DISTILLED, NETAUG)
AUTO = "auto"


@dataclass(frozen=True)
class Student:
    """The network that is taught.

    config: as it was typed; typed: the dotted keys that the user chose; known: the config without "auto"; dataset: its
    images; path: the file that the config comes from, None without one; fit_check: refuses a network that is too large
    for a board.
    """

    config: Config
    typed: frozenset[str]
    known: Config
    dataset: Dataset
    path: Path | None = None
    fit_check: chosen.FitCheck | None = None

    @classmethod
    def of(
        cls,
        config: Config,
        typed: Collection[str],
        dataset: Dataset,
        path: Path | None = None,
        fit_check: chosen.FitCheck | None = None,
    ) -> "Student":
        """Returns the student of a config, as `fit` would train it."""
        known = resolve(with_usual(config, dataset, typed)[0], dataset)
        return cls(config, frozenset(typed), known, dataset, path, fit_check)

    def network(self) -> keras.Model:
        """Returns the untrained network."""
        return build_network(self.known, self.dataset.classes)


class Arms:
    """The runs of a comparison in a folder.

    Args:
        student: what is taught.
        out: the folder of the runs.
        larger: the teacher to train; None: `given` teaches.
        given: distill.teacher of a teacher that is there.
        plain: the folder of a run that is the plain student already; None: it is trained in `out`.
    """

    def __init__(
        self, student: Student, out: Path, larger: Larger | None, given: str = "", plain: Path | None = None
    ) -> None:
        self.student, self.out, self.larger = student, out, larger
        self.teacher_key = str((out / TEACHER).absolute()) if larger else given
        self.plain = self._planned(PLAIN, {}, student.fit_check, plain)
        self.teacher = self._planned(TEACHER, self._teacher_settings(larger)) if larger else None

    @property
    def first(self) -> list[Planned]:
        """The runs that are known from the start; the student comes first, which a board may have no room for."""
        return [self.plain, self.teacher] if self.teacher else [self.plain]

    def taught(self, with_netaug: bool) -> Planned:
        """Returns the run that learns from the teacher, inside wider networks too if it is `with_netaug`."""
        own = self.student.config.method
        settings: dict[str, Any] = {"method": f"{own}+distill" if own else "distill"}
        if with_netaug:
            settings = {"method": "netaug+distill"}
            if not has_expansions(self.student.network()) and "netaug.expansion_only" not in self.student.typed:
                settings["netaug.expansion_only"] = 0.0  # else the second half of the training would widen nothing
        return self._planned(NETAUG if with_netaug else DISTILLED, settings | {"distill.teacher": self.teacher_key})

    def longer(self, epochs: int) -> Planned:
        """Returns the plain student that is trained for `epochs`; its rate falls at the same shares of them."""
        settings: dict[str, Any] = {"optim.epochs": epochs}
        drops, own = self.student.config.optim.drops, self.student.config.optim.epochs
        if not isinstance(drops, str):
            settings["optim.drops"] = [drop * epochs / own for drop in drops]
        return self._planned(LONGER, settings)

    def why_no_netaug(self) -> str:
        """Returns why NetAug cannot be added to the student, "" if it can."""
        if self.student.config.method:
            return f"it is already trained with method={self.student.config.method}"
        if self.student.known.device.jit is True:
            return "it does not work with device.jit=true"
        try:
            channels.groups(walk(self.student.network()))
        except UserError as error:
            return str(error)
        return ""

    def _planned(
        self,
        name: str,
        settings: dict[str, Any],
        fit_check: chosen.FitCheck | None = None,
        folder: Path | None = None,
    ) -> Planned:
        """Returns a run of the student's config with other settings, {dotted key: value}."""
        config, folder = copied(self.student.config), folder or self.out / name
        for dotted, value in settings.items():
            configs.set_key(config, dotted, value)
        return Planned(
            name=name,
            data=data_name(config.data.spec),
            seed=config.seed,
            config=config,
            folder=folder,
            config_path=self.student.path or folder,
            typed=self.student.typed | set(settings),
            fit_check=fit_check,
        )

    def _teacher_settings(self, larger: Larger) -> dict[str, Any]:
        """Returns what the teacher's config has in place of the student's: its network, and no methods."""
        model = self.student.known.model
        settings = larger.settings | {"method": "", "model.resolution": model.resolution}
        settings["model.channels"] = model.channels
        own = self.student.config.model.init
        return settings | ({"model.init": "auto"} if own.startswith("netaug") else {})


def has_expansions(network: keras.Model) -> bool:
    """Returns whether NetAug finds inverted bottlenecks in a network, inside which it can widen alone."""
    return any(group.kind == "inner" for group in channels.groups(walk(network)).values())
