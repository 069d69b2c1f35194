"""Mutual learning: both forms against formulas worked by hand in float64, and what is and is not left of it."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from distillation_formula import softmax
from small_training import NO_TRAINING, SMALLEST, SOFT_LABELS, compiled, images, labels, shallow

from tinytrain.commands import fit
from tinytrain.config import load as configs
from tinytrain.config import method_keys, schema
from tinytrain.errors import UserError
from tinytrain.methods import dml
from tinytrain.methods.am_softmax import AMSoftmax
from tinytrain.methods.distill import Distill
from tinytrain.methods.dml import Dml
from tinytrain.nn import macs
from tinytrain.nn.blocks import classifier
from tinytrain.train import checkpoint
from tinytrain.train.method import Method, Objective
from tinytrain.train.trainer import build_method

X, Y = images(16, 16), labels(16)
HARD = keras.losses.CategoricalCrossentropy(from_logits=True)
PAPER = method_keys.Dml(dropout=0.0)
RELEASED = dataclasses.replace(PAPER, form="released")


def objective(y=Y, loss=HARD):
    return Objective(lambda logits: loss(y, logits), lambda value: value, y)


def with_dropout():
    """shallow() with a Dropout before the classifier."""
    model = shallow()
    return keras.Model(model.inputs, classifier(model.get_layer("head_relu6").output, 10, 0.3))


def log_softmax(z):
    return np.log(softmax(z))


def expected(options, y, z, cosines):
    """Returns loss, ∂/∂z and ∂/∂cosθ of C.7 in float64."""
    w, s, m, batch = options.weight, options.scale, options.margin, len(y)
    margined = s * (cosines - m * y)
    f, q = softmax(z), softmax(s * cosines)
    main = -(y * log_softmax(z)).sum(1).mean() - (y * log_softmax(margined)).sum(1).mean()
    of_fast, of_slow = f - y, softmax(margined) - y
    if options.form == "paper":
        mutual = (q * (np.log(q) - np.log(f))).sum(1).mean() + (f * (np.log(f) - np.log(q))).sum(1).mean()
        return main + w * mutual, (of_fast + w * (f - q)) / batch, s * (of_slow + w * (q - f)) / batch
    mean = (f + q) / 2
    mutual = -(mean * np.log(f)).sum(1).mean() - (mean * np.log(q)).sum(1).mean()
    return (
        (main + w * mutual) / 2,
        (of_fast + w * (f - mean)) / 2 / batch,
        s * (of_slow + w * (q - mean)) / 2 / batch,
    )


@pytest.mark.parametrize("weight", [1.0, 0.3])
@pytest.mark.parametrize("scale", [1.0, 6.5])
@pytest.mark.parametrize("form", ["paper", "released"])
def test_loss_and_gradients_are_those_of_the_formulas(form, scale, weight):
    options = method_keys.Dml(form, weight, 0.35, scale)
    method = Dml(shallow(), options)
    random = np.random.default_rng(0)
    z, cosines = (
        tf.constant(random.normal(0, 2, (16, 10)), "float32"),
        tf.constant(random.uniform(-1, 1, (16, 10)), "float32"),
    )
    with tf.GradientTape() as tape:
        tape.watch([z, cosines])
        loss = method.joint_loss(objective(), z, cosines)
    gradients = tape.gradient(loss, [z, cosines])
    loss_by_hand, *by_hand = expected(options, np.float64(Y), np.float64(z), np.float64(cosines))
    assert float(loss) == pytest.approx(loss_by_hand, rel=1e-5)
    for ours, theirs in zip(gradients, by_hand, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("options", [PAPER, RELEASED], ids=["paper", "released"])
def test_a_step_trains_both_networks_on_the_same_batch(options):
    method = Dml(shallow(), options)
    z, cosines = (np.float64(network(X, training=True)) for network in (method.network, method.slow))
    step = method.gradients(X, objective(), tf.constant(0))
    loss, of_fast, _ = expected(options, np.float64(Y), z, cosines)
    np.testing.assert_allclose(step.outputs, z, atol=1e-5)
    assert float(step.loss) == pytest.approx(loss, rel=1e-5)
    gradients = dict(zip([id(v) for v in method.trainable_variables], step.gradients, strict=True))
    np.testing.assert_allclose(gradients[id(method.network.get_layer("logits").bias)], of_fast.sum(0), atol=1e-6)
    assert all(np.abs(gradients[id(variables[0])]).max() > 1e-6 for variables in method.students())


def test_the_released_form_is_half_the_paper_s_with_half_the_weight():
    released, paper = Dml(shallow(), RELEASED), Dml(shallow(), dataclasses.replace(PAPER, weight=0.5))
    for ours, theirs in zip(paper.variables, released.variables, strict=True):
        ours.assign(theirs)
    found, other = (method.gradients(X, objective(), tf.constant(0)).gradients for method in (released, paper))
    for ours, theirs in zip(found, other, strict=True):
        np.testing.assert_allclose(ours, theirs / 2, atol=1e-5 * max(float(np.abs(theirs).max()), 1e-2))


def test_weight_zero_is_two_separate_trainings():
    """Dropout, BatchNorm statistics and optimizer included, to the last bit."""
    model = with_dropout()
    config = configs.load(None, ["dml.weight=0", "dml.dropout=0.4", "dml.scale=3", "optim.ema=0"])
    both = compiled(build_method(model, dataclasses.replace(config, method="dml"), NO_TRAINING))
    fast = compiled(build_method(model, config, NO_TRAINING))
    alone = keras.Model(model.inputs, classifier(model.get_layer("head_relu6").output, 10, 0.4))
    slow = compiled(AMSoftmax(alone, 0.35, 3.0))
    for ours, start in zip(slow.network.variables, both.slow.variables, strict=True):
        ours.assign(start)
    for step in range(4):
        for method in (both, fast, slow):
            method.train_step((images(16, 16, step), labels(16, step)))
    for ours, separate in ((both.network, fast.network), (both.slow, slow.network)):
        for own, theirs in zip(ours.variables, separate.variables, strict=True):
            np.testing.assert_array_equal(own, theirs)
    assert any(np.any(own != old) for own, old in zip(both.network.get_weights(), model.get_weights(), strict=True))


def test_each_variable_belongs_to_one_student_and_is_tracked_once():
    method = Dml(with_dropout(), PAPER)
    fast, slow = method.students()
    both = [id(variable) for variable in method.trainable_variables]
    assert [id(variable) for variable in (*fast, *slow)] == both
    assert len(set(both)) == len(both)
    tracked = [id(variable) for variable in method.variables]
    assert len(set(tracked)) == len(tracked)
    assert set(tracked) >= {id(v) for network in (method.network, method.slow) for v in network.variables}
    assert [variable.name for variable in slow][-1] == "directions"


def test_a_checkpoint_brings_back_both_students_and_their_dropout(tmp_path):
    first = compiled(Dml(with_dropout(), method_keys.Dml()))
    first.train_step((X, Y))
    checkpoint.save(tmp_path / "last.npz", checkpoint.trained_variables(first), {"epoch": 1})
    second = compiled(Dml(with_dropout(), method_keys.Dml()))
    checkpoint.load(tmp_path / "last.npz", checkpoint.trained_variables(second))
    for step in (1, 2):
        for method in (first, second):
            method.train_step((images(16, 16, step), labels(16, step)))
    for own, theirs in zip(checkpoint.trained_variables(second), checkpoint.trained_variables(first), strict=True):
        np.testing.assert_array_equal(own, theirs)
    states = [v for v in second.variables if v.name == "seed_generator_state"]
    assert len(states) == 2


def test_the_slow_student_is_the_network_with_its_own_dropout_and_a_cosine_head():
    method = Dml(with_dropout(), method_keys.Dml(dropout=0.2))
    rates = [layer.rate for layer in method.slow.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.2]
    assert [layer.rate for layer in method.network.layers if isinstance(layer, keras.layers.Dropout)] == [0.3]
    assert np.abs(method.slow(X)).max() <= 1
    body = [weight.shape for weight in method.network.weights[:-2]]
    assert [weight.shape for weight in method.slow.weights[:-1]] == body
    assert not [layer for layer in Dml(shallow(), PAPER).slow.layers if isinstance(layer, keras.layers.Dropout)]


@pytest.mark.parametrize(("weights", "same"), [("", False), ("imagenet", True)])
def test_both_students_begin_from_weights_that_were_given(weights, same):
    config = dataclasses.replace(schema.Config(), method="dml")
    config.model = dataclasses.replace(config.model, weights=weights)
    method = dml.build(shallow(), config, NO_TRAINING)
    pairs = zip(method.network.get_weights()[:-2], method.slow.get_weights()[:-1], strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs) == same


def test_the_finished_model_has_no_trace_of_the_slow_student(tmp_path):
    model = with_dropout()
    method = compiled(Dml(model, method_keys.Dml()))
    for step in range(2):
        method.train_step((images(16, 16, step), labels(16, step)))
    finished = method.finish()
    assert finished is model
    np.testing.assert_allclose(finished(X), method(X), atol=1e-5)
    finished.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in with_dropout().layers]
    assert macs.count(loaded) == macs.count(with_dropout())


def test_a_teacher_teaches_both_students():
    teacher, options = shallow(), dataclasses.replace(PAPER, weight=0.0, scale=2.0)
    method = Distill(Dml(shallow(), options), teacher, 0.5, 1.0, SOFT_LABELS)
    z, cosines = (np.float64(network(X, training=True)) for network in (method.network, method.inner.slow))
    step = method.gradients(X, objective(), tf.constant(0))
    taught = softmax(np.float64(teacher(X, training=False)))
    soft = sum(-(taught * log_softmax(logits)).sum(1).mean() for logits in (z, 2.0 * cosines))
    assert float(step.loss) == pytest.approx(expected(options, np.float64(Y), z, cosines)[0] + 0.5 * soft, rel=1e-5)
    assert [len(student) for student in method.students()] == [len(student) for student in method.inner.students()]


def test_another_method_inside_is_refused():
    with pytest.raises(UserError, match="dml changes the network itself"):
        dml.build(Method(shallow()), schema.Config(), NO_TRAINING)


@pytest.mark.long
@pytest.mark.parametrize("form", ["paper", "released"])
def test_a_run_learns_and_is_the_plain_network(tmp_path, form):
    words = [*SMALLEST, "method=dml", f"dml.form={form}", "optim.epochs=5", "optim.batch=32"]
    run = fit.fit(configs.load(None, [*words, "augment.crop=0"]), tmp_path / "run", mcu="stm32f746")
    assert run.metrics()["test"]["top1"] > 0.6
    assert keras.saving.load_model(run.model_path).get_layer("logits").use_bias


def test_a_softmax_head_learns_from_the_labels_and_the_other_s_answers_without_margin_and_scale():
    options = dataclasses.replace(PAPER, head="softmax", margin=0.35, scale=5.0)
    method = Dml(with_dropout(), dataclasses.replace(options, dropout=0.2))
    assert [layer.rate for layer in method.slow.layers if isinstance(layer, keras.layers.Dropout)] == [0.2]
    assert [weight.shape for weight in method.slow.weights] == [weight.shape for weight in method.network.weights]
    assert [variable.name for variable in method.students()[1]][-2:] == ["kernel", "bias"]
    random = np.random.default_rng(0)
    z, slow = (random.normal(0, 2, (16, 10)) for _ in range(2))
    f, s, y = log_softmax(z), log_softmax(slow), np.float64(Y)
    by_hand = -(y * (f + s)).sum(1).mean() + (np.exp(s) * (s - f)).sum(1).mean() + (np.exp(f) * (f - s)).sum(1).mean()
    loss = Dml(shallow(), options).joint_loss(objective(), tf.constant(z, "float32"), tf.constant(slow, "float32"))
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("head", ["cosine", "softmax"])
def test_model_init_draws_the_slow_student_too(head):
    config = configs.load(None, ["method=dml", "model.init=torch", f"dml.head={head}"])
    made = dml.build(shallow(), config, NO_TRAINING)
    for layer in made.slow.layers:
        if isinstance(layer, keras.layers.Conv2D) and not isinstance(layer, keras.layers.DepthwiseConv2D):
            kernel = layer.kernel.numpy()  # U(±b): never beyond b = 1/√fan_in, some close to it
            assert 0.9 < np.abs(kernel).max() * np.prod(kernel.shape[:3]) ** 0.5 <= 1, layer.name
    first, second = (student.get_layer("head_conv").kernel.numpy() for student in (made.network, made.slow))
    assert not np.array_equal(first, second)
    if head == "cosine":
        lengths = np.square(made.slow.get_layer("logits").directions.numpy()).sum(axis=0)
        np.testing.assert_allclose(lengths, 1, rtol=1e-5)
