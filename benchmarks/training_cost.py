"""Cost of a training step on one core: processor seconds for an image, and a fit of them to the MACs of the network.

The plane t = overhead + a·(MACs of other layers) + b·(depthwise MACs) is fitted to plain steps of several networks by
least squares of the relative errors. The result stands in tinytrain/nn/step_cost.py as constants, with
machine and date. Methods and augmentations follow, as multiples of the plain step of the same network. Processor time
is measured instead of wall time, because other jobs on the machine hardly change it. The images are noise.

    python benchmarks/training_cost.py [--quick] [--json]
"""

import argparse
import json
import os
import sys
import time

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # before TensorFlow counts the cores

from tinytrain.data.images import Samples
from tinytrain.nn.build import build_model
from tinytrain.quiet import import_tensorflow

import_tensorflow()

import keras
import numpy as np
import tensorflow as tf

from tinytrain import tables
from tinytrain.config import load as configs
from tinytrain.data import batches as pipeline
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.nn import macs
from tinytrain.train import task, trainer
from tinytrain.train.method import TrainingContext

CLASSES = 100
NETWORKS = [  # model, width, resolution, stem, batch
    ("mobilenet_v2_tiny", 0.35, 32, "imagenet", 64),
    ("mobilenet_v1", 0.25, 32, "cifar", 64),
    ("mobilenet_v2_tiny", 0.35, 144, "imagenet", 32),
    ("mobilenet_v1", 1.0, 32, "cifar", 64),
    ("mcunet", 1.0, 176, "imagenet", 16),
    ("mobilenet_v2", 1.0, 160, "imagenet", 16),
    ("mobilenet_v3_large", 1.0, 224, "imagenet", 16),
    ("efficientnet_b0", 1.0, 224, "imagenet", 8),
    ("resnet50", 1.0, 224, "imagenet", 8),
]
VARIED = [NETWORKS[0], NETWORKS[2]]
VARIANTS = [
    "augment.resized_crop=0.08",
    "augment.randaugment=2",
    "augment.autoaugment=true",
    "augment.augmix=true",
    "augment.mixup=0.2",
    "method=netaug",
    "method=dropblock",
    "method=sam",
    "method=dml",
    "method=dml+sam",
    "method=am_softmax",
]


def seconds_per_image(overrides, steps):
    """Returns (processor seconds of a training step for an image, MACs of the network, its depthwise MACs)."""
    config = configs.load(
        None, ["augment.crop=0", "augment.flip=true", "device.jit=false", "optim.warmup_epochs=0", *overrides]
    )
    config = configs.apply(config, ["model.channels=3", "device.precision=float32", "am_softmax.scale=10"])
    if config.netaug.width_factors == "auto":
        config.netaug.width_factors = [1.0, 1.8, 2.6]
    resolution, batch = int(config.model.resolution), config.optim.batch
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch * 4, resolution, resolution, 3), dtype=np.uint8)
    labels = random.integers(0, CLASSES, len(images))
    augmentation = Augmentation(config.augment, resolution)

    def batches(seed, count):
        return pipeline.training_batches(
            Samples.of(images, labels), lambda label, _: tf.one_hot(label, CLASSES), batch, seed, count, augmentation
        )

    training = TrainingContext(4, batch, lambda seed, n: batches(seed, range(n)), [str(n) for n in range(CLASSES)])
    model = build_model(config, CLASSES)
    method = trainer.build_method(model, config, training)
    trainer.compile_method(method, task.of(config, [str(n) for n in range(CLASSES)]), config.optim, 4)
    method.make_train_function()
    source, start = iter(batches(0, range(steps + 20))), 0.0
    for step in range(steps + 4):  # the 16 batches beyond keep as many ready at the end as at the start
        if step == 4:  # traced by now
            start = time.process_time()
        method.train_function(source)
    depthwise = [layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    seconds = (time.process_time() - start) / steps / batch
    return seconds, macs.count(model), sum(map(macs.of_layer, depthwise))


def fitted(rows):
    """Returns (overhead, a, b) with the least squares of the relative errors."""
    seconds = np.array([row["ms_per_image"] / 1e3 for row in rows])
    counts = [[1, row["macs"] - row["depthwise_macs"], row["depthwise_macs"]] for row in rows]
    design = np.array(counts) / seconds[:, None]
    return np.linalg.lstsq(design, np.ones(len(rows)), rcond=None)[0]


def overrides_of(name, width, resolution, stem, batch):
    return [
        f"model.name={name}",
        f"model.width={width}",
        f"model.resolution={resolution}",
        f"model.stem={stem}",
        f"optim.batch={batch}",
    ]


def name_of(network):
    return f"{network[0]} {network[1]:g} at {network[2]}"


def measured(networks, steps):
    """Prints and returns a row for each network."""
    rows = []
    for network in networks:
        seconds, count, depthwise = seconds_per_image(overrides_of(*network), steps)
        row = {"network": name_of(network), "macs": count, "depthwise_macs": depthwise, "ms_per_image": 1e3 * seconds}
        rows.append(row)
        print(f"{row['network']}: {1e3 * seconds:.2f} ms an image", file=sys.stderr, flush=True)
    return rows


def estimated(rows):
    """Adds the estimate to each row, and prints the constants, and the errors as a table."""
    cells = [("network", "MACs", "measured, ms an image", "estimated", "")]
    overhead, dense, depthwise = fitted(rows)
    print(f"overhead {overhead:.3g} s an image, {dense:.3g} s a MAC, {depthwise:.3g} s a depthwise MAC")
    for row in rows:
        others = row["macs"] - row["depthwise_macs"]
        row["estimate_ms"] = 1e3 * (overhead + dense * others + depthwise * row["depthwise_macs"])
        error = 100 * (row["estimate_ms"] / row["ms_per_image"] - 1)
        figures = (f"{row['macs'] / 1e6:,.1f} M", f"{row['ms_per_image']:.2f}", f"{row['estimate_ms']:.2f}")
        cells.append((row["network"], *figures, f"{error:+.0f} %"))
    print(tables.markdown(cells, "<>>>>"))


def varied(network, plain, variants, steps):
    """Prints and returns a row for each variant of a network; `plain` is the ms per image of its plain step."""
    rows = []
    for variant in variants:
        ms = 1e3 * seconds_per_image([*overrides_of(*network), variant], steps)[0]
        rows.append({"network": name_of(network), "variant": variant, "times_plain": ms / plain, "more_ms": ms - plain})
        print(f"{name_of(network):32} {variant:28}{ms / plain:6.2f} times, {ms - plain:+.2f} ms", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="four networks, two variants, three steps")
    parser.add_argument("--json", action="store_true", help="one JSON line last")
    options = parser.parse_args()
    steps = 3 if options.quick else 12
    rows = measured(NETWORKS[:4] if options.quick else NETWORKS, steps)
    estimated(rows)
    for network in VARIED:
        plain = next(row["ms_per_image"] for row in rows if row["network"] == name_of(network))
        rows += varied(network, plain, VARIANTS[:2] if options.quick else VARIANTS, steps)
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
