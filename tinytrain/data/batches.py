"""From images to batches, taken by the number of the step.

Everything random is a function of (seed, step), never of what was drawn before: a run that is killed and resumed sees
the batches that it would have seen. Images are read when a batch needs them, by their numbers, out of the files that
they were decoded into (`decoding`): a dataset may be larger than the memory.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tinytrain.data.augment.generator import Share
from tinytrain.data.images import Samples, for_training

Augment = Any  # (pixels, targets, seed[, share]) -> (pixels, targets); with `rows`, as `augment.augmentation` has it
Encode = Callable[[tf.Tensor, tf.Tensor], Any]  # (annotations (B, …), transforms (B, 4)) -> targets: `Task.encode`


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
        return for_training(images, chosen, seed, int(step)), annotations[chosen], transforms[chosen]

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
    return untuned(numbers.map(load, num_parallel_calls=2, deterministic=True).prefetch(4))


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
    return untuned(data.apply(tf.data.experimental.assert_cardinality(-(-len(samples.images) // batch))).prefetch(2))


def untuned(data: tf.data.Dataset) -> tf.data.Dataset:
    """Returns `data` without the thread that tunes parallelism and buffers, which are fixed here.

    Whoever is done with an iterator waits until that thread wakes up. It sleeps longer and longer, up to a minute, so
    that a training of a minute or more stood still for up to a minute at its end (benchmarks/train_end.py).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


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
