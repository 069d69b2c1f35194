"""Estimates the core seconds of a training from its config, before anything is trained.

    run = epochs · (images · step · FACTORS of its methods + val images · step / 3) + search

A step for an image is that of nn/step_cost.py. A forward pass counts as a third of a step, and augmentation adds less
than 0.1 of a step. That is enough to tell an hour from a day.
"""

import functools
import math
from pathlib import Path

import keras

from tinytrain.config import dataset_catalog, plugins
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data import boxes
from tinytrain.experiments.papers.tables import Table, every_config
from tinytrain.nn import macs, pretrained, step_cost
from tinytrain.nn.taps import taps
from tinytrain.train.lr_search import defaults

CAPTION = (
    "estimated from MACs, at speeds measured on one of two x86-64 cores with AVX-512, 2026-11-25; within a factor of 2"
)
SIDE = 96  # pixels, at which a detector is counted
# Time of a step over that of a plain one. NetAug: the mean of both halves of the table in docs/training-methods.md.
FACTORS = {
    **{"netaug": 3.2, "distill": 1.0, "dml": 2.0, "sam": 2.0, "dropblock": 1.1, "am_softmax": 1.0, "tinytl": 0.8},
    **{"confidence_penalty": 1.0, "continuous_dropout": 1.0},
}
TRAIN_IMAGES = {"imagenet100": 128_117, "birdsnap": 47_386, "imagenet21k": 11_060_223, "visual_wake_words": 82_783}


def hours(table: Table) -> float:
    """Returns the core hours of a table at full size with one seed.

    A training that may end early counts with all of its epochs, unless the table has the paper's number of epochs. A
    teacher that the table trains itself adds a forward pass to the steps of its student. A table that trains nothing
    takes none.
    """
    if not table.trains:
        return 0.0
    arms = list(every_config(table))
    config_of_folder = {arm.folder: config for arm, config in arms}
    total = 0.0
    for arm, config in arms:
        is_distilled = "distill" in configs.methods(config)
        folders = [part for part in Path(config.distill.teacher).parts if part in config_of_folder]
        teacher = config_of_folder[folders[0]] if folders and is_distilled else None
        total += seconds(config, int(arm.paper.get("epochs", config.optim.epochs)), teacher)
    return total / 3600


def seconds(config: Config, epochs: int, teacher: Config | None = None) -> float:
    """Returns the core seconds of a run, with its learning-rate search and the forward passes of its teacher.

    Args:
        config: of the run; its dataset is one of the dataset_catalog.
        epochs: how many it trains.
        teacher: the config of its teacher, None if it has none or the cost of the teacher is unknown.
    """
    train, val = _images(config)
    classes = dataset_catalog.ROWS[config.data.spec.partition(":")[0]].classes
    plain = seconds_per_image(config, classes)
    factor = math.prod(_factor(name, config) for name in configs.methods(config))
    teacher_pass = seconds_per_image(teacher, classes) / 3 if teacher else 0.0
    epoch = train * (plain * factor + teacher_pass) + val * plain / 3
    return epochs * epoch + _search_epochs(config) * (train * plain + val * plain / 3)


def _factor(method: str, config: Config) -> float:
    """Returns the time of a step with a method over that of a plain one; of NetAug every wider network adds as much."""
    return 1 + (FACTORS[method] - 1) * (config.netaug.networks if method == "netaug" else 1)


def seconds_per_image(config: Config, classes: int) -> float:
    """Returns the core seconds of a plain step for one image."""
    if config.task in boxes.TASKS:
        dense, depthwise = _detector_macs(config.model.name, float(config.model.width), classes)
        share = (int(config.model.resolution) / SIDE) ** 2
        return step_cost.seconds(share * dense, share * depthwise)
    options = pretrained.architecture_options(config.model) | {"dropout": 0.0}
    dense, depthwise, features = _macs(config.model.name, tuple(sorted(options.items())))
    return step_cost.seconds(dense + features * classes, depthwise)


def _search_epochs(config: Config) -> int:
    """Returns the epochs of the learning-rate search if no trial is pruned."""
    search = config.search
    epochs = defaults.epochs(search.algorithm) if search.epochs == "auto" else search.epochs
    return {"tpe": search.trials * epochs, "grid": search.points * epochs, "range": 2}.get(search.algorithm, 0)


@functools.cache
def _macs(name: str, options: tuple) -> tuple[int, int, int]:
    """Returns the MACs for one image: (all other layers, depthwise convolutions, the classifier for each class)."""
    sizes = {key: value for key, value in options if value != "auto"}
    module = plugins.load("models", name)
    model = module.build(**{"channels": 3, "stem": "imagenet"} | module.DEFAULTS | sizes | {"classes": 2})
    depthwise = macs.depthwise(model)
    classifier = macs.of_layer(model.layers[-1])
    return macs.count(model) - depthwise - classifier, depthwise, classifier // 2


@functools.cache
def _detector_macs(name: str, width: float, classes: int) -> tuple[int, int]:
    """Returns the MACs of the papers' detector for one image of SIDE pixels: (other layers, depthwise convolutions).

    They grow with the area, but for those of squeeze-and-excitation, which are few.
    """
    module, head = plugins.load("models", name), plugins.load("heads", "yolo3")
    backbone = module.build(
        **module.DEFAULTS | {"channels": 3, "width": width, "resolution": SIDE, "classes": 2, "stem": "imagenet"}
    )
    features = taps(backbone)
    strides = head.DEFAULTS["strides"]
    rest = {key: value for key, value in head.DEFAULTS.items() if key != "strides"}
    outputs = head.build({stride: features[stride] for stride in strides}, classes=classes, anchors=3, gain=1.0, **rest)
    model = keras.Model(backbone.input, outputs)
    depthwise = macs.depthwise(model)
    return macs.count(model) - depthwise, depthwise


def _images(config: Config) -> tuple[int, int]:
    """Returns the number of (training, val) images, from the counts in the dataset_catalog."""
    name = config.data.spec.partition(":")[0]
    row = dataset_catalog.ROWS[name]
    rule = row.split if config.data.split == "auto" else config.data.split
    counts = dict(row.images)
    train = TRAIN_IMAGES.get(name, counts.get("train", 0))
    if rule in ("paper", "random"):
        train = sum(counts.values()) - row.paper if counts else train
    elif rule == "trainval":
        train += counts.get("val", 0)
    elif "val" in counts:
        return train, counts["val"]
    val = config.data.val_images or round(config.data.val_fraction * train)
    return train - val, val
