"""The images that a model is measured on: those of its run, or those of any other data, prepared as it was trained.

Other data is nobody's training data: where it has splits of its own one of them is measured, else all of it.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinytrain.config import load as configs
from tinytrain.config.schema import Config, Data
from tinytrain.data import boxes, identity
from tinytrain.data.images import Samples
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset
from tinytrain.data.splits import Splits, Subset
from tinytrain.errors import UserError
from tinytrain.evaluation_data import tflite_origin
from tinytrain.run import Run
from tinytrain.train.resolve import resolve

if TYPE_CHECKING:
    from tinytrain.tflite.model import Model

IMAGES = ("data.resize", "data.skip_bad")  # keys about how images are read
SPLITS = tuple(
    f"data.{name}"
    for name in ("split", "seed", "val_fraction", "test_fraction", "val_images", "test_images", "train_images")
)


@dataclass(frozen=True)
class Measured:
    """Images with their annotations, by indices into `classes`.

    resize: how they were brought to one size; splits, name: the data and the split that they are; notes: what a user
    should know of them, a line each.
    """

    samples: Samples
    classes: list[str]
    resize: str
    splits: Splits
    name: str
    notes: tuple[str, ...] = ()

    def framed(self, form: str) -> Samples:
        """Returns the samples with images as a library makes them of frames of a camera, `Splits.framed`."""
        return dataclasses.replace(self.samples, images=self.splits.framed(self.name, form))


def settings(
    path: Path,
    overrides: Sequence[str],
    data: str | None,
    command: str,
    sections: tuple[str, ...],
    run_config: Config | None = None,
) -> Config:
    """Returns the config of a measurement: that of the model, changed by KEY=VALUE strings.

    Args:
        path: the run, or the .tflite, whose own [export] and [data] are what is known of it (`tflite_origin.of`).
        overrides: KEY=VALUE strings.
        data: the SPEC of other data than the model's, if there is one.
        command: the name of what measures.
        sections: the prefixes of the keys that it takes beside those of [data].
        run_config: the config of the run, None for a .tflite.

    Raises:
        UserError: a key that the measurement does not read.
    """
    typed, known_keys = [override.partition("=")[0].strip() for override in overrides], configs.keys()
    allowed = IMAGES + (SPLITS if data else ())
    for key in typed:
        if key in known_keys and key not in allowed and not key.startswith(sections):
            reason = (
                "a run keeps the split that it was trained with" if key in SPLITS else "the model is already trained"
            )
            takes = ", ".join([*allowed, *(f"{section}*" for section in sections)])
            raise UserError(f"{command} cannot change {key} of '{path}': {reason}; it takes {takes}")
    config = Config() if run_config is None else run_config
    if data:
        config.data = dataclasses.replace(Data(), resize=config.data.resize, skip_bad=config.data.skip_bad)
        config.data.spec, config.data.split = data, "official"
    if run_config is None:
        known = tflite_origin.of(path)
        if known.resize:
            configs.set_key(config, "data.resize", known.resize)
        for name, value in known.pixels.items():
            configs.set_key(config, f"export.{name}", value)
        for dotted, value in known.keys.items():
            configs.set_key(config, dotted, value)
    return configs.apply(config, overrides)


def of_run(run: Run, config: Config, split: str | None) -> Measured:
    """Returns a split of the data that `run` was trained on.

    Args:
        run: the run.
        config: its config.
        split: "train", "val" or "test"; None: test.

    Raises:
        UserError: the data has changed since the training (`identity.recorded_splits`).
    """
    source = load_dataset(config)
    config = resolve(config, source)
    splits, name = identity.recorded_splits(run, source, config), split or "test"
    return Measured(splits.samples(name), source.classes, config.data.resize, splits, name)


def of_file(path: Path, graph: "Model", config: Config, data: str | None, split: str | None) -> Measured:
    """Returns the images that a .tflite is measured on, as large as its input; the arguments are those of `evaluate`.

    `config` is what `settings` returns. Raises UserError if there are none, or the input is no square image.
    """
    known, what = tflite_origin.of(path), f"'{path}'"
    if known.run and (data is None or is_data_of(known.run, config)):
        run_config = known.run.config()
        run_config.data.resize, run_config.data.skip_bad = config.data.resize, config.data.skip_bad
        return of_run(known.run, run_config, split)
    if data is None:
        raise UserError(f"'{path}' is not in a run folder: give the images to measure it on with --data")
    source, outputs = graph.inputs[0], int(np.prod(graph.outputs[0].shape))
    if len(source.shape) != 4 or source.shape[3] not in (1, 3):
        raise UserError(
            f"{what} takes {source.shape}, not one image (1, H, W, 1 or 3), so '{data}' cannot be used for it"
        )
    _, height, width, channels = source.shape
    if height != width:
        raise UserError(f"{what} takes images of {width}x{height}: only square ones can be read from '{data}'")
    for key, value in (("resolution", height), ("channels", channels)):
        configs.set_key(config, f"model.{key}", value)
    images = of_other(config, split, known.classes, outputs, what, known.run)
    if known.resize or config.data.resize != "auto":
        return images
    note = f"images are resized to {width}x{height} by {images.resize}: set data.resize to change that"
    return dataclasses.replace(images, notes=(*images.notes, note))


def of_other(
    config: Config, split: str | None, known: Sequence[str], outputs: int, what: str, run: Run | None
) -> Measured:
    """Returns the images of the data that `config` names, for a model of other data.

    Args:
        config: its [data], and the resolution and channels of the model.
        split: "train", "val" or "test"; by default test, or all images of data that has no splits.
        known: the names of the model's classes, in order; empty if unknown.
        outputs: how many classes it has.
        what: what messages call it.
        run: the run that it is from, if that is known.

    Raises:
        UserError: data for another task, other classes than the model's, or a split that the data does not have.
    """
    source, spec = load_dataset(config), config.data.spec
    task = "classify" if config.task == "auto" else config.task
    if (task in boxes.TASKS) != (source.task in boxes.TASKS):
        raise UserError(f"{what} is for the task {task}, '{spec}' is data for {source.task}: expected data for {task}")
    data, name = _split_or_all(source, config, split)
    if not known and outputs != len(source.classes):
        raise UserError(
            f"{what} has {outputs} outputs, but '{spec}' has {len(source.classes)} classes: the numbers must be equal"
        )
    samples = data.samples(name)
    annotations, notes = identity.match_classes(known, source.classes, samples.annotations, what, spec)
    samples = dataclasses.replace(samples, annotations=annotations)
    if run and (count := identity.count_trained_on(run, data, name)):
        notes.append(f"{what} was trained on {count:,} of these {len(annotations):,} images: the figures are too good")
    return Measured(samples, list(known) or source.classes, data.resize, data, name, tuple(notes))


def is_data_of(run: Run, config: Config) -> bool:
    """Returns whether `config` names the data of `run`, to be split as it was for it."""
    same_spec = _resolved_spec(config.data.spec) == _resolved_spec(run.config().data.spec)
    return same_spec and not _asks_for_a_draw(config.data)


def _resolved_spec(spec: str) -> tuple[str, str]:
    kind, colon, argument = spec.partition(":")
    path = Path(argument).expanduser()
    return kind, str(path.resolve()) if colon and path.exists() else argument


def _split_or_all(source: Dataset, config: Config, split: str | None) -> tuple[Splits, str]:
    """Returns the images that are measured, and the name of their split: one that the data has, or all of it."""
    spec, drawn = config.data.spec, _asks_for_a_draw(config.data)
    config = resolve(config, source)
    if drawn:
        return Splits(source, config), split or "test"
    name = "all" if set(source.image_sets) == {"all"} else split or "test"
    if name == "all" and split:
        raise UserError(
            f"'{spec}' has no splits, so all of it is measured: leave out --split {split}, or draw a split, "
            "for example with data.split=random"
        )
    if name not in source.image_sets:
        raise UserError(f"'{spec}' has no {name} images: use --split {' or '.join(source.image_sets)}")
    return Splits(source, config, {name: Subset(name, np.arange(len(source.image_sets[name].annotations)))}), name


def _asks_for_a_draw(data: Data) -> bool:
    plain = dataclasses.replace(Data(), spec=data.spec, split="official", resize=data.resize, skip_bad=data.skip_bad)
    return data != plain
