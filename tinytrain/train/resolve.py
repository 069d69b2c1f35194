"""Every "auto" of a config, replaced by what the data, the model and the device ask for."""

import dataclasses
from collections.abc import Collection
from typing import Any

import tensorflow as tf

from tinytrain.config import load as configs
from tinytrain.config import paths, plugins
from tinytrain.config.schema import Config
from tinytrain.data import boxes
from tinytrain.data.source import Dataset
from tinytrain.errors import UserError
from tinytrain.nn import initializers
from tinytrain.train.figures import module_of
from tinytrain.train.lr_search import defaults
from tinytrain.workers import collectives

LARGEST_AUTO_RESOLUTION = 96
SMALL_IMAGES = 32  # pixels: a first stride of 2 and four more leave maps of 1x1, where kernels of 3x3 see one pixel


def with_usual(config: Config, dataset: Dataset, typed: Collection[str] | None) -> tuple[Config, dict[str, Any]]:
    """Returns a copy of `config` with what its task begins with in place of the defaults, and what was changed.

    Args:
        config: of a new run.
        dataset: its images.
        typed: the dotted keys that the user chose, which stay as they are; None: those that differ from the default.
    """
    config = copied(config)
    changed: dict[str, Any] = {}
    for dotted, value in _replaced(config, dataset.task, training_images(config, dataset), typed).items():
        changed |= {dotted: value} if value != configs.get_key(config, dotted) else {}
        configs.set_key(config, dotted, value)
    return config, changed


def training_images(config: Config, dataset: Dataset) -> int:
    """Returns about how many images are trained on, before the split is drawn: to a few of each class."""
    data, image_sets = config.data, dataset.image_sets
    left = len(image_sets["train" if "train" in image_sets else "all"].names)
    for name, count, share in (
        ("test", data.test_images, data.test_fraction),
        ("val", data.val_images, data.val_fraction),
    ):
        if name not in image_sets:
            left -= count or round(share * left)
    return min(left, data.train_images or left)


def decided(config: Config, task: str, typed: Collection[str] | None) -> set[str]:
    """Returns the dotted keys of `config` that `with_usual` leaves as they are, for data of `task`."""
    return set(configs.keys()) - set(_replaced(config, task, 1, typed))


def _replaced(config: Config, task: str, images: int, typed: Collection[str] | None) -> dict[str, Any]:
    """Returns {dotted key: value} of what is usual for the task, without the keys that the user chose."""
    module, default = module_of(task if config.task == "auto" else config.task), Config()
    if typed is None:
        known = configs.keys()
        typed = [dotted for dotted in known if configs.get_key(config, dotted) != configs.get_key(default, dotted)]
    usual = module.usual(config, images, typed) if hasattr(module, "usual") else {}
    return {dotted: value for dotted, value in usual.items() if dotted not in typed}


def copied(config: Config) -> Config:
    """Returns a copy of `config` whose sections are copies, too."""
    return dataclasses.replace(
        config,
        **{
            part.name: dataclasses.replace(getattr(config, part.name))
            for part in dataclasses.fields(config)
            if dataclasses.is_dataclass(getattr(config, part.name))
        },
    )


def task_of(config: Config, dataset: Dataset) -> str:
    """Returns the task that a config is for: that of the data, or a narrower one that other keys ask for.

    Raises:
        UserError: the config names a task for other data.
    """
    if config.task != "auto" and (config.task in boxes.TASKS) != (dataset.task in boxes.TASKS):
        raise UserError(
            f"task = {config.task}, but '{config.data.spec}' is data for the task {dataset.task}: expected task=auto"
        )
    task = dataset.task if config.task == "auto" else config.task
    module = module_of(task)
    return module.narrowed(config) if hasattr(module, "narrowed") else task


def resolve(config: Config, source: Dataset) -> Config:
    """Returns a copy of `config` in which every "auto" is what the data, the model and the device ask for."""
    config = copied(config)
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    model_defaults = plugins.load("models", config.model.name).DEFAULTS
    low, high = defaults.learning_rates(config.model.name)
    methods = {name: plugins.load("methods", name) for name in plugins.names("methods")}
    config.task = task_of(config, source)
    module, of_boxes = module_of(config.task), source.task in boxes.TASKS
    usual_resolution = getattr(module, "RESOLUTION", None) or min(
        source.side or LARGEST_AUTO_RESOLUTION, LARGEST_AUTO_RESOLUTION
    )
    resolution = usual_resolution if config.model.resolution == "auto" else config.model.resolution
    whole = int(resolution) <= SMALL_IMAGES and not of_boxes  # detect.strides are what a stem of stride 2 gives
    resolved = {
        "data.resize": "eval_crop" if config.data.decode_resolution else source.resize,
        "data.split": source.split,
        "data.seed": config.seed,
        "model.width": model_defaults["width"],
        "model.resolution": usual_resolution,
        "model.channels": source.channels,
        "model.stem": model_defaults.get("stem", "cifar" if whole else "imagenet"),
        "model.init": initializers.init_of(config),
        "augment.flip": source.flip,
        "augment.distort": of_boxes,
        "augment.expand": 0.5 if of_boxes else 0.0,
        "augment.iou_crop": of_boxes,
        "optim.name": "sgd",
        "optim.ema": 0.0,
        "optim.checkpoint": "best",
        "search.low": low,
        "search.high": high,
        "search.epochs": defaults.epochs(config.search.algorithm),
        "device.precision": "mixed_float16" if on_gpu else "float32",
        # TensorFlow has no collectives inside of XLA on the CPU, and on a GPU they stand between what it compiles.
        "device.jit": on_gpu
        and collectives.here().count == 1
        and all(getattr(methods[name], "JIT", True) for name in configs.methods(config)),
    }
    for method in methods.values():
        if hasattr(method, "defaults"):
            resolved |= method.defaults(config.model.name, len(source.classes))
    for dotted, value in resolved.items():
        if configs.get_key(config, dotted) == "auto":
            configs.set_key(config, dotted, value)
    if hasattr(module, "resolve"):
        module.resolve(config, source)
    config.model.weights = paths.absolute_weights(config.model.weights)
    config.search.storage = paths.absolute_database(config.search.storage)
    return config
