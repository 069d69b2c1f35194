"""What a training step costs a core: seconds of processor time for an image and a network, against its MACs.

The line t = overhead + MACs · seconds_per_mac is fitted to plain steps of several networks, by least squares of the
relative error; tinytrain/training_cost.py holds the result as constants, with machine and date. Then the same for
methods and augmentations, as multiples of the plain step of the same network. Processor time is used, not the clock:
other work on the machine hardly changes it. Images are noise.

    taskset -c 0 python benchmarks/training_cost.py [--quick] [--json]
"""

import argparse
import json
import time

from tinytrain.quiet import import_tensorflow

import_tensorflow()

import numpy as np  # noqa: E402

from tinytrain import config as configs  # noqa: E402
from tinytrain import macs, pipeline, trainer  # noqa: E402
from tinytrain.augment import Augmentation  # noqa: E402
from tinytrain.method import Training  # noqa: E402

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
VARIANTS = [  # of the third network and of the fourth
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


def seconds_per_image(words, steps):
    """Returns (processor seconds for an image of a training step, MACs of the network)."""
    config = configs.load(
        None, ["augment.crop=0", "augment.flip=true", "device.jit=false", "optim.warmup_epochs=0", *words]
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
        return pipeline.training_batches(images, labels, CLASSES, batch, seed, count, augmentation)

    training = Training(4, batch, lambda seed, n: batches(seed, range(n)), [str(n) for n in range(CLASSES)])
    model = trainer.build_model(config, CLASSES)
    method = trainer.build_method(model, config, training)
    trainer.compile_method(method, config, 4, CLASSES)
    method.make_train_function()
    source, begun = iter(batches(0, range(steps + 4))), 0.0
    for step in range(steps + 4):
        if step == 4:  # traced, and the batches that lie ready are as many as at the end
            begun = time.process_time()
        method.train_function(source if False else iter([next(source)]))
    return (time.process_time() - begun) / steps / batch, macs.count(model)


def fitted(rows):
    """Returns (overhead, seconds_per_mac) that make the squares of the relative errors least."""
    seconds = np.array([row["ms_per_image"] / 1e3 for row in rows])
    design = np.stack([np.ones(len(rows)), [row["macs"] for row in rows]], axis=1) / seconds[:, None]
    return np.linalg.lstsq(design, np.ones(len(rows)), rcond=None)[0]


def words_of(name, width, resolution, stem, batch):
    return [
        f"model.name={name}",
        f"model.width={width}",
        f"model.resolution={resolution}",
        f"model.stem={stem}",
        f"optim.batch={batch}",
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    steps, networks = (3, NETWORKS[:4]) if options.quick else (12, NETWORKS)
    rows = []
    for network in networks:
        seconds, count = seconds_per_image(words_of(*network), steps)
        rows.append(
            {"network": f"{network[0]} {network[1]:g} at {network[2]}", "macs": count, "ms_per_image": 1e3 * seconds}
        )
        print(f"{rows[-1]['network']:32}{count / 1e6:10.1f} M MACs{1e3 * seconds:10.2f} ms an image", flush=True)
    overhead, per_mac = fitted(rows)
    print(f"overhead {1e3 * overhead:.3f} ms an image, {1e12 * per_mac:.2f} ps a MAC")
    for row in rows:
        row["estimate_ms"] = 1e3 * (overhead + per_mac * row["macs"])
        print(f"{row['network']:32}{row['estimate_ms']:10.2f} ms, {row['estimate_ms'] / row['ms_per_image'] - 1:+.0%}")
    for network in [NETWORKS[2], NETWORKS[3]]:
        plain = next(
            row["ms_per_image"]
            for row in rows
            if row["network"].startswith(f"{network[0]} {network[1]:g} at {network[2]}")
        )
        for variant in VARIANTS[:2] if options.quick else VARIANTS:
            if network is NETWORKS[3] and variant in ("method=netaug",):
                continue
            seconds, _ = seconds_per_image([*words_of(*network), variant], steps)
            row = {"network": network[0], "variant": variant, "times_plain": 1e3 * seconds / plain}
            rows.append(row | {"extra_ms": 1e3 * seconds - plain})
            print(
                f"{network[0]:20} {variant:28}{row['times_plain']:6.2f} times, {1e3 * seconds - plain:+.2f} ms",
                flush=True,
            )
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
