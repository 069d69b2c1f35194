"""The int8 model of an export, from a run or from any .tflite, with all that its proof needs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from tinytrain import progress
from tinytrain.config.schema import Config
from tinytrain.data import identity
from tinytrain.data.batches import normalize, training_batches
from tinytrain.data.images import Images, Samples
from tinytrain.data.load import load_dataset
from tinytrain.deploy import imported
from tinytrain.deploy.tflm import supported
from tinytrain.evaluation_data import measured, tflite_origin
from tinytrain.nn import macs, pretrained
from tinytrain.nn.predict import predict
from tinytrain.quantize import convert, cosine_head, error_analysis, tf_keras_clone
from tinytrain.quantize.fine_tune import fine_tune
from tinytrain.run import Run
from tinytrain.tflite import pixels
from tinytrain.tflite.int8_values import to_int8
from tinytrain.tflite.macs import total_macs
from tinytrain.tflite.model import Model
from tinytrain.tflite.pixels import Pixels
from tinytrain.train import task as tasks
from tinytrain.train.resolve import resolve
from tinytrain.train.task import Task

FINE_TUNE_SEED = 1_000_003  # added to the run's seed: other batches than in the training
NOISE_IMAGES = 16  # what a .tflite without data is proven on
DIAGNOSED_IMAGES = 200  # of the val images: the ratios change by less than 1 dB beyond


@dataclass(frozen=True)
class Validation:
    """The val images: what qat.* is tuned by and a diagnosis is made on, so that the test images stay for the end.

    images: (N, H, W, C) int8; samples: the same with their annotations; float_scores and finetuned_scores: as in
    Int8Model.
    """

    images: np.ndarray
    samples: Samples | None
    float_scores: np.ndarray
    finetuned_scores: np.ndarray | None


@dataclass(frozen=True)
class Int8Model:
    """An int8 model with all that its proof and its firmware need.

    task: what it was trained for; images: (N, H, W, C) int8, what it is proven on; samples: the same images with their
    annotations, None if these are unknown; float_scores: what the task keeps (`Task.keep`) of the outputs, for a
    classifier logits (N, classes), of the model that it was made from on the same images, None for a .tflite of unknown
    origin; finetuned_scores: likewise of that model with the weights that the fine-tune ended with, in float without
    fake quantization: what the int8 ones differ from by quantization alone, None without a fine-tune; val: the
    same on the val images of a run; classes: their names, none if unknown; layers: the rows of `error_analysis.layers`,
    None unless it was diagnosed; pixels: what an 8-bit pixel is to the network; resize: how an image was brought to its
    size, "" if unknown; notes: what a user should know of a .tflite made elsewhere, a line each.
    """

    name: str
    tflite: Model
    classes: list[str]
    images: np.ndarray
    samples: Samples | None
    float_scores: np.ndarray | None
    macs: int
    task: Task
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
    with progress.stage("reading the data"):
        dataset = load_dataset(config)
    config = resolve(config, dataset)  # a run from before a key was there has that key's default
    data = identity.recorded_splits(run, dataset, config)
    model = pretrained.load_trained(run)
    task = tasks.of(config, dataset.classes)
    train, val, test = (data.samples(split) for split in ("train", "val", "test"))
    calibration = calibration_images(config, train.images)
    linear = cosine_head.linear(model, calibration, float(config.am_softmax.scale))
    float_clone = tf_keras_clone.rebuild(linear)
    tf_keras_clone.check_equal(linear, float_clone)
    float_clone = tf_keras_clone.fold(linear, float_clone)
    tuned = quantized(float_clone, task, config, data.samples("train", task.canvas), calibration)
    error_analysis.take_weights(tuned, float_clone)
    finetuned = steps(config, len(train.images)) > 0
    with progress.stage("converting the network"):
        converted = convert.convert(tuned)
    supported.check(converted, "the converted model")
    return Int8Model(
        name=config.model.name,
        task=task,
        tflite=converted,
        classes=dataset.classes,
        images=to_int8(test.images),
        samples=test,
        float_scores=predict(model, test.images, keep=task.keep),
        macs=macs.count(model),
        resize=config.data.resize,
        finetuned_scores=predict(float_clone, test.images, keep=task.keep) if finetuned else None,
        val=Validation(
            images=to_int8(val.images),
            samples=val,
            float_scores=predict(model, val.images, keep=task.keep),
            finetuned_scores=predict(float_clone, val.images, keep=task.keep) if finetuned else None,
        ),
        layers=_diagnose(tuned, float_clone, val.images, config.seed) if diagnose else None,
    )


def steps(config: Config, images: int) -> int:
    """Returns how many steps the fine-tune takes on so many training images; 0 is post-training quantization."""
    return round(config.qat.epochs * (images // min(config.qat.batch, images)))


def quantized(
    float_clone: tf_keras.Model, task: Task, config: Config, samples: Samples, calibration: np.ndarray
) -> tf_keras.Model:
    """Returns the fake-quantized graph of `float_clone`, fine-tuned on training images as [qat] of `config` says.

    Args:
        float_clone: the trained network.
        task: its targets and its loss.
        config: the run, without "auto".
        samples: the training images: calibration and fine-tuning see no others.
        calibration: (N, R, R, C) float32 in [-1, 1), those of them that set the ranges.
    """
    batch, count = min(config.qat.batch, len(samples.images)), steps(config, len(samples.images))
    augmentation = task.augmentation(steps_per_epoch=0)  # the fine-tune is the end of the training
    batches = training_batches(samples, task.encode, batch, config.seed + FINE_TUNE_SEED, range(count), augmentation)
    task.weigh(samples.annotations)
    tuning: tuple = ("fine-tuning under fake quantization", count * batch, "image")
    with progress.stage(*(tuning if count else ("finding the ranges of int8",))) as stage:
        return fine_tune(float_clone, task, config, batches, count, calibration, lambda *_: stage.advance(batch))


def calibration_images(config: Config, images: Images) -> np.ndarray:
    """Returns qat.calibration_images of the training images (N, R, R, C) uint8, as float32 in [-1, 1)."""
    chosen = np.random.default_rng(config.seed).permutation(len(images))[: config.qat.calibration_images]
    return normalize(images[np.sort(chosen)]).numpy()


def _diagnose(tuned: tf_keras.Model, float_clone: tf_keras.Model, images: Images, seed: int) -> list[dict[str, Any]]:
    chosen = np.random.default_rng(seed).permutation(len(images))[:DIAGNOSED_IMAGES]
    return error_analysis.layers(tuned, float_clone, normalize(images[np.sort(chosen)]).numpy())


def from_file(path: Path, config: Config, data: str | None) -> Int8Model:
    """Returns an int8 .tflite of unknown origin, to be proven on images of `data` (`measured.of_file`), or on noise.

    `config` is what `measured.settings` returns: [export] says what pixels are to it, by default that is read off its
    input (tflite/pixels.py); [data] how images are brought to its size.
    """
    tflite, made_int8 = imported.read(path)
    source = tflite.inputs[0]
    input_pixels = pixels.of(source, config.export)
    classes, resize = list(tflite_origin.of(path).classes), ""
    if data:
        measured_images = measured.of_file(path, tflite, config, data, None)
        samples: Samples | None = measured_images.samples
        images = input_pixels.to_input(np.asarray(measured_images.samples.images), source)
        classes, resize = measured_images.classes, measured_images.resize
    else:
        shape = (NOISE_IMAGES, *source.shape[1:])
        images, samples = np.random.default_rng(0).integers(-128, 128, shape, np.int8), None
    notes = [f"{end} left out: int8 goes in and out" for end in made_int8]
    if imported.is_image(source):
        notes += [str(input_pixels), *([input_pixels.hint] if input_pixels.hint else [])]
    notes += measured_images.notes if data else []
    return Int8Model(
        name=path.stem,
        tflite=tflite,
        classes=classes,
        images=images,
        samples=samples,
        float_scores=None,
        macs=total_macs(tflite.operators),
        task=tasks.of(config, classes),
        pixels=input_pixels,
        resize=resize,
        notes=tuple(notes),
    )
