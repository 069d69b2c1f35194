"""Builds the network of a config, with its initial weights."""

import functools
from collections.abc import Sequence

import keras

from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.data import boxes
from tinytrain.nn import initializers, pretrained


def build_model(config: Config, classes: int, names: Sequence[str] = ()) -> keras.Model:
    """Returns the untrained model of a config, with the weights that model.weights names.

    The weights that it does not cover, such as a classifier for other classes, are drawn from the seed.

    Args:
        config: the config, without "auto".
        classes: the number of classes.
        names: their names, if known; the classifier of another run is used only for the same names in the same order.
    """
    keras.utils.set_random_seed(config.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.device.precision)
    options = pretrained.architecture_options(config.model)
    build = functools.partial(plugins.load("models", config.model.name).build, classes=classes, **options)
    try:
        return pretrained.build_with_weights(
            lambda **extra: initializers.initialize(build(**extra), config),
            config.model,
            names,
            backbone_only=config.task in boxes.TASKS,
        )
    finally:
        keras.config.set_dtype_policy(policy)
