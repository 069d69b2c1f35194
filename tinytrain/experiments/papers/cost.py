"""How long a training takes on one core of this machine, estimated from its config before anything is trained.

    seconds of a step for an image = OVERHEAD + DENSE·(MACs of what is not depthwise) + DEPTHWISE·(depthwise MACs)
    seconds of a run               = epochs · (images · that · TIMES of the methods + val images · that / 3) + search

The constants are measured, see below; a forward pass is taken as a third of a step. Plain steps of nine networks are
met within 30 %; augmentation adds less than 0.1 of a step. Enough to tell an hour from a day, no more.
"""

import functools
import math
from pathlib import Path

import keras

from tinytrain.config import catalog, plugins
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.experiments.papers.tables import Table, every_config
from tinytrain.nn import macs, pretrained
from tinytrain.train.lr_search import defaults

# `taskset -c 0 python benchmarks/training_cost.py` on 2026-11-25: processor seconds on one of two x86-64 cores with
# AVX-512, TensorFlow 2.21, float32, other work beside it.
CAPTION = (
    "estimated from MACs, at speeds measured on one of two x86-64 cores with AVX-512, 2026-11-25; within a factor of 2"
)
OVERHEAD, DENSE, DEPTHWISE = 5.9e-4, 8.0e-11, 1.15e-9  # seconds, seconds a MAC, seconds a depthwise MAC
# A step as a multiple of a plain one. NetAug: the means of both halves of the table in docs/training-methods.md.
TIMES = {"netaug": 3.2, "distill": 1.0, "dml": 2.0, "sam": 2.0, "dropblock": 1.1, "am_softmax": 1.0, "tinytl": 0.8}
IMAGES = {"imagenet100": 128_117, "birdsnap": 47_386, "imagenet21k": 11_060_223, "visual_wake_words": 82_783}


def hours(table: Table) -> float:
    """Returns the core hours of a table at full size with one seed.

    A training that may end early counts whole, unless the table has the paper's epochs; a teacher that the table trains
    adds a forward pass to its student's steps.
    """
    configs_of = list(every_config(table))
    networks = {arm.folder: config for arm, config in configs_of}
    total = 0.0
    for arm, config in configs_of:
        taught = "distill" in configs.methods(config)
        teacher = next((networks[part] for part in Path(config.distill.teacher).parts if part in networks), None)
        total += seconds(config, int(arm.paper.get("epochs", config.optim.epochs)), teacher if taught else None)
    return total / 3600


def seconds(config: Config, epochs: int, teacher: Config | None = None) -> float:
    """Returns the core seconds of a run of one of the named datasets, its search and its teacher's answers included."""
    train, val = _images(config)
    classes = catalog.ROWS[config.data.spec.partition(":")[0]].classes
    plain = seconds_per_image(config, classes)
    factor = math.prod(TIMES[name] for name in configs.methods(config))
    answers = seconds_per_image(teacher, classes) / 3 if teacher else 0.0
    epoch = train * (plain * factor + answers) + val * plain / 3
    return epochs * epoch + _searched(config) * (train * plain + val * plain / 3)


def seconds_per_image(config: Config, classes: int) -> float:
    """Returns the core seconds of a plain step for one image."""
    options = pretrained.architecture_options(config.model) | {"dropout": 0.0}
    dense, depthwise, features = _macs(config.model.name, tuple(sorted(options.items())))
    return OVERHEAD + DENSE * (dense + features * classes) + DEPTHWISE * depthwise


def _searched(config: Config) -> int:
    """Returns the epochs of the search for the learning rate, none of them pruned."""
    search = config.search
    epochs = defaults.epochs(search.way) if search.epochs == "auto" else search.epochs
    return {"tpe": search.trials * epochs, "grid": search.points * epochs, "range": 2}.get(search.way, 0)


@functools.cache
def _macs(name: str, options: tuple) -> tuple[int, int, int]:
    """Returns the MACs of one image in (all else, depthwise convolutions), and those of the classifier for a class."""
    given = {key: value for key, value in options if value != "auto"}
    module = plugins.load("models", name)
    model = module.build(**{"channels": 3, "stem": "imagenet"} | module.DEFAULTS | given | {"classes": 2})
    depthwise = sum(macs.of_layer(layer) for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D))
    classifier = macs.of_layer(model.layers[-1])
    return macs.count(model) - depthwise - classifier, depthwise, classifier // 2


def _images(config: Config) -> tuple[int, int]:
    """Returns the images of (train, val), from the counts of the dataset's row."""
    name = config.data.spec.partition(":")[0]
    row = catalog.ROWS[name]
    rule = row.split if config.data.split == "auto" else config.data.split
    counts = dict(row.images)
    train = IMAGES.get(name, counts.get("train", 0))
    if rule in ("paper", "random"):
        train = sum(counts.values()) - row.paper if counts else train
    elif rule == "trainval":
        train += counts.get("val", 0)
    elif "val" in counts:
        return train, counts["val"]
    val = config.data.val_images or round(config.data.val_fraction * train)
    return train - val, val
