"""Training speed of MobileNetV2 0.35 with each augmentation regime, relative to no augmentation.

One network is trained on batches of each regime in turn, in one process; the regimes share only the network. Batches
that were prepared while another regime trained are used up before the clock starts. Images per second and their ratio
to "none" are medians of the rounds.

    python benchmarks/regime_speed.py [--quick] [--json]
"""

import argparse
import json
import statistics
import time
from typing import Any

from tinytrain.data.images import Samples
from tinytrain.quiet import import_tensorflow

import_tensorflow()

import keras
import numpy as np
import tensorflow as tf

from tinytrain import tables
from tinytrain.config import plugins, schema
from tinytrain.data import batches
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.train import optimizers
from tinytrain.train.method import Method

BATCH, CLASSES = 64, 10
PREPARED = 8  # batches at most that wait ready, in the prefetch of the pipeline and its two threads
NONE: dict[str, Any] = {"flip": False, "crop": 0.0}
CLASSICAL: dict[str, Any] = {"flip": True}
REGIMES: dict[str, dict[str, Any]] = {
    "none": NONE,
    "classical": CLASSICAL,
    "MixUp": NONE | {"mixup": 0.2},
    "CutMix": NONE | {"cutmix": 1.0},
    "RandAugment": NONE | {"randaugment": 2},
    "AugMix": NONE | {"augmix": True},
}


def measure(resolution: int, steps: int, rounds: int) -> list[dict[str, Any]]:
    """Returns a row for each regime."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16 * BATCH, resolution, resolution, 3), dtype=np.uint8)
    labels = random.integers(0, CLASSES, len(images))
    model = plugins.load("models", "mobilenet_v2").build(classes=CLASSES, resolution=resolution, channels=3, width=0.35)
    method = Method(model)
    method.compile(
        optimizers.build(schema.Optim(name="sgd"), steps),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    method.optimizer.build(method.trainable_variables)
    method.make_train_function()
    train = method.train_function
    sources = {}
    for name, options in REGIMES.items():
        augmentation = Augmentation(schema.Augment(**options), resolution)
        numbers = range((rounds + 1) * (steps + PREPARED))
        sources[name] = iter(
            batches.training_batches(
                Samples.of(images, labels), lambda label, _: tf.one_hot(label, CLASSES), BATCH, 0, numbers, augmentation
            )
        )
    seconds: dict[str, list[float]] = {name: [] for name in REGIMES}
    for _ in range(rounds + 1):
        for name, source in sources.items():
            for _ in range(PREPARED):
                train(source)
            start = time.perf_counter()
            for _ in range(steps):
                loss = train(source)["loss"]
            float(loss)  # waits for the last step
            seconds[name].append(time.perf_counter() - start)
    rows = []
    for name, rounds_seconds in seconds.items():
        timed = rounds_seconds[1:]  # the first round is the warm-up
        ratios = [none / own for none, own in zip(seconds["none"][1:], timed, strict=True)]
        speed = statistics.median(steps * BATCH / own for own in timed)
        row = {"resolution": resolution, "regime": name, "images_per_second": round(speed)}
        rows.append(row | {"ratio": round(statistics.median(ratios), 3)})
    return rows


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer steps and rounds")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    options = parser.parse_args()
    rows = []
    cells = [("pixels", "regime", "images per second", "ratio to none")]
    for resolution in (32, 96):
        for row in measure(resolution, 10 if options.quick else 30, 3 if options.quick else 7):
            rows.append(row)
            cells.append((str(resolution), row["regime"], f"{row['images_per_second']:,}", f"{row['ratio']:.2f}"))
    print(tables.markdown(cells, "><>>"))
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
