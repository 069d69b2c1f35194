"""What a training would do, found out without doing it: its images, its steps, and how long a step takes.

Nothing is written but into the cache. A step is timed on images of the training, with their augmentation and with the
methods around the network, so all that a step does is in it; the validation and the work of a method between epochs are
not.
"""

import dataclasses
import hashlib
import time
from collections.abc import Collection
from functools import cached_property

import keras
import numpy as np

from tinytrain import progress
from tinytrain.config.schema import Config
from tinytrain.data import balance
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset, ImageSet, strata
from tinytrain.data.splits import Splits, Subset
from tinytrain.train import chosen
from tinytrain.train.resolve import copied, resolve
from tinytrain.train.task import build_network
from tinytrain.train.trainer import Trainer

STEPS, MOST_SECONDS = 50, 5.0  # that are timed, after the one that is compiled; none begins after so many seconds
FEW = "few"  # the images that are timed


class Rehearsal:
    """A training that is not done.

    Args:
        config: the run, as it was typed.
        typed: the dotted keys that the user chose, as in `fit`.
        fit_check: as in `fit`; it is asked for a resolution only.
        dataset: the images that the config names, None: they are read.

    Raises:
        UserError: data that cannot be read or split.
    """

    def __init__(
        self,
        config: Config,
        typed: Collection[str] | None = None,
        fit_check: chosen.FitCheck | None = None,
        dataset: Dataset | None = None,
    ) -> None:
        self.dataset = dataset or load_dataset(config)
        usual, self.taken = chosen.with_usual(config, self.dataset, typed, fit_check)
        self.config = resolve(usual, self.dataset)
        self.data = Splits(self.dataset, self.config)

    @property
    def images(self) -> dict[str, int]:
        """The number of images of each split; of the training images those that an epoch shows."""
        counts = {name: len(subset.indices) for name, subset in self.data.subsets.items()}
        if self.config.data.balance == "balanced_sampling":
            shown = balance.oversample(strata(self.data.annotations("train")), self.config.seed)
            counts["train"] = len(shown)
        return counts

    @property
    def batch(self) -> int:
        """The images of a step."""
        return min(self.config.optim.batch, self.images["train"])

    @property
    def steps(self) -> int:
        """The steps of an epoch."""
        return self.images["train"] // self.batch

    @cached_property
    def network(self) -> keras.Model:
        """The untrained network."""
        with progress.stage("building the network"):
            return build_network(self.config, self.dataset.classes)

    def step_time(self) -> "StepTime":
        """Returns how long a step takes on this machine.

        Raises:
            UserError: what would end the training before its first step.
        """
        config = copied(self.config)
        config.data.balance = "none"  # some of the images may lack a class
        trainer = Trainer(config, self._few(config), self.network)
        batches, timer = trainer.batches(config.seed, range(STEPS)), _Timer()
        with progress.stage("timing some steps"):
            trainer.method.fit(batches.take(1), steps_per_epoch=1, shuffle=False, verbose=0)
            trainer.method.fit(batches, steps_per_epoch=STEPS, shuffle=False, verbose=0, callbacks=[timer])
        return timer.time()

    def _few(self, config: Config) -> Splits:
        """Returns the images of one step, drawn from all, as training images; the other splits are whole."""
        subset = self.data.subsets["train"]
        whole = self.dataset.image_sets[subset.image_set]
        random = np.random.default_rng(config.seed)
        chosen_images = np.sort(random.choice(subset.indices, min(self.batch, len(subset.indices)), replace=False))
        few = ImageSet(
            annotations=whole.annotations[chosen_images],
            names=whole.names.take(chosen_images),  # type: ignore[attr-defined]
            key=f"{whole.key} {hashlib.sha256(chosen_images.tobytes()).hexdigest()}",
            reader=lambda prepare, numbers: whole.images(prepare, chosen_images[numbers]),
        )
        dataset = dataclasses.replace(self.dataset, image_sets={**self.dataset.image_sets, FEW: few})
        subsets = self.data.subsets | {"train": Subset(FEW, np.arange(len(chosen_images)))}
        return Splits(dataset, config, subsets)


@dataclasses.dataclass(frozen=True)
class StepTime:
    """How long a step takes: on the clock and of all processor cores together, in seconds; the mean of how many."""

    seconds: float
    cpu_seconds: float
    steps: int


class _Timer(keras.callbacks.Callback):
    """Times steps from the first one on, with their images, and ends the training after MOST_SECONDS."""

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.began = 0, (0.0, 0.0)
        self.ended = self.began

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Reads both clocks."""
        self.began = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Reads them again."""
        self.steps, self.ended = self.steps + 1, (time.perf_counter(), time.process_time())
        if self.ended[0] - self.began[0] > MOST_SECONDS:
            self.model.stop_training = True

    def time(self) -> StepTime:
        """Returns the mean of the steps."""
        seconds, cpu_seconds = (end - begin for begin, end in zip(self.began, self.ended, strict=True))
        return StepTime(seconds / self.steps, cpu_seconds / self.steps, self.steps)
