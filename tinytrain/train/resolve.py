"""Every "auto" of a config, replaced by what the data, the model and the device ask for."""

import dataclasses

import tensorflow as tf

from tinytrain.config import load as configs
from tinytrain.config import paths, plugins
from tinytrain.config.schema import Config
from tinytrain.data.source import Dataset
from tinytrain.nn import initializers
from tinytrain.train.figures import module_of
from tinytrain.train.lr_search import defaults

LARGEST_AUTO_RESOLUTION = 96


def resolve(config: Config, source: Dataset) -> Config:
    """Returns a copy of `config` in which every "auto" is what the data, the model and the device ask for."""
    config = dataclasses.replace(
        config,
        **{
            part.name: dataclasses.replace(getattr(config, part.name))
            for part in dataclasses.fields(config)
            if dataclasses.is_dataclass(getattr(config, part.name))
        },
    )
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    model_defaults = plugins.load("models", config.model.name).DEFAULTS
    low, high = defaults.learning_rates(config.model.name)
    methods = {name: plugins.load("methods", name) for name in plugins.names("methods")}
    task = source.task if config.task == "auto" else config.task
    resolved = {
        "task": task,
        "data.resize": source.resize,
        "data.split": source.split,
        "data.seed": config.seed,
        "model.width": model_defaults["width"],
        "model.resolution": min(source.side or LARGEST_AUTO_RESOLUTION, LARGEST_AUTO_RESOLUTION),
        "model.channels": source.channels,
        "model.stem": model_defaults.get("stem", "imagenet"),
        "model.init": initializers.init_of(config),
        "augment.flip": source.flip,
        "augment.distort": task == "detect",
        "augment.expand": 0.5 if task == "detect" else 0.0,
        "augment.iou_crop": task == "detect",
        "search.low": low,
        "search.high": high,
        "search.epochs": defaults.epochs(config.search.algorithm),
        "device.precision": "mixed_float16" if on_gpu else "float32",
        "device.jit": on_gpu and all(getattr(methods[name], "JIT", True) for name in configs.methods(config)),
    }
    for module in methods.values():
        if hasattr(module, "defaults"):
            resolved |= module.defaults(config.model.name, len(source.classes))
    for dotted, value in resolved.items():
        if configs.get_key(config, dotted) == "auto":
            configs.set_key(config, dotted, value)
    module = module_of(config.task)
    if hasattr(module, "resolve"):
        module.resolve(config, source)
    config.model.weights = paths.absolute_weights(config.model.weights)
    config.search.storage = paths.absolute_database(config.search.storage)
    return config
