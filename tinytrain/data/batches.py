"""From images to batches: decoded once into one uint8 array on the disk, then taken by the number of the step.

Everything random is a function of (seed, step), never of what was drawn before: a run that is killed and resumed sees
the batches that it would have seen. An array is a memory map in the cache folder (`XDG_CACHE_HOME/tinytrain`), so that
a dataset larger than the memory works the same way, only slower: a split is an `IndexedView` of it.
"""

import contextlib
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from tinytrain import files, progress
from tinytrain.data.augment.generator import Share
from tinytrain.data.decode import upright_8bit
from tinytrain.data.images import Samples
from tinytrain.data.source import ImageSet

CACHE_VERSION = 3
Augment = Any  # (pixels, targets, seed[, share]) -> (pixels, targets); with `rows`, as `augment.augmentation` has it
Encode = Callable[[tf.Tensor, tf.Tensor], Any]  # (annotations (B, …), transforms (B, 4)) -> targets: `Task.encode`


class Transform(NamedTuple):
    """How an image was resized: a place (x, y) in it, in pixels, is at (scale_x·x + offset_x, scale_y·y + offset_y)."""

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


def decode(image_set: ImageSet, resolution: int, channels: int, resize: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images and the transforms of `image_set`, from the cache if they are there.

    Args:
        image_set: the N images.
        resolution: side of the result in pixels.
        channels: 1 gray or 3 color.
        resize: "stretch", "crop" or "pad" (see `prepare`).

    Returns:
        images (N, resolution, resolution, channels) uint8; transforms (N, 4) float32, a `Transform` each.
    """
    count = len(image_set.names)
    identity = json.dumps([CACHE_VERSION, image_set.key, count, resolution, channels, resize])
    path = files.cache_folder() / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.npy"
    shape = (count, resolution, resolution, channels)
    images, transforms = _mapped(path, shape, np.uint8), _mapped(_beside(path), (count, 4), np.float32)
    if images is None or transforms is None:
        return _decode_to(path, image_set, shape, resize)
    return images, transforms


def _mapped(path: Path, shape: tuple[int, ...], dtype: type) -> np.ndarray | None:
    """Returns the array in a file of the cache; None if it is missing or damaged, or has another shape or type."""
    try:
        array = np.lib.format.open_memmap(path, "r")  # np.load would take archives and pickles, too
    except (OSError, ValueError):  # not there, cut short by a full disk, or damaged in any other way
        return None
    return array if (array.shape, array.dtype, array.flags.c_contiguous) == (shape, dtype, True) else None


def _beside(path: Path) -> Path:
    """Returns the file of the transforms of the images in `path`."""
    return path.with_suffix(".transforms")


def prepare(image: Image.Image, resolution: int, channels: int, resize: str) -> tuple[np.ndarray, Transform]:
    """Returns one image as (resolution, resolution, channels) uint8, and how it was resized.

    The filter is antialiased bilinear, the image turned upright by its EXIF. What is transparent is put on white.

    Args:
        image: of any size and mode.
        resolution: side of the result in pixels.
        channels: 1 gray or 3 color.
        resize: "stretch" ignores the aspect, "crop" keeps the centre square, "pad" adds black borders.
    """
    mode, size = ("L" if channels == 1 else "RGB"), (resolution, resolution)
    upright, _ = upright_8bit(image)
    if upright.mode != mode:
        upright = upright.convert(mode)
    transform = transform_of(upright.size, resolution, resize)
    if upright.size != size:
        how = {"crop": ImageOps.fit, "pad": ImageOps.pad}.get(resize)
        filter_ = Image.Resampling.BILINEAR
        upright = how(upright, size, method=filter_) if how else upright.resize(size, filter_)
    return np.asarray(upright, np.uint8).reshape(resolution, resolution, channels), transform


def transform_of(size: tuple[int, int], resolution: int, resize: str) -> Transform:
    """Returns what `prepare` does to an upright image of `size` (width, height), as ImageOps rounds it."""
    width, height = size
    if resize == "pad":
        inner = [min(resolution, round(side / other * resolution)) for side, other in (size, size[::-1])]
        offsets = [round((resolution - side) * 0.5) for side in inner]
        return Transform(inner[0] / width, inner[1] / height, *offsets)
    if resize == "crop":
        scale = resolution / min(width, height)
        return Transform(scale, scale, (resolution - width * scale) / 2, (resolution - height * scale) / 2)
    return Transform(resolution / width, resolution / height, 0.0, 0.0)


def normalize(images: Any) -> Any:
    """Returns uint8 pixels as float32 in [-1, 1): (pixel - 128) / 128, which int8 holds exactly as pixel - 128."""
    return (tf.cast(images, tf.float32) - 128.0) / 128.0


def training_batches(
    samples: Samples,
    encode: Encode,
    batch: int,
    seed: int,
    steps: range,
    augment: Augment | None = None,
    share: slice | None = None,
) -> tf.data.Dataset:
    """Returns batches (x (batch, H, W, C) float32 in [-1, 1), targets), one for each of `steps`.

    Every epoch is a permutation of the images drawn from (seed, epoch); what does not fill a batch is left out.

    Args:
        samples: the training images.
        encode: makes the targets.
        batch: images a step.
        seed: of the order and of the augmentation.
        steps: their numbers, counted from the start of the training.
        augment: changes images and targets; where it mixes images, the targets are mixtures.
        share: which rows of each batch to return, those of one of several workers; None: all. They are what they are in
            the whole batch, of which no more is read and augmented than they need.
    """
    images, annotations, transforms = samples.images, samples.annotations, samples.transforms
    own = np.arange(batch)[share or slice(None)]
    rows = own if len(own) == batch or augment is None else augment.rows(own, batch)
    shared = {} if len(own) == batch else {"share": Share(own, rows, batch)}
    steps_per_epoch = len(images) // batch
    order = _Order(len(images), seed)

    def gather(step: np.int64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        epoch, position = divmod(int(step), steps_per_epoch)
        chosen = order(epoch)[position * batch + rows]
        return images[chosen], annotations[chosen], transforms[chosen]

    def load(step: tf.Tensor) -> tuple[tf.Tensor, Any]:
        dtypes = [tf.uint8, tf.as_dtype(annotations.dtype), tf.float32]
        pixels, annotation, transform = tf.numpy_function(gather, [step], dtypes, stateful=False)
        count = len(rows)
        pixels = tf.ensure_shape(pixels, (count, *images.shape[1:]))
        y = encode(tf.ensure_shape(annotation, (count, *annotations.shape[1:])), tf.ensure_shape(transform, (count, 4)))
        if augment:
            pixels, y = augment(pixels, y, tf.stack([tf.constant(seed, tf.int64), step]), **shared)
        return normalize(pixels), y

    numbers = tf.data.Dataset.range(steps.start, steps.stop)
    return numbers.map(load, num_parallel_calls=2, deterministic=True).prefetch(4)


def evaluation_batches(samples: Samples, encode: Encode, batch: int = 256) -> tf.data.Dataset:
    """Returns batches (x, targets) in order, the last one shorter, without any augmentation.

    Args:
        samples: the images.
        encode: makes the targets.
        batch: images a step.
    """
    arrays = (samples.images, samples.annotations, samples.transforms)

    def chunks() -> Any:
        for start in range(0, len(samples.images), batch):
            yield tuple(array[start : start + batch] for array in arrays)

    spec = tuple(tf.TensorSpec((None, *array.shape[1:]), tf.as_dtype(array.dtype)) for array in arrays)
    data = tf.data.Dataset.from_generator(chunks, output_signature=spec)
    data = data.map(lambda pixels, annotation, transform: (normalize(pixels), encode(annotation, transform)))
    return data.apply(tf.data.experimental.assert_cardinality(-(-len(samples.images) // batch))).prefetch(2)


class _Order:
    """The permutation of an epoch, kept until another epoch is asked for."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.kept = count, seed, (-1, np.empty(0, np.int64))

    def __call__(self, epoch: int) -> np.ndarray:
        kept = self.kept  # one read: two threads may ask for neighbouring epochs at once
        if kept[0] != epoch:
            kept = (epoch, np.random.default_rng([self.seed, epoch]).permutation(self.count))
            self.kept = kept
        return kept[1]


def _decode_to(
    path: Path, image_set: ImageSet, shape: tuple[int, int, int, int], resize: str
) -> tuple[np.ndarray, np.ndarray]:
    count, resolution, _, channels = shape
    prepared = cast(Any, functools.partial(prepare, resolution=resolution, channels=channels, resize=resize))
    decoded = cast(Iterator[tuple[np.ndarray, Transform]], image_set.images(prepared))
    counted = progress.counted(decoded, "decoding", count, "image")
    transforms = np.empty((count, 4), np.float32)
    try:
        with _reserved(path, shape) as array:
            for number, (image, transform) in enumerate(counted):
                array[number], transforms[number] = image, transform
            files.write_atomically(_beside(path), lambda file: np.save(file, transforms))
    except _NoRoomError:  # a read-only or full disk: keep the images in memory
        images, rows = zip(*counted, strict=True)
        return np.stack(images), np.array(rows, np.float32)
    return np.lib.format.open_memmap(path, "r"), transforms


class _NoRoomError(Exception):
    """The cache cannot be written."""


@contextlib.contextmanager
def _reserved(path: Path, shape: tuple[int, ...]) -> Iterator[np.memmap]:
    """Yields an array to be filled, which becomes the file `path`; raises _NoRoomError if that cannot be written."""
    with contextlib.ExitStack() as exit_stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.rmtree(path)
            array = _reserve(exit_stack.enter_context(files.draft(path)), shape)
        except OSError as error:
            raise _NoRoomError from error
        yield array
        array.flush()


def _reserve(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Returns an array in the file `path` whose room on the disk is taken.

    A map on a full disk would kill the process.
    """
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
