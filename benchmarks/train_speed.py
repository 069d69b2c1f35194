"""Training speed of `tinytrain fit` with its default settings against the same network in a plain Keras loop.

The plain loop is what a user would write: Keras layers, Keras' SGD with momentum, float32 images in memory, `model.fit`
and XLA off (Keras' default, XLA on, is slower on the CPU). Ours also augments, decays weights and writes checkpoints.
Both train in turn on the same noise, in one process, after a warm-up. Images per second are the median of the rounds.

    python benchmarks/train_speed.py [--quick] [--json]
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tinytrain.data.images import Samples
from tinytrain.quiet import import_tensorflow

import_tensorflow()

import keras
import numpy as np
import tensorflow as tf

from tinytrain import tables
from tinytrain.config import plugins, schema
from tinytrain.data import batches as pipeline
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.run import Run
from tinytrain.train import optimizers
from tinytrain.train.callbacks import StopAtNaN
from tinytrain.train.checkpoint import Checkpoint
from tinytrain.train.method import Method

CASES = [("mobilenet_v2", 0.35, 32, 64), ("mobilenet_v2", 0.35, 96, 64), ("mobilenet_v1", 0.25, 96, 64)]
CLASSES = 10


def plain_epoch(model, images, labels, batch):
    """Returns a function that trains one epoch in a plain Keras loop and returns its seconds."""
    x, y = (images.astype("float32") - 128) / 128, np.eye(CLASSES, dtype="float32")[labels]
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=["accuracy"],
        jit_compile=False,
    )

    def epoch():
        start = time.perf_counter()
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)
        return time.perf_counter() - start

    return epoch


class Alternate(keras.callbacks.Callback):
    """Times each of our epochs with its checkpoint, and then lets the other contestant train an epoch."""

    def __init__(self, checkpoint, other):
        super().__init__()
        self.checkpoint, self.other, self.seconds = checkpoint, other, []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.checkpoint.set_model(self.model)
        self.checkpoint.on_epoch_end(epoch, {"val_top1": 0.0, "loss": logs["loss"]})
        seconds = time.perf_counter() - self.start
        self.seconds.append((seconds, self.other()))


def measure(name, width, resolution, batch, count, rounds):
    """Returns one row of the table."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, resolution, resolution, 3), dtype=np.uint8)
    labels = random.integers(0, CLASSES, count)
    build = plugins.load("models", name).build
    plain_model, our_model = (build(classes=CLASSES, resolution=resolution, channels=3, width=width) for _ in range(2))
    config = schema.Config(augment=schema.Augment(flip=True))
    steps = count // batch
    method = Method(our_model)
    method.compile(
        optimizers.build(config.optim, steps),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=[keras.metrics.CategoricalAccuracy("top1")],
        jit_compile=False,
    )
    augmentation = Augmentation(config.augment, resolution)
    batches = pipeline.training_batches(
        Samples.of(images, labels),
        lambda label, _: tf.one_hot(label, CLASSES),
        batch,
        0,
        range((rounds + 1) * steps),
        augmentation,
    )
    with tempfile.TemporaryDirectory() as folder:
        alternate = Alternate(Checkpoint(Run(Path(folder)), []), plain_epoch(plain_model, images, labels, batch))
        method.fit(
            batches,
            steps_per_epoch=steps,
            epochs=rounds + 1,
            verbose=0,
            shuffle=False,
            callbacks=[StopAtNaN(), alternate],
        )
    pairs = alternate.seconds[1:]  # the first round is the warm-up
    speed = lambda index: round(statistics.median(steps * batch / pair[index] for pair in pairs), 1)  # noqa: E731
    return {
        "model": name,
        "width": width,
        "resolution": resolution,
        "plain_keras_images_per_second": speed(1),
        "ours_images_per_second": speed(0),
        "ratio": round(statistics.median(pair[1] / pair[0] for pair in pairs), 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer images and rounds, under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    options = parser.parse_args()
    rows = []
    cells = [("network", "plain Keras", "ours", "ratio")]
    for name, width, resolution, batch in CASES:
        count = (1024 if resolution > 64 else 4096) // (4 if options.quick else 1)
        row = measure(name, width, resolution, batch, count, 3 if options.quick else 7)
        rows.append(row)
        speeds = [f"{row[f'{whose}_images_per_second']:,.0f}" for whose in ("plain_keras", "ours")]
        cells.append((f"{name} {width:g} at {resolution}x{resolution}", *speeds, f"{row['ratio']:.2f}"))
        print(*cells[-1], file=sys.stderr, flush=True)
    print(tables.markdown(cells, "<>>>"))
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
