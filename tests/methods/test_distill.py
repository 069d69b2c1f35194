"""Distillation against the formula worked by hand, and the teachers that it takes and refuses."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from distillation_formula import by_hand, softmax
from keras.src.legacy.saving import legacy_h5_format  # the format of the published files; Keras writes it nowhere else
from small_training import NO_TRAINING, SOFT_LABELS, compiled, images, labels, netaug, shallow

from tinytrain.commands import fit
from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.errors import UserError
from tinytrain.methods import distill
from tinytrain.methods.distill import Distill, teachers
from tinytrain.train.method import Method, Objective


@pytest.mark.parametrize(("weight", "temperature"), [(1.0, 1.0), (0.5, 4.0)])
def test_the_loss_is_that_of_the_formula(weight, temperature):
    student, teacher = shallow(), shallow()
    method = compiled(Distill(Method(student), teacher, weight, temperature, SOFT_LABELS))
    x, y = images(16, 16), labels(16)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    step = method.gradients(x, Objective(lambda logits: loss(y, logits), lambda value: value), tf.constant(0))
    taught = np.float64(teacher(x, training=False))
    assert float(step.loss) == pytest.approx(
        by_hand(np.float64(y), taught, np.float64(step.outputs), weight, temperature), rel=1e-5
    )
    # The gradient of the bias before the logits is the mean of (softmax(z) - y) + w T (softmax(z/T) - softmax(t/T)).
    logits = np.float64(step.outputs)
    soft = softmax(logits / temperature) - softmax(taught / temperature)
    expected = (softmax(logits) - y.numpy() + weight * temperature * soft).mean(axis=0)
    np.testing.assert_allclose(step.gradients[-1], expected, atol=1e-6)


def test_weight_zero_is_plain_training():
    first, second = shallow(), shallow()
    second.set_weights(first.get_weights())
    ours, plain = compiled(Distill(Method(first), shallow(), 0.0, 1.0, SOFT_LABELS)), compiled(Method(second))
    for step in range(3):
        for method in (ours, plain):
            method.train_step((images(16, 16, step), labels(16, step)))
    for own, expected in zip(ours.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(own, expected)


def test_the_teacher_is_neither_trained_nor_saved_and_keeps_its_statistics():
    teacher = shallow()
    before = teacher.get_weights()
    method = compiled(Distill(Method(shallow()), teacher, 1.0, 1.0, SOFT_LABELS))
    for step in range(2):
        method.train_step((images(16, 16, step), labels(16, step)))
    for own, expected in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(own, expected)
    ours = {id(variable) for variable in method.variables}
    assert not ours & {id(variable) for variable in teacher.variables}
    assert len(method.variables) == len(Method(shallow()).variables)


def test_around_netaug_both_networks_are_taught():
    x, y = images(16, 16), labels(16)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    teacher = shallow()
    inner = netaug(shallow())
    method = Distill(inner, teacher, 1.0, 1.0, SOFT_LABELS)
    taught = softmax(np.float64(teacher(x, training=False)))
    step = method.gradients(x, Objective(lambda logits: loss(y, logits), lambda value: value), tf.constant(3))
    expected = np.zeros(10)
    for widths in (inner.super_network.smallest, inner.draw_widths(tf.constant(3))):
        logits = softmax(np.float64(inner.super_network(x, widths, training=True)))
        expected += (2 * logits - y.numpy() - taught).mean(axis=0)
    np.testing.assert_allclose(step.gradients[-1], expected, atol=1e-5)


def test_a_run_teaches_and_its_path_is_made_absolute(tmp_path, monkeypatch):
    shallow().save(tmp_path / "teacher.keras")
    monkeypatch.chdir(tmp_path)
    config = configs.load(None, ["method=distill", "distill.teacher=teacher.keras", "distill.temperature=2"])
    assert config.distill.teacher == str(tmp_path / "teacher.keras")
    found = distill.build(shallow(), config, NO_TRAINING)
    assert (found.weight, found.temperature) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("teacher", "said"),
    [
        ({"classes": 7, "resolution": 16}, "for classes of 7, but the student for classes of 10"),
        ({"classes": 10, "resolution": 32}, "for images of 32x32x3, but the student for images of 16x16x3"),
        ({"classes": 10, "resolution": 16, "channels": 1}, "for images of 16x16x1"),
    ],
)
def test_a_teacher_of_other_classes_or_images_is_refused(tmp_path, teacher, said):
    options = {"channels": 3, "width": 0.25} | teacher
    plugins.load("models", "mobilenet_v1").build(**options).save(tmp_path / "t.keras")
    with pytest.raises(UserError, match=said):
        teachers.load(str(tmp_path / "t.keras"), shallow())


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("", "needs a teacher"),
        ("no/such/run", r"distill.teacher = 'no/such/run' does not exist"),
        ("applications:ResNet51", "did you mean"),
    ],
)
def test_no_teacher_is_told(word, said):
    with pytest.raises(UserError, match=said):
        teachers.load(word, shallow())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=distill"], "needs a teacher"),
        (["method=netaug", "netaug.width_factors=[2]"], "ascend from 1"),
        (["method=tinytl"], "model.weights"),
        (["method=dropblock"], "no residual or linear block"),
        (["method=distill+netaug", "distill.teacher=none"], "does not exist"),
    ],
)
def test_a_mistake_in_a_method_leaves_no_run_behind(tmp_path, words, said):
    with pytest.raises(UserError, match=said):
        fit.fit(configs.load(None, ["model.width=0.25", *words]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["+", "netaug+netaug", "netaug+"])
def test_names_that_are_empty_or_twice_are_refused(method):
    with pytest.raises(UserError, match=r"expected names joined by \+, each once"):
        configs.load(None, [f"method={method}"])


def imagenet_student(resolution):
    return plugins.load("models", "mobilenet_v1").build(classes=1000, channels=3, resolution=resolution, width=0.25)


def test_a_published_network_teaches_with_its_own_pixels_and_logits(tmp_path, monkeypatch):
    """A file of the published name with random weights; Keras knows no hash for MobileNetV2's."""
    published = keras.applications.MobileNetV2(weights=None, alpha=1.0)
    folder = tmp_path / ".keras" / "models"
    folder.mkdir(parents=True)
    with h5py.File(folder / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, published)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / ".keras"))
    teacher = teachers.load("applications:MobileNetV2", imagenet_student(224))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype("float32")
    expected = published(keras.applications.mobilenet_v2.preprocess_input(pixels.copy()), training=False)
    probabilities = softmax(np.float64(teacher((pixels - 128) / 128, training=False)))
    np.testing.assert_allclose(probabilities, expected, rtol=1e-3, atol=1e-7)
    small = teachers.load("applications:MobileNetV2", imagenet_student(96))
    assert small(pixels[:1, :96, :96], training=False).shape == (1, 1000)


def test_published_weights_that_are_not_there_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / ".keras"))
    monkeypatch.setattr("tinytrain.nn.imagenet.NETWORK_TIMEOUT_S", 0.01)
    with pytest.raises(UserError, match="needs its published weights"):
        teachers.load("applications:MobileNetV2", imagenet_student(224))
