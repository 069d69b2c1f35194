"""Training speed with images out of shards on the disk against images in memory.

The same network is trained on the same batches, an epoch from the one and an epoch from the other in turn, with the
default augmentation. The share is the median of the rounds; the processor time of an image, of all threads, tells the
same on a machine that does other things as well. With --cold the shards are dropped from the page cache
before each of their epochs, so that every image comes from the disk.

    python benchmarks/shard_speed.py [--images 1280] [--rounds 15] [--cold] [--folder FOLDER]
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from tinytrain.config import plugins, schema
from tinytrain.data import batches, decoding
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.data.images import Samples
from tinytrain.data.source import ImageSet
from tinytrain.train import optimizers
from tinytrain.train.method import Method

CASES = [("mobilenet_v1", 0.25, 96), ("mobilenet_v2", 0.35, 96), ("mobilenet_v1", 0.25, 32)]
CLASSES, BATCH = 10, 64


def shards_of(pixels: np.ndarray):
    """Returns the images of an array out of shards on the disk."""

    def images(prepare, numbers):
        return (prepare(Image.fromarray(pixels[number])) for number in numbers.tolist())

    names = [str(number) for number in range(len(pixels))]
    image_set = ImageSet(np.zeros(len(pixels), int), names, f"noise {pixels.shape}", images)
    return decoding.decode(image_set, pixels.shape[1], 3, "stretch")[0]


def drop(folder: Path) -> None:
    """Drops the files below a folder from the page cache."""
    for path in folder.rglob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Trains in turn and prints a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1280)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cold", action="store_true", help="read every image from the disk")
    parser.add_argument("--folder", type=Path, help="where the shards are written, by default the temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        print("                               images a second                 processor ms an image")
        print("network        width  pixels  from memory  from shards  share  from memory  from shards")
        for name, width, side in CASES:
            random, steps = np.random.default_rng(0), options.images // BATCH
            pixels = random.integers(0, 256, (options.images, side, side, 3), dtype=np.uint8)
            labels = random.integers(0, CLASSES, options.images)
            sources = {"memory": Samples.of(pixels, labels), "shards": Samples.of(shards_of(pixels), labels)}
            model = plugins.load("models", name).build(classes=CLASSES, resolution=side, channels=3, width=width)
            method, config = Method(model), schema.Config(augment=schema.Augment(flip=True))
            loss = keras.losses.CategoricalCrossentropy(from_logits=True)
            method.compile(optimizers.build(config.optim, steps), loss, metrics=[], jit_compile=False)
            augmentation = Augmentation(config.augment, side)
            speeds, used = ({"memory": [], "shards": []} for _ in range(2))
            for number in range(options.rounds + 1):  # the first round is the warm-up
                for kind in sorted(sources, reverse=bool(number % 2)):
                    if options.cold and kind == "shards":
                        drop(Path(cache))
                    data = batches.training_batches(
                        sources[kind], lambda label, _: tf.one_hot(label, CLASSES), BATCH, 0, range(steps), augmentation
                    )
                    begin, processor = time.perf_counter(), time.process_time()
                    method.fit(data, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)
                    speeds[kind].append(steps * BATCH / (time.perf_counter() - begin))
                    used[kind].append(1e3 * (time.process_time() - processor) / (steps * BATCH))
            share = statistics.median(b / a for a, b in zip(speeds["memory"][1:], speeds["shards"][1:], strict=True))
            memory, shards = (statistics.median(speeds[kind][1:]) for kind in ("memory", "shards"))
            row = f"{name:13} {width:6} {side:7} {memory:12,.0f} {shards:12,.0f}  {share:5.3f}"
            print(row, *(f"{statistics.median(used[kind][1:]):12.3f}" for kind in ("memory", "shards")), flush=True)


if __name__ == "__main__":
    main()
