"""AM-Softmax against the formula worked by hand in float64, its cosine head, and what comes out of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import architectures
from distillation_formula import by_hand, softmax
from keras import layers
from small_training import NO_TRAINING, SMALLEST, SOFT_LABELS, compiled, images, labels, netaug, shallow

from tinytrain.commands import fit
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.errors import UserError
from tinytrain.methods import am_softmax
from tinytrain.methods.am_softmax import AMSoftmax
from tinytrain.methods.distill import Distill
from tinytrain.nn import cosine_head, macs
from tinytrain.train import optimizers
from tinytrain.train.method import Method, Objective

X, Y = images(16, 16), labels(16)
MIXED = 0.7 * Y + 0.3 * labels(16, seed=5)
HARD = keras.losses.CategoricalCrossentropy(from_logits=True)


def objective(y=Y, loss=HARD):
    return Objective(lambda logits: loss(y, logits), lambda value: value, y)


def stretched(method):
    """Gives each direction another length, as a training does, and returns it in float64."""
    directions = method.network.get_layer("logits").directions
    directions.assign(directions * np.arange(1, 11) / 3)
    return np.float64(directions)


def features(network):
    """Returns what the head reads in training, in float64."""
    before = keras.Model(network.input, network.get_layer("logits_features").input)
    return np.float64(before(X, training=True))


def unit(values, axis):
    return values / np.sqrt((values**2).sum(axis=axis, keepdims=True))


@pytest.mark.parametrize(("margin", "scale"), [(0.35, 3.107), (0.0, 1.0), (0.2, 10.0)])
def test_the_loss_is_that_of_the_paper(margin, scale):
    method = AMSoftmax(shallow(), margin, scale)
    w = stretched(method)
    step = method.gradients(X, objective(), tf.constant(0))
    cosines = unit(features(method.network), 1) @ unit(w, 0)
    np.testing.assert_allclose(step.outputs, cosines, atol=1e-5)
    true = np.argmax(Y, axis=1)
    losses = []
    for row, y in zip(cosines, true, strict=True):
        own = np.exp(scale * (row[y] - margin))
        others = sum(np.exp(scale * row[j]) for j in range(10) if j != y)
        losses.append(-np.log(own / (own + others)))
    assert float(step.loss) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("y", [Y, MIXED], ids=["one-hot", "mixed"])
def test_the_gradient_goes_through_both_normalisations(y):
    """∂L/∂cosθ = s(p − y)/B, and through ŵ = w/|w|: (I − ŵŵᵀ)/|w|; of the bias before the features likewise."""
    margin, scale, y64 = 0.35, 5.0, np.float64(y)
    method = AMSoftmax(shallow(), margin, scale)
    w, x = stretched(method), features(method.network)
    step = method.gradients(X, objective(y), tf.constant(0))
    cosines = unit(x, 1) @ unit(w, 0)
    inward = scale * (softmax(scale * (cosines - margin * y64)) - y64) / 16
    toward = unit(x, 1).T @ inward
    expected = (toward - unit(w, 0) * (unit(w, 0) * toward).sum(axis=0)) / np.sqrt((w**2).sum(axis=0))
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(step.gradients[-1], expected, atol=1e-6)
    answer = -(y64 * np.log(softmax(scale * (cosines - margin * y64)))).sum(axis=1).mean()
    assert float(step.loss) == pytest.approx(answer, rel=1e-5)


class OtherHead(layers.Layer):
    """cosθ written without our code: quotients in place of inverse roots."""

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], 10), name="w")

    def call(self, x):
        x = x / keras.ops.sqrt(keras.ops.sum(x * x, axis=-1, keepdims=True))
        return keras.ops.matmul(x, self.w / keras.ops.sqrt(keras.ops.sum(self.w * self.w, axis=0)))


def test_without_margin_and_scale_it_is_plain_softmax_on_cosines():
    ours = compiled(AMSoftmax(shallow(), 0.0, 1.0))
    body = shallow()
    other = keras.Model(body.inputs, OtherHead()(body.get_layer("pool").output))
    other.set_weights(ours.network.get_weights())
    plain = compiled(Method(other))
    before = [variable.numpy() for variable in ours.trainable_variables]
    for step in range(4):
        batch = (images(16, 16, step), labels(16, step))
        logs, expected = (method.train_step(batch) for method in (ours, plain))
        assert float(logs["loss"]) == pytest.approx(float(expected["loss"]), rel=1e-4)
        for own, theirs in zip(ours.network.weights, plain.network.weights, strict=True):
            np.testing.assert_allclose(own, theirs, atol=1e-4)
    moved = [np.abs(own - old).max() for own, old in zip(ours.trainable_variables, before, strict=True)]
    assert np.median(moved) > 1e-3


def test_the_margin_is_no_matter_of_a_teacher():
    """Around AM-Softmax, distillation compares the teacher's answers with s·cosθ."""
    margin, scale, weight, temperature = 0.35, 3.107, 0.5, 4.0
    teacher = shallow()
    method = Distill(AMSoftmax(shallow(), margin, scale), teacher, weight, temperature, SOFT_LABELS)
    step = method.gradients(X, objective(), tf.constant(0))
    cosines, y = np.float64(step.outputs), np.float64(Y)
    taught = np.float64(teacher(X, training=False))
    soft = by_hand(0 * y, taught, scale * cosines, weight, temperature)
    hard = by_hand(y, taught, scale * (cosines - margin * y), 0.0, 1.0)
    assert float(step.loss) == pytest.approx(hard + soft, rel=1e-5)


def test_label_smoothing_and_the_margin_go_together():
    """The margin is that of the labels as they came; smoothing is the loss's."""
    smooth = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    method = AMSoftmax(shallow(), 0.35, 3.0)
    step = method.gradients(X, objective(loss=smooth), tf.constant(0))
    logits = 3.0 * (np.float64(step.outputs) - 0.35 * np.float64(Y))
    expected = -((0.9 * np.float64(Y) + 0.01) * np.log(softmax(logits))).sum(axis=1).mean()
    assert float(step.loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_features_that_are_all_zero_do_no_harm(jit):
    """Keras' own UnitNormalization has the gradient 1e12 there, and with XLA NaN."""
    layer = cosine_head.SafeUnitNormalization()

    @tf.function(jit_compile=jit)
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            total = tf.reduce_sum(y * [1.0, 2.0])
        return y, tape.gradient(total, x)

    y, gradient = both(tf.constant([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(y, [[0, 0], [0.6, 0.8]], rtol=1e-6)
    # (I - yyᵀ)g/|x| = ((1, 2) - 2.2·(0.6, 0.8))/5
    np.testing.assert_allclose(gradient, [[0, 0], [-0.064, 0.048]], atol=1e-6)


def test_directions_do_not_decay_and_kernels_do():
    method = compiled(AMSoftmax(shallow(), 0.35, 3.0))
    decayed = dict(zip([v.path for v in method.trainable_variables], method.optimizer.decayed, strict=True))
    assert [path for path, yes in decayed.items() if path.endswith("logits/directions") and not yes]
    assert decayed["stem_conv/kernel"]
    assert not optimizers.decays(method.network.get_layer("logits").directions)


def test_the_finished_model_is_plain_keras_with_unit_directions(tmp_path):
    before = shallow()
    method = compiled(AMSoftmax(before, 0.35, 3.0))
    stretched(method)
    for step in range(3):
        method.train_step((images(16, 16, step), labels(16, step)))
    trained = method(X)
    method.finish().save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}
    np.testing.assert_allclose(model(X), trained, atol=1e-5)
    assert np.abs(model(X)).max() <= 1 + 1e-6
    kernel = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(np.square(kernel[0]).sum(axis=0), np.ones(10), rtol=1e-6)
    assert len(kernel) == 1
    assert macs.count(model) == macs.count(before)
    assert model.count_params() == before.count_params() - 10


def test_the_body_keeps_its_weights_and_directions_begin_with_length_1():
    body, method = shallow(), None
    method = AMSoftmax(body, 0.35, 3.0)
    for ours, expected in zip(method.network.get_weights()[:-1], body.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(ours, expected)
    directions = method.network.get_weights()[-1]
    np.testing.assert_allclose(np.square(directions).sum(axis=0), np.ones(10), rtol=1e-5)
    shapes = [variable.shape for variable in method.plain.weights]
    assert [variable.shape for variable in method.network.weights] == shapes


@pytest.mark.parametrize(
    ("classes", "scale"), [(2, 3.0), (10, 3.107), (37, 5.068), (100, 6.499), (196, 7.457), (500, 8.786), (1, 3.0)]
)
def test_the_default_scale_is_the_table_of_the_specification(classes, scale):
    assert am_softmax.default_scale(classes) == pytest.approx(scale, abs=6e-4)


def test_a_config_says_margin_and_scale():
    config = configs.load(None, ["method=am_softmax", "am_softmax.margin=0.1", "am_softmax.scale=7"])
    method = am_softmax.build(shallow(), config, NO_TRAINING)
    assert (method.margin, method.scale) == (0.1, 7.0)


def test_another_method_inside_and_another_head_are_refused():
    with pytest.raises(UserError, match="am_softmax changes the network itself"):
        am_softmax.build(netaug(shallow()), configs.load(None, ["am_softmax.scale=3"]), NO_TRAINING)
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    with pytest.raises(UserError, match="ends with the layer 'last' of class Softmax"):
        AMSoftmax(keras.Model(image, layers.Softmax(name="last")(layers.Dense(4)(x))), 0.35, 3.0)
    with pytest.raises(UserError, match="ends with the layer 'soft' of class Dense"):
        cosine_head.with_cosine_head(keras.Model(image, layers.Dense(4, "softmax", name="soft")(x)))


@pytest.mark.parametrize("name", architectures(short=["mobilenet_v1", "resnet8"]))
def test_every_model_takes_a_cosine_head(name):
    model = plugins.load("models", name).build(classes=5, resolution=32, channels=3, width=0.25, dropout=0.3)
    model_with_head = cosine_head.with_cosine_head(model)
    assert [layer.name for layer in model_with_head.layers[-3:]] == ["dropout", "logits_features", "logits"]
    replaced = cosine_head.with_cosine_head(model, dropout=0.1)
    assert [layer.name for layer in replaced.layers[-3:]] == ["logits_dropout", "logits_features", "logits"]
    assert "dropout" not in {layer.name for layer in replaced.layers}


@pytest.mark.long
def test_a_run_learns_and_its_best_epoch_is_what_is_saved(tmp_path):
    words = [*SMALLEST, "method=am_softmax", "optim.epochs=6", "optim.batch=32", "augment.crop=0"]
    run = fit.fit(configs.load(None, words), tmp_path / "run", mcu="stm32f746")
    assert run.metrics()["test"]["top1"] > 0.7
    assert run.config().am_softmax.scale == pytest.approx(3.107, abs=1e-3)
    model = keras.saving.load_model(run.model_path)
    np.testing.assert_allclose(np.square(model.get_layer("logits").kernel).sum(axis=0), np.ones(10), rtol=1e-5)
    with np.load(run.best_path) as best:
        shapes = [best[name].shape for name in sorted(best.files) if name != "state"]
    assert shapes == [tuple(variable.shape) for variable in model.weights]
