"""The int8 model of an export, from a run or from a .tflite of anyone's, with all that its proof needs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from tqdm import tqdm

from tinytrain import macs, pipeline, splits, train, weights
from tinytrain.augment import Augmentation
from tinytrain.deploy import carray, cosine, diagnosis, foreign, latency, qat, tflite, twin
from tinytrain.errors import UserError
from tinytrain.evaluation import test_images, to_int8
from tinytrain.run import Run
from tinytrain.schema import Config

FINE_TUNE_SEED = 1_000_003  # added to the run's seed: other batches than in the training
NOISE_IMAGES = 16  # what a .tflite without data is proven on
DIAGNOSED_IMAGES = 200  # of the test images: the ratios change by less than 1 dB beyond


@dataclass(frozen=True)
class Int8Model:
    """An int8 model with all that its proof and its firmware need.

    images: (N, H, W, C) int8, what it is proven on; labels: (N,) or None if unknown; float_scores: (N, classes) of the
    model that it was made from on the same images, None for a .tflite of unknown origin; classes: their names, none if
    unknown; layers: the rows of `diagnosis.layers`, None if they were not asked for; input_range: what pixels 0 and 255
    are to the network; notes: what a user should know of a .tflite made elsewhere, a line each.
    """

    name: str
    content: bytes
    classes: list[str]
    images: np.ndarray
    labels: np.ndarray | None
    float_scores: np.ndarray | None
    macs: int
    layers: list[dict[str, Any]] | None = None
    input_range: tuple[float, float] = (-1.0, 127 / 128)
    notes: tuple[str, ...] = ()


def from_run(run: Run, config: Config, diagnose: bool = False) -> Int8Model:
    """Returns the quantized model of a finished run, measured layer by layer if `diagnose`.

    A cosine head becomes one fully connected layer (deploy/cosine.py): the float scores are cosines, the int8 ones in
    about the logits of the loss, s·cosθ times the length of the image's features over the mean one.
    """
    source = train.load_source(config)
    config = train.resolve(config, source)  # a run from before a key was there has that key's default
    data = splits.Split(source, config)
    if splits.as_names(source, data.subsets) != run.split():
        raise UserError(
            f"the images of '{config.data.spec}' are others than when '{run.folder}' was trained: train anew"
        )
    model = weights.trained(run)
    images, labels = data.arrays("test")
    train_images, train_labels = data.arrays("train")
    linear = cosine.linear(model, calibration_images(config, train_images), float(config.am_softmax.scale))
    float_twin = twin.rebuild(linear)
    twin.check_equal(linear, float_twin)
    float_twin = twin.fold(linear, float_twin)
    tuned = fine_tune(float_twin, config, train_images, train_labels, classes=len(source.classes))
    return Int8Model(
        name=config.model.name,
        content=tflite.convert(tuned),
        classes=source.classes,
        images=to_int8(images),
        labels=labels,
        float_scores=train.predict(model, images),
        macs=macs.count(model),
        layers=_diagnose(tuned, float_twin, images, config.seed) if diagnose else None,
    )


def fine_tune(
    float_twin: tf_keras.Model, config: Config, images: np.ndarray, labels: np.ndarray, classes: int
) -> tf_keras.Model:
    """Returns the fake-quantized graph of `float_twin`, fine-tuned on training images as [qat] of `config` says.

    images (N, R, R, C) uint8 and labels (N,) are training images: calibration and fine-tuning see no others.
    """
    batch = min(config.qat.batch, len(images))
    steps = round(config.qat.epochs * (len(images) // batch))
    batches = pipeline.training_batches(
        images,
        labels,
        classes,
        batch,
        config.seed + FINE_TUNE_SEED,
        range(steps),
        Augmentation(config.augment, images.shape[1]),
    )
    smoothing = config.optim.label_smoothing
    smoothed = batches.map(lambda x, y: (x, y * (1 - smoothing) + smoothing / classes))
    with tqdm(total=steps * batch, desc="quantization-aware", unit="image", leave=False, disable=None) as bar:
        return qat.fine_tune(
            float_twin,
            smoothed,
            steps,
            config.qat.lr,
            calibration_images(config, images),
            lambda *_: bar.update(batch) and None,
            config.qat.distill,
            config.qat.temperature,
        )


def calibration_images(config: Config, images: np.ndarray) -> np.ndarray:
    """Returns qat.calibration_images of the training images (N, R, R, C) uint8, as float32 in [-1, 1)."""
    chosen = np.random.default_rng(config.seed).permutation(len(images))[: config.qat.calibration_images]
    return pipeline.normalize(images[np.sort(chosen)]).numpy()


def _diagnose(tuned: tf_keras.Model, float_twin: tf_keras.Model, images: np.ndarray, seed: int) -> list[dict[str, Any]]:
    chosen = np.random.default_rng(seed).permutation(len(images))[:DIAGNOSED_IMAGES]
    return diagnosis.layers(tuned, float_twin, pipeline.normalize(images[np.sort(chosen)]).numpy())


def from_file(path: Path, data: str | None, input_range: str = "") -> Int8Model:
    """Returns an int8 .tflite of unknown origin, to be proven on the test images of `data`, or on noise.

    `input_range` says what pixels 0 and 255 are to it, "LOW..HIGH"; "" reads it off its input (foreign.py).
    """
    found = foreign.read(path)
    source = found.graph.inputs[0]
    low, high, known = foreign.pixel_range(source, input_range)
    classes: list[str] = []
    if data:
        pixels, labels, classes = test_images(found.graph, data, "test", what=f"'{path}'")
        images = carray.pixel_values(source, (high - low) / 255, low)[pixels]
    else:
        shape = (NOISE_IMAGES, *source.shape[1:])
        images, labels = np.random.default_rng(0).integers(-128, 128, shape, np.int8), None
    notes = [f"{end} left out: int8 goes in and out" for end in found.left_out]
    if foreign.is_image(source):
        where = "" if known else ", all its input holds: export.input_range=LOW..HIGH says otherwise"
        notes.append(f"pixels 0 to 255 as {low:g} to {high:g}{where}")
    return Int8Model(
        name=path.stem,
        content=found.content,
        classes=classes,
        images=images,
        labels=labels,
        float_scores=None,
        macs=latency.total_macs(found.graph),
        input_range=(low, high),
        notes=tuple(notes),
    )
