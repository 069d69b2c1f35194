"""From images to batches: decoded once into one uint8 array on the disk, then served by the number of the step.

Everything random is a function of (seed, step), never of what was drawn before: a run that is killed and resumed sees
the batches that it would have seen. An array is a memory map in the cache folder (`XDG_CACHE_HOME/tinytrain`), so that
a dataset larger than the memory works the same way, only slower: a split is an `IndexedView` of it.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps
from tqdm import tqdm

from tinytrain import files
from tinytrain.data.decode import upright_8bit
from tinytrain.data.images import Images
from tinytrain.data.source import ImageSet

CACHE_VERSION = 2
Augment = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]  # (pixels, labels, seed)


def decode(pool: ImageSet, resolution: int, channels: int, resize: str) -> np.ndarray:
    """Returns the images of `pool` as (N, resolution, resolution, channels) uint8, from the cache if they are there."""
    identity = json.dumps([CACHE_VERSION, pool.key, len(pool.names), resolution, channels, resize])
    path = cache_folder() / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.npy"
    shape = (len(pool.names), resolution, resolution, channels)
    try:
        array = np.lib.format.open_memmap(path, "r")  # np.load would take archives and pickles, too
        if (array.shape, array.dtype, array.flags.c_contiguous) == (shape, np.uint8, True):
            return array
    except (OSError, ValueError):  # not there, cut short by a full disk, or damaged in any other way
        pass
    return _decode_to(path, pool, shape, resize)


def cache_folder() -> Path:
    """Returns the folder of decoded images; it may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinytrain"


def prepare(image: Image.Image, resolution: int, channels: int, resize: str) -> np.ndarray:
    """Returns one image as (resolution, resolution, channels) uint8: antialiased bilinear, turned upright by its EXIF.

    resize: "stretch" ignores the aspect, "crop" keeps the centre square, "pad" adds black borders. What is transparent
    is put on white.
    """
    mode, size = ("L" if channels == 1 else "RGB"), (resolution, resolution)
    upright, _ = upright_8bit(image)
    if upright.mode != mode:
        upright = upright.convert(mode)
    if upright.size != size:
        how = {"crop": ImageOps.fit, "pad": ImageOps.pad}.get(resize)
        filter_ = Image.Resampling.BILINEAR
        upright = how(upright, size, method=filter_) if how else upright.resize(size, filter_)
    return np.asarray(upright, np.uint8).reshape(resolution, resolution, channels)


def normalize(images: Any) -> Any:
    """Returns uint8 pixels as float32 in [-1, 1): (pixel - 128) / 128, which int8 holds exactly as pixel - 128."""
    return (tf.cast(images, tf.float32) - 128.0) / 128.0


def training_batches(
    images: Images,
    labels: np.ndarray,
    classes: int,
    batch: int,
    seed: int,
    steps: range,
    augment: Augment | None = None,
) -> tf.data.Dataset:
    """Returns batches (x (batch, H, W, C) float32 in [-1, 1), y (batch, classes) one-hot), one for each of `steps`.

    The labels are mixtures of one-hot ones where `augment` mixes images.
    Every epoch is a permutation of the images drawn from (seed, epoch); what does not fill a batch is left out.
    """
    steps_per_epoch = len(images) // batch
    order = _Order(len(images), seed)

    def gather(step: np.int64) -> tuple[np.ndarray, np.ndarray]:
        epoch, position = divmod(int(step), steps_per_epoch)
        chosen = order(epoch)[position * batch : (position + 1) * batch]
        return images[chosen], labels[chosen]

    def load(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, label = tf.numpy_function(gather, [step], [tf.uint8, tf.int64], stateful=False)
        pixels = tf.ensure_shape(pixels, (batch, *images.shape[1:]))
        y = tf.one_hot(tf.ensure_shape(label, (batch,)), classes)
        if augment:
            pixels, y = augment(pixels, y, tf.stack([tf.constant(seed, tf.int64), step]))
        return normalize(pixels), y

    numbers = tf.data.Dataset.range(steps.start, steps.stop)
    return numbers.map(load, num_parallel_calls=2, deterministic=True).prefetch(4)


def evaluation_batches(images: Images, labels: np.ndarray, classes: int, batch: int = 256) -> tf.data.Dataset:
    """Returns batches (x, one-hot y) in order, the last one shorter, without any augmentation."""

    def chunks() -> Any:
        for start in range(0, len(images), batch):
            yield images[start : start + batch], labels[start : start + batch]

    spec = (tf.TensorSpec((None, *images.shape[1:]), tf.uint8), tf.TensorSpec((None,), tf.int64))
    data = tf.data.Dataset.from_generator(chunks, output_signature=spec)
    data = data.map(lambda pixels, label: (normalize(pixels), tf.one_hot(label, classes)))
    return data.apply(tf.data.experimental.assert_cardinality(-(-len(images) // batch))).prefetch(2)


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


def _decode_to(path: Path, pool: ImageSet, shape: tuple[int, int, int, int], resize: str) -> np.ndarray:
    _, resolution, _, channels = shape
    decoded = pool.images(lambda image: prepare(image, resolution, channels, resize))
    counted = tqdm(decoded, "decoding", total=shape[0], unit="image", leave=False, delay=1, disable=None)
    try:
        with _reserved(path, shape) as array:
            for number, image in enumerate(counted):
                array[number] = image
    except _NoRoomError:  # a read-only or full disk: keep the images in memory
        return np.stack(list(counted))
    return np.lib.format.open_memmap(path, "r")


class _NoRoomError(Exception):
    """The cache cannot be written."""


@contextlib.contextmanager
def _reserved(path: Path, shape: tuple[int, ...]) -> Iterator[np.memmap]:
    """Yields an array to be filled, which becomes the file `path`; raises _NoRoomError if that cannot be written."""
    with contextlib.ExitStack() as until_filled:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.rmtree(path)
            array = _reserve(until_filled.enter_context(files.draft(path)), shape)
        except OSError as error:
            raise _NoRoomError from error
        yield array
        array.flush()


def _reserve(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """Returns an array in the file `path` whose room on the disk is taken: a map on a full disk would kill us."""
    array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
