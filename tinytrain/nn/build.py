"""The network of a config, with the weights that it begins from."""

import functools
from collections.abc import Sequence

import keras

from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.nn import initializers, pretrained


def build_model(config: Config, classes: int, names: Sequence[str] = ()) -> keras.Model:
    """Returns the untrained model of a config without "auto", with the weights that model.weights names.

    What they do not cover, the classifier of other classes or all of it, is drawn from the seed.

    Args:
        config: the run.
        classes: how many classes there are.
        names: what they are called, if that is known: the classifier of a run is for the same names in the same order.
    """
    keras.utils.set_random_seed(config.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.device.precision)
    options = pretrained.architecture_options(config.model)
    build = functools.partial(plugins.load("models", config.model.name).build, classes=classes, **options)
    try:
        return pretrained.initialized(lambda **more: initializers.drawn(build(**more), config), config.model, names)
    finally:
        keras.config.set_dtype_policy(policy)
