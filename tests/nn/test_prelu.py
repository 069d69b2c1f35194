"""PReLU behind the last block: where it comes, what it computes, and that int8 engines compute it as TFLM does."""

import keras
import numpy as np
import pytest
from conftest import needs_tool
from int8_models import noise_images
from small_networks import trained

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.deploy import estimate
from tinytrain.deploy.compiled import plan
from tinytrain.deploy.compiled.host import HostEngine, kernels
from tinytrain.deploy.compiled.nodes import network
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.methods import am_softmax, dml
from tinytrain.nn.prelu import activations_behind_the_blocks, with_prelu
from tinytrain.quantize import convert, cosine_head, tf_keras_clone
from tinytrain.train import optimizers
from tinytrain.train.method import TrainingContext


def build(name, resolution=32):
    keras.utils.set_random_seed(0)
    options = {"classes": 4, "resolution": resolution, "channels": 3, "width": 0.1}
    return trained(plugins.load("models", name).build(**options))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mobilenet_v3_small", ["head_hard_swish", "features_hard_swish"]),
        ("efficientnet_b0", ["head_swish"]),
        ("mobilenet_v2", ["head_relu6"]),
    ],
)
def test_it_stands_behind_the_last_1x1_convolution_and_in_the_head(name, expected):
    assert activations_behind_the_blocks(build(name)) == expected


def test_it_is_the_identity_above_0_and_has_one_slope_below():
    model = build("mobilenet_v3_small")
    changed = with_prelu(model)
    slopes = [layer for layer in changed.layers if isinstance(layer, keras.layers.PReLU)]
    assert [layer.count_params() for layer in slopes] == [1, 1]
    assert changed.count_params() == model.count_params() + 2
    x = noise_images(2, (32, 32, 3))[1]
    for layer in slopes:
        before, after = (np.asarray(keras.Model(changed.input, side)(x)) for side in (layer.input, layer.output))
        np.testing.assert_allclose(after, np.where(before > 0, before, 0.25 * before), rtol=1e-6)
        assert (before < 0).any()
    first = model.get_layer("stem_bn").output
    np.testing.assert_array_equal(
        keras.Model(changed.input, changed.get_layer("stem_bn").output)(x), keras.Model(model.input, first)(x)
    )


def test_a_network_without_such_an_activation_is_refused():
    with pytest.raises(UserError, match=r"'mobilenet_v1' has no activation after its last block.*prelu=false"):
        with_prelu(build("mobilenet_v1"))


def test_slopes_do_not_decay_and_move_at_the_plain_rate():
    """methods.md C.2: group 3, with γ and the head of cosines."""
    optim = configs.load(None, ["optim.name=sgd", "optim.bias_lr=2", "optim.weight_decay=0.5"]).optim
    (layer,) = [one for one in with_prelu(build("mobilenet_v2")).layers if isinstance(one, keras.layers.PReLU)]
    optimizer = optimizers.build(optim, 10)
    optimizer.build([layer.alpha])
    assert (optimizer.decayed, optimizer.rates) == ([False], [1.0])


def test_the_slow_student_of_mutual_learning_has_it_and_the_fast_one_has_not():
    config = configs.load(None, ["method=dml", "dml.prelu=true"])
    context = TrainingContext(1, 1, lambda seed, steps: None)
    method = dml.build(build("mobilenet_v3_small"), config, context)
    kinds = [[type(layer).__name__ for layer in student.layers] for student in (method.network, method.slow)]
    assert [names.count("PReLU") for names in kinds] == [0, 2]
    assert len(method.students()[1]) == len(method.students()[0]) + 1  # two slopes more, and a bias of the head less


@pytest.mark.long
@needs_tool("gcc")
def test_am_softmax_with_it_is_exported_to_operators_that_every_engine_has(tmp_path):
    model = build("mobilenet_v3_small")
    config = configs.load(None, ["method=am_softmax", "am_softmax.prelu=true", "am_softmax.scale=5"])
    method = am_softmax.build(model, config, None)
    for variable, slope in zip(
        [variable for variable in method.network.trainable_variables if variable.name == "alpha"],
        (0.4, -0.1),  # training may turn its sign
        strict=True,
    ):
        variable.assign(np.full(variable.shape, slope))
    finished = method.finish()
    int8, floats = noise_images(20, (32, 32, 3))
    linear = cosine_head.linear(finished, floats, 5.0)
    tflite = convert.convert_post_training(tf_keras_clone.rebuild(linear), floats)
    assert tflite.counts["LEAKY_RELU"] == 2
    assert "RESHAPE" not in tflite.counts
    least = plan.plan(network(tflite)).arena_bytes
    assert estimate.arena_and_model_bytes(linear, compiled=True)[0] == pytest.approx(least, rel=0.1)
    engine = HostEngine(plan.plan(network(tflite), 2**40), tmp_path, kernels(tmp_path))
    expected = ReferenceInterpreter(tflite.content).run(int8)[0]
    for image, output in zip(int8, expected, strict=True):
        np.testing.assert_array_equal(engine.run_once(image)[1][0], output.reshape(-1))
    assert len(np.unique(expected)) > 4


def test_slopes_that_differ_are_refused_by_the_name_of_the_layer():
    image = keras.Input((4, 4, 3))
    layer = keras.layers.PReLU(shared_axes=[1, 2], name="slopes")
    model = keras.Model(image, layer(image))
    layer.set_weights([np.reshape([0.1, 0.2, 0.3], (1, 1, 3))])
    with pytest.raises(UserError, match=r"'slopes' of class PReLU has 3 slopes.*shared_axes=\[1, 2, 3\]"):
        tf_keras_clone.rebuild(model)
