"""What a rule takes into one operator is computed by it."""

import keras
import numpy as np
import pytest
from keras import layers

from tinytrain.quantize import tf_keras_clone


@pytest.mark.parametrize("limit", [None, 6.0])
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.DepthwiseConv2D, layers.Dense])
def test_a_fused_relu_clips_where_the_plain_one_does(kind, limit):
    image = keras.Input((4, 4, 3))
    layer = kind(8) if kind is layers.Dense else kind(8, 3) if kind is layers.Conv2D else kind(3)
    model = keras.Model(image, layers.ReLU(limit)(layer(image)))
    random = np.random.default_rng(0)
    layer.set_weights([random.normal(0, 20, weight.shape) for weight in layer.get_weights()])
    x = random.uniform(-1, 1, (5, 4, 4, 3)).astype("float32")
    expected = np.asarray(model(x))
    assert expected.min() == 0
    assert expected.max() == 6 if limit else expected.max() > 6
    clone = tf_keras_clone.rebuild(model)
    assert [type(layer).__name__ for layer in clone.layers].count("ReLU") == 0  # it became part of the operator
    np.testing.assert_allclose(clone(x), expected, atol=1e-4)
