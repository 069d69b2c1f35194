"""Speed of the augmentation of images with boxes, on one core: each operation alone, all of them, and with MixUp.

Batches of 32 images of 320 x 320 pixels with 30 boxes each become 160 x 160, inside of `Dataset.map`. The images are
noise, or those of a folder; a plain resizing by Pillow stands beside them. Each row is the median of its rounds.

    python benchmarks/box_augmentation.py [--images FOLDER] [--quick] [--json]
"""

import argparse
import itertools
import json
import os
import statistics
import time
from pathlib import Path

BATCH, BOXES, CANVAS, RESOLUTION = 32, 30, 320, 160
OFF = {"flip": False, "crop": 0.0, "distort": False, "expand": 0.0, "iou_crop": False}
USUAL = {"flip": True, "distort": True, "expand": 0.5, "iou_crop": True}
CONFIGS = {
    "resize alone": {},
    "flip": {"flip": True},
    "distort": {"distort": True},
    "expand": {"expand": 0.5},
    "crop": {"iou_crop": True},
    "all of these": USUAL,
    "all and MixUp": USUAL | {"mixup": 1.5},
}


def samples(folder):
    """Returns images (BATCH, CANVAS, CANVAS, 3) uint8 and random targets (BATCH, BOXES, 6)."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH, CANVAS, CANVAS, 3), dtype=np.uint8)
    if folder:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not paths:
            raise SystemExit(f"{folder} has no JPEG and no PNG: name a folder of images with --images")
        for number, path in zip(range(BATCH), itertools.cycle(paths), strict=False):
            images[number] = Image.open(path).convert("RGB").resize((CANVAS, CANVAS), Image.Resampling.BILINEAR)
    corner = random.uniform(0, 0.8, (BATCH, BOXES, 2))
    targets = np.ones((BATCH, BOXES, 6), np.float32)
    targets[..., 0] = random.integers(0, 3, (BATCH, BOXES))
    targets[..., 1:3] = corner * CANVAS
    targets[..., 3:5] = (corner + random.uniform(0.05, 0.2, (BATCH, BOXES, 2))) * CANVAS
    return images, targets


def batches(config, images, targets):
    """Returns an endless iterator over augmented batches."""
    import tensorflow as tf

    from tinytrain.config.schema import Augment
    from tinytrain.data.augment.boxes import BoxAugmentation

    augmentation = BoxAugmentation(Augment(**(OFF | config)), RESOLUTION)
    images, targets = tf.constant(images), tf.constant(targets)
    steps = tf.data.Dataset.range(1 << 40)
    return iter(steps.map(lambda step: augmentation(images, targets, tf.stack([tf.constant(0, tf.int64), step]))))


def pil(images):
    """Returns an endless iterator over batches that Pillow resizes."""
    import numpy as np
    from PIL import Image

    size = (RESOLUTION, RESOLUTION)
    while True:
        yield np.stack([Image.fromarray(image).resize(size, Image.Resampling.BILINEAR) for image in images])


def speed(iterator, seconds):
    """Returns images per second."""
    next(iterator)
    start, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - start < seconds:
        next(iterator)
        count += 1
    return count * BATCH / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="a folder of JPEGs or PNGs")
    parser.add_argument("--quick", action="store_true", help="one round of each")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before TensorFlow counts the cores
    from tinytrain.quiet import import_tensorflow

    import_tensorflow()
    images, targets = samples(options.images)
    iterators = {name: batches(config, images, targets) for name, config in CONFIGS.items()} | {"Pillow": pil(images)}
    rounds = {name: [] for name in iterators}
    for _ in range(1 if options.quick else 5):
        for name, iterator in iterators.items():
            rounds[name].append(speed(iterator, 0.7 if options.quick else 1.5))
    rows = {name: round(statistics.median(values)) for name, values in rounds.items()}
    for name, value in rows.items():
        print(f"{name:16} {value:6,} images a second")
    if options.json:
        print(json.dumps({"images_per_second": rows}))


if __name__ == "__main__":
    main()
