"""The int8 model of an export, from a run or from a .tflite of anyone's, with all that its proof needs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tqdm import tqdm

from tinytrain.config.schema import Config
from tinytrain.data import batches as pipeline
from tinytrain.data import identity
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.data.images import Images, Samples
from tinytrain.data.load import load_dataset
from tinytrain.deploy import imported, latency
from tinytrain.deploy.tflm import supported
from tinytrain.evaluation import measured, tflite_origin
from tinytrain.nn import macs, pretrained
from tinytrain.nn.predict import predict
from tinytrain.quantize import convert, cosine_head, error_analysis, qat, tf_keras_clone
from tinytrain.run import Run
from tinytrain.tflite import pixels
from tinytrain.tflite.int8_values import to_int8
from tinytrain.tflite.model import Model
from tinytrain.tflite.pixels import Pixels
from tinytrain.train.resolve import resolve

FINE_TUNE_SEED = 1_000_003  # added to the run's seed: other batches than in the training
NOISE_IMAGES = 16  # what a .tflite without data is proven on
DIAGNOSED_IMAGES = 200  # of the val images: the ratios change by less than 1 dB beyond


@dataclass(frozen=True)
class Validation:
    """The val images: what qat.* is tuned by and a diagnosis is made on, so that the test images stay for the end.

    images: (N, H, W, C) int8; labels: (N,); float_scores and finetuned_scores: as in Int8Model.
    """

    images: np.ndarray
    labels: np.ndarray
    float_scores: np.ndarray
    finetuned_scores: np.ndarray | None


@dataclass(frozen=True)
class Int8Model:
    """An int8 model with all that its proof and its firmware need.

    images: (N, H, W, C) int8, what it is proven on; labels: (N,) or None if unknown; float_scores: (N, classes) of the
    model that it was made from on the same images, None for a .tflite of unknown origin; finetuned_scores: (N, classes)
    of that model with the weights that the fine-tune ended with, in float without fake quantization: what the int8 ones
    differ from by quantization alone, None without a fine-tune; val: the same on the val images of a run; classes:
    their names, none if unknown; layers: the rows of `diagnosis.layers`, None if they were not asked for; pixels:
    what an 8-bit pixel is to the network; resize: how an image was brought to its size, "" if unknown; notes: what a
    user should know of a .tflite made elsewhere, a line each.
    """

    name: str
    tflite: Model
    classes: list[str]
    images: np.ndarray
    labels: np.ndarray | None
    float_scores: np.ndarray | None
    macs: int
    finetuned_scores: np.ndarray | None = None
    val: Validation | None = None
    layers: list[dict[str, Any]] | None = None
    pixels: Pixels = pixels.RUN
    resize: str = ""
    notes: tuple[str, ...] = ()


def from_run(run: Run, config: Config, diagnose: bool = False) -> Int8Model:
    """Returns the quantized model of a finished run, measured layer by layer if `diagnose`.

    A cosine head becomes one fully connected layer (quantize/cosine_head.py): the float scores are cosines, the
    int8 ones in about the logits of the loss, s·cosθ times the length of the image's features over the mean one.
    """
    source = load_dataset(config)
    config = resolve(config, source)  # a run from before a key was there has that key's default
    data = identity.recorded_splits(run, source, config)
    model = pretrained.load_trained(run)
    images, labels = data.arrays("test")
    val_images, val_labels = data.arrays("val")
    train_images, train_labels = data.arrays("train")
    linear = cosine_head.linear(model, calibration_images(config, train_images), float(config.am_softmax.scale))
    float_twin = tf_keras_clone.rebuild(linear)
    tf_keras_clone.check_equal(linear, float_twin)
    float_twin = tf_keras_clone.fold(linear, float_twin)
    tuned = fine_tune(float_twin, config, train_images, train_labels, classes=len(source.classes))
    error_analysis.take_weights(tuned, float_twin)
    finetuned = steps(config, len(train_images)) > 0
    converted = convert.convert(tuned)
    supported.check(converted, "the converted model")
    return Int8Model(
        name=config.model.name,
        tflite=converted,
        classes=source.classes,
        images=to_int8(images),
        labels=labels,
        float_scores=predict(model, images),
        macs=macs.count(model),
        resize=config.data.resize,
        finetuned_scores=predict(float_twin, images) if finetuned else None,
        val=Validation(
            images=to_int8(val_images),
            labels=val_labels,
            float_scores=predict(model, val_images),
            finetuned_scores=predict(float_twin, val_images) if finetuned else None,
        ),
        layers=_diagnose(tuned, float_twin, val_images, config.seed) if diagnose else None,
    )


def steps(config: Config, images: int) -> int:
    """Returns how many steps the fine-tune takes on so many training images; 0 is post-training quantization."""
    return round(config.qat.epochs * (images // min(config.qat.batch, images)))


def fine_tune(
    float_twin: tf_keras.Model, config: Config, images: Images, labels: np.ndarray, classes: int
) -> tf_keras.Model:
    """Returns the fake-quantized graph of `float_twin`, fine-tuned on training images as [qat] of `config` says.

    images (N, R, R, C) uint8 and labels (N,) are training images: calibration and fine-tuning see no others.
    """
    batch = min(config.qat.batch, len(images))
    count = steps(config, len(images))
    batches = pipeline.training_batches(
        Samples.of(images, labels),
        lambda label, _: tf.one_hot(label, classes),
        batch,
        config.seed + FINE_TUNE_SEED,
        range(count),
        Augmentation(config.augment, images.shape[1]),
    )
    smoothing = config.optim.label_smoothing
    smoothed = batches.map(lambda x, y: (x, y * (1 - smoothing) + smoothing / classes))
    with tqdm(total=count * batch, desc="quantization-aware", unit="image", leave=False, disable=None) as bar:
        return qat.fine_tune(
            float_twin,
            smoothed,
            count,
            config.qat.lr,
            calibration_images(config, images),
            lambda *_: bar.update(batch) and None,
            config.qat.distill,
            config.qat.temperature,
        )


def calibration_images(config: Config, images: Images) -> np.ndarray:
    """Returns qat.calibration_images of the training images (N, R, R, C) uint8, as float32 in [-1, 1)."""
    chosen = np.random.default_rng(config.seed).permutation(len(images))[: config.qat.calibration_images]
    return pipeline.normalize(images[np.sort(chosen)]).numpy()


def _diagnose(tuned: tf_keras.Model, float_twin: tf_keras.Model, images: Images, seed: int) -> list[dict[str, Any]]:
    chosen = np.random.default_rng(seed).permutation(len(images))[:DIAGNOSED_IMAGES]
    return error_analysis.layers(tuned, float_twin, pipeline.normalize(images[np.sort(chosen)]).numpy())


def from_file(path: Path, config: Config, data: str | None) -> Int8Model:
    """Returns an int8 .tflite of unknown origin, to be proven on images of `data` (`measured.of_file`), or on noise.

    `config` is what `measured.settings` returns: [export] says what pixels are to it, by default that is read off its
    input (tflite/pixels.py); [data] how images are brought to its size.
    """
    tflite, made_int8 = imported.read(path)
    source = tflite.inputs[0]
    taken = pixels.of(source, config.export)
    classes, resize = list(tflite_origin.of(path).classes), ""
    if data:
        shown = measured.of_file(path, tflite, config, data, None)
        images, labels, classes, resize = (
            taken.to_input(np.asarray(shown.images), source),
            shown.labels,
            shown.classes,
            shown.resize,
        )
    else:
        shape = (NOISE_IMAGES, *source.shape[1:])
        images, labels = np.random.default_rng(0).integers(-128, 128, shape, np.int8), None
    notes = [f"{end} left out: int8 goes in and out" for end in made_int8]
    if imported.is_image(source):
        notes += [str(taken), *([taken.hint] if taken.hint else [])]
    notes += shown.notes if data else []
    return Int8Model(
        name=path.stem,
        tflite=tflite,
        classes=classes,
        images=images,
        labels=labels,
        float_scores=None,
        macs=latency.total_macs(tflite.operators),
        pixels=taken,
        resize=resize,
        notes=tuple(notes),
    )
