"""`tinytrain evaluate`: a run or a .tflite file, measured on a split of its data or of another."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytrain import config as configs
from tinytrain import metrics, splits, train, weights
from tinytrain.errors import UserError
from tinytrain.run import Run
from tinytrain.schema import Config

if TYPE_CHECKING:
    from tinytrain.deploy.flatbuffer import Summary, Tensor


def to_int8(images: np.ndarray) -> np.ndarray:
    """Returns uint8 pixels as the int8 input of our models: q = pixel - 128."""
    return (images.astype(np.int16) - 128).astype(np.int8)


def dequantize(outputs: np.ndarray, tensor: "Tensor") -> np.ndarray:
    """Returns int8 outputs in real units: (q - zero point)·scale."""
    return (outputs.astype(np.float32) - tensor.zero_point[0]) * np.float32(tensor.scale[0])


def evaluate(target: PathLike[str] | str, data: str | None = None, split: str = "test") -> dict[str, Any]:
    """Returns {"top1", "top5", "balanced_top1", "macro_f1", "map", "map_mrr", "loss", "images"} of a model on a split.

    Accuracies are in 0..1, the loss in nats; what each is stands in `metrics.summary` and docs/command-line.md.

    Args:
        target: a finished run, or an int8 .tflite with an image in and scores out (deploy/foreign.py); one that
            `tinytrain export` wrote into a run folder finds its data by itself.
        data: a SPEC; by default the data of the run.
        split: "train", "val" or "test".

    Raises:
        UserError: neither a run nor a .tflite, no data, or data of other classes than the model.
    """
    target = Path(target)
    if target.is_file():
        return _evaluate_file(target, data, split)
    run = Run.open(target)
    run.metrics()
    config = run.config()
    if data:
        for key, value in {"spec": data, "split": "auto", "val_images": 0, "test_images": 0}.items():
            configs.set_key(config, f"data.{key}", value)
        configs.check(config)
    model = weights.trained(run)
    images, labels, classes = _split(config, split)
    _refuse_other_classes(model.output_shape[-1], classes, config.data.spec, f"the model of '{run.folder}'")
    return train.evaluate(model, images, labels)


def test_images(graph: "Summary", data: str, split: str, what: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns (uint8 images as large as the input of a .tflite, labels, class names) of the data source `data`."""
    from tinytrain.deploy import foreign

    if not foreign.is_image(graph.inputs[0]):
        raise UserError(
            f"{what} takes {graph.inputs[0].shape}, not one image (1, H, W, 1 or 3), so '{data}' is none for it"
        )
    _, height, width, channels = graph.inputs[0].shape
    if height != width:
        raise UserError(f"{what} takes images of {width}x{height}: only square ones can be read from '{data}'")
    words = [f"data.spec={data}", f"model.resolution={height}", f"model.channels={channels}", "data.resize=stretch"]
    images, labels, classes = _split(configs.load(None, words), split)
    _refuse_other_classes(int(np.prod(graph.outputs[0].shape)), classes, data, what)
    return images, labels, classes


def _evaluate_file(path: Path, data: str | None, split: str) -> dict[str, Any]:
    from tinytrain.deploy import carray, foreign
    from tinytrain.deploy.oracle import Oracle

    found = foreign.read(path)
    source, target = found.graph.inputs[0], found.graph.outputs[0]
    if data:
        images, labels, _ = test_images(found.graph, data, split, f"'{path}'")
    else:
        images, labels, _ = _split(_run_of(path).config(), split)
    low, high, _ = foreign.pixel_range(source)
    outputs = Oracle(found.content).run(carray.pixel_values(source, (high - low) / 255, low)[images])
    return metrics.summary(dequantize(outputs.reshape(len(outputs), -1), target), labels)


def _run_of(path: Path) -> Run:
    for folder in path.resolve().parents[:3]:
        if (folder / "config.toml").is_file() and (folder / "metrics.json").is_file():
            return Run.open(folder)
    raise UserError(f"'{path}' stands in no run folder: say with --data which images to measure it on")


def _split(config: Config, split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    source = train.load_source(config)
    config = train.resolve(config, source)
    return *splits.Split(source, config).arrays(split), source.classes


def _refuse_other_classes(outputs: int, classes: list[str], data: str, what: str) -> None:
    if outputs != len(classes):
        raise UserError(f"{what} has {outputs} outputs, '{data}' has {len(classes)} classes: they must be the same")
