"""What differs between a published network and ours is evened out: on a network of two layers, in a second."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tinytrain.nn import pretrained


def network(use_bias):
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=use_bias, name="stem_conv")(image)
    return keras.Model(image, keras.layers.BatchNormalization(epsilon=1e-3, name="stem_bn")(x))


@pytest.mark.parametrize("reverse_channels", [False, True])
@pytest.mark.parametrize("use_bias", [False, True])
def test_a_bias_goes_into_the_mean_and_the_channels_are_turned_around(use_bias, reverse_channels):
    random, theirs, ours = np.random.default_rng(0), network(use_bias), network(False)
    theirs.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in theirs.get_weights()])
    pretrained._copy_published(theirs, ours, SimpleNamespace(reverse_channels=reverse_channels))
    x = random.uniform(-1, 1, (2, 6, 6, 3)).astype("float32")
    seen = x[..., ::-1] if reverse_channels else x
    np.testing.assert_allclose(ours(x), theirs(seen), atol=1e-4)
