"""`tinytrain evaluate`: a run or a .tflite file, measured on a split of its data or of another."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytrain.config.schema import Config
from tinytrain.data import identity
from tinytrain.data.images import Samples
from tinytrain.evaluation_data import int8_outputs, measured, tflite_origin
from tinytrain.evaluation_data.measured import Measured
from tinytrain.nn import pretrained
from tinytrain.nn.predict import predict
from tinytrain.run import Run
from tinytrain.train import task as tasks

if TYPE_CHECKING:
    from tinytrain.tflite.model import Model
    from tinytrain.tflite.pixels import Pixels

AT_ONCE = 2**26  # bytes of images that are handed to the interpreter at once
Measure = Callable[[Samples], dict[str, Any]]


def evaluate(
    target: PathLike[str] | str,
    data: str | None = None,
    split: str | None = None,
    overrides: Sequence[str] = (),
    frames: str | None = None,
) -> dict[str, Any]:
    """Returns what the task of a model measures on a split, as metrics.json holds it (docs/command-line.md).

    Of a classifier the figures are in 0..1 and the loss is in nats. Images are prepared as those that the model was
    trained on, where that is known.

    Args:
        target: a finished run, or an int8 .tflite with an image in and scores out (deploy/imported.py); one that
            `tinytrain export` wrote into a run folder finds its data by itself.
        data: a SPEC; by default the data of the run.
        split: "train", "val" or "test"; by default test, or all images of other data without splits.
        overrides: KEY=VALUE words: how images are read and split (data.*) and, for a .tflite, what values it takes for
            pixels (export.*).
        frames: a format of `data.frames`: the images are also measured as camera frames in this format, resized with
            integers as in an exported library. The result then has "pillow", "integer" and "frames", the format.

    Raises:
        UserError: neither a run nor a .tflite, no data, data that has changed since the run was trained, data of other
        classes than the model, or frames that it cannot take.
    """
    target = Path(target)
    prepare = _file if target.is_file() else _run
    measured_images, measure = prepare(target, data, split, overrides)
    for note in measured_images.notes:
        identity.print_note(note)
    if frames is None:
        return measure(measured_images.samples)
    framed = measured_images.framed(frames)  # refuses a format before anything is computed
    return {"frames": frames, "pillow": measure(measured_images.samples), "integer": measure(framed)}


def _run(path: Path, data: str | None, split: str | None, overrides: Sequence[str]) -> tuple[Measured, Measure]:
    """Returns the images that a run is measured on, and what measures them."""
    run = Run.open(path)
    run.metrics()
    config = measured.settings(path, overrides, data, "evaluate", (), run.config())
    model = pretrained.load_trained(run)
    what = f"the model of '{run.folder}'"
    if data and not measured.is_data_of(run, config):
        classes = identity.classes_of(run)
        measured_images = measured.of_other(config, split, classes, model.output_shape[-1], what, run)
    else:
        measured_images = measured.of_run(run, _config_of(run, config), split)
    task = tasks.of(config, measured_images.classes)
    return measured_images, lambda samples: task.evaluate(predict(model, samples.images, keep=task.keep), samples)


def _config_of(run: Run, overridden: Config) -> Config:
    """Returns the config of `run`, its images read as `overridden` says."""
    config = run.config()
    config.data.resize, config.data.skip_bad = overridden.data.resize, overridden.data.skip_bad
    return config


def _file(path: Path, data: str | None, split: str | None, overrides: Sequence[str]) -> tuple[Measured, Measure]:
    """Returns the same for a .tflite."""
    from tinytrain.deploy import imported
    from tinytrain.tflite import pixels

    config = measured.settings(path, overrides, data, "evaluate", ("export.",))
    model, _ = imported.read(path)
    measured_images = measured.of_file(path, model, config, data, split)
    input_pixels = pixels.of(model.inputs[0], config.export)
    if pixels.is_default(config.export):  # neither typed nor told by a report.json beside the file
        hint = input_pixels.hint or "set export.input_range, channel_order, mean and std to change that"
        identity.print_note(f"'{path}' takes {input_pixels}: {hint}")
    run = tflite_origin.of(path).run
    task = tasks.of(run.config() if run else config, measured_images.classes)

    def measure(samples: Samples) -> dict[str, Any]:
        outputs = _outputs(model, samples, input_pixels)
        return task.evaluate(int8_outputs.kept(task, outputs, model), samples)

    return measured_images, measure


def _outputs(model: "Model", samples: Samples, input_pixels: "Pixels") -> list[np.ndarray]:
    """Returns each output of a .tflite for all images, (N, …) int8."""
    from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter

    source, count = model.inputs[0], len(samples.images)
    step = max(1, AT_ONCE // int(np.prod(source.shape)))
    parts = [
        ReferenceInterpreter(model.content).run(
            input_pixels.to_input(np.asarray(samples.images[start : start + step]), source)
        )
        for start in range(0, count, step)
    ]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]
