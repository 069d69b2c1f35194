"""Speed of augmentation: ours, the layers of keras_cv and keras inside tf.data, and the same operations in PIL.

Batches of 64 noise images. The layers run in `Dataset.map(…, num_parallel_calls=2)`, PIL in two processes that send
their batches to this one. The layers of the libraries draw other operations and magnitudes than the papers; keras_cv's
RandAugment has our probability of 0.5. The regimes in PIL are ours. All four take turns in every round. Images per
second are the median of the rounds.

    python benchmarks/augment.py [--quick] [--json]
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import augment_pil

from tinytrain import tables

BATCH, CLASSES, PROCESSES = 64, 100, 2
REGIMES = {
    "RandAugment(2, 9)": {"randaugment": 2},
    "AugMix m5-w3": {"augmix": True},
    "MixUp": {"mixup": 0.2},
    "CutMix": {"cutmix": 1.0},
}


def layers(regime):
    """Returns {library: function that makes its layer}, with the settings nearest to the regime."""
    import keras
    import keras_cv

    return {
        "RandAugment(2, 9)": {
            "keras_cv": lambda: keras_cv.layers.RandAugment((0, 255), 2, 0.9, rate=0.5),
            "keras": lambda: keras.layers.RandAugment((0, 255), 2, 0.9),
        },
        "AugMix m5-w3": {
            "keras_cv": lambda: keras_cv.layers.AugMix((0, 255), 0.5, 3, [1, 3]),
            "keras": lambda: keras.layers.AugMix((0, 255), 3, 3, 0.5),
        },
        "MixUp": {"keras_cv": lambda: keras_cv.layers.MixUp(0.2), "keras": lambda: keras.layers.MixUp(0.2)},
        "CutMix": {"keras_cv": lambda: keras_cv.layers.CutMix(1.0), "keras": lambda: keras.layers.CutMix((1.0, 1.0))},
    }[regime]


def ours(regime, side):
    """Returns tinytrain's regime as a function of (step, images, labels)."""
    import tensorflow as tf

    from tinytrain.config.schema import Augment
    from tinytrain.data.augment.augmentation import Augmentation

    augmentation = Augmentation(Augment(flip=False, crop=0.0, **REGIMES[regime]), side)
    return lambda step, images, labels: augmentation(images, labels, tf.stack([tf.constant(0, tf.int64), step]))


def library(regime, contestant):
    """Returns the layer of a library as a function of (step, images, labels)."""
    layer = layers(regime)[contestant]()
    if regime in ("MixUp", "CutMix"):
        return lambda step, images, labels: layer({"images": images, "labels": labels})
    return lambda step, images, labels: layer(images)


def batches(change, side):
    """Returns an endless iterator over augmented batches."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (BATCH, side, side, 3), dtype=np.uint8))
    labels = tf.one_hot(random.integers(0, CLASSES, BATCH), CLASSES)
    data = tf.data.Dataset.range(1 << 40).map(
        lambda step: change(step, images, labels), num_parallel_calls=2, deterministic=True
    )
    return iter(data)


def speed(iterator, seconds):
    """Returns images per second, after discarding the batches that were computed during the turns of others."""
    for _ in range(4):
        next(iterator)
    start, count = time.perf_counter(), 0
    while count < 4 or time.perf_counter() - start < seconds:
        next(iterator)
        count += 1
    return count * BATCH / (time.perf_counter() - start)


def pil_speed(pool, regime, seconds):
    """Returns images per second of two processes that always have work."""
    waiting = [pool.apply_async(augment_pil.batch, (regime,)) for _ in range(2 * PROCESSES)]
    start, count = time.perf_counter(), 0
    while count < 4 or time.perf_counter() - start < seconds:
        waiting.pop(0).get()
        waiting.append(pool.apply_async(augment_pil.batch, (regime,)))
        count += 1
    images_per_second = count * BATCH / (time.perf_counter() - start)
    for remaining in waiting:
        remaining.get()
    return images_per_second


def measure(regime, side, seconds, rounds):
    """Returns one row of the table."""
    changes = {"ours": ours(regime, side)} | {name: library(regime, name) for name in ("keras_cv", "keras")}
    iterators = {name: batches(change, side) for name, change in changes.items()}
    speeds = {name: [] for name in (*changes, "pil")}
    with multiprocessing.get_context("spawn").Pool(PROCESSES, augment_pil.begin, (1, side, BATCH)) as pool:
        pil_speed(pool, regime, 0)  # waits until the workers have started
        for _ in range(rounds):
            speeds["pil"].append(pil_speed(pool, regime, seconds))
            for name, iterator in iterators.items():
                speeds[name].append(speed(iterator, seconds))
    row = {"regime": regime, "pixels": side}
    return row | {f"{name}_images_per_second": round(statistics.median(values)) for name, values in speeds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="32 and 96 pixels, one round, under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    options = parser.parse_args()
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    rows = []
    cells = [("regime", "pixels", "ours", "keras_cv", "keras", "Pillow, 2 processes")]
    for side in (32, 96) if options.quick else (32, 96, 224):
        for regime in REGIMES:
            row = measure(regime, side, 0.7 if options.quick else 1.5, 1 if options.quick else 3)
            rows.append(row)
            speeds = (f"{row[f'{name}_images_per_second']:,}" for name in ("ours", "keras_cv", "keras", "pil"))
            cells.append((regime, str(side), *speeds))
            print(*cells[-1], file=sys.stderr, flush=True)
    print(tables.markdown(cells, "<>>>>>"))
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
