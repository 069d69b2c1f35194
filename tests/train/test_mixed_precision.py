"""Mixed precision: a step whose scaled gradients overflow is skipped whole, with every method.

float16 ends at 65504, so a loss scale of 2³⁰ makes the gradients of any network here infinite.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import shortened
from small_training import images, labels, shallow

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.train import task, trainer
from tinytrain.train.method import TrainingContext

X, Y = images(16, 16), labels(16)
NESTED = ["netaug+distill+sam", "dml+sam"]
OVERFLOWING = 2.0**30


def network():
    """shallow() in mixed precision."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return shallow()
    finally:
        keras.config.set_dtype_policy("float32")


def made(name, folder, *more):
    """Returns the method of a training of `network`, with its optimizer."""
    words = [f"method={name}", "device.jit=false", "netaug.width_factors=[1,1.8]", "am_softmax.scale=5"]
    words += ["optim.name=sgd", "optim.ema=0", *more]
    if "distill" in name:
        network().save(folder / "teacher.keras")
        words += [f"distill.teacher={folder / 'teacher.keras'}"]
    if "tinytl" in name:
        words += ["model.weights=imagenet"]  # which `network` stands for
    config = configs.load(None, words)
    training = TrainingContext(10, 16, lambda seed, steps: tf.data.Dataset.from_tensors((X, Y)))
    method = trainer.build_method(network(), config, training)
    trainer.compile_method(method, task.of(config, [str(n) for n in range(10)]), config.optim, 10)
    return method


def statistics(method):
    return {v.path: v.numpy() for v in method.non_trainable_variables if v.name.startswith("moving_")}


@pytest.mark.parametrize(
    "name", shortened(["", *plugins.names("methods"), *NESTED], short=["", "dml", "netaug", "sam"])
)
def test_a_step_that_overflows_changes_neither_weights_nor_statistics_and_lowers_the_scale(name, tmp_path):
    method = made(name, tmp_path)
    optimizer = method.optimizer
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    optimizer.dynamic_scale.assign(OVERFLOWING)
    step = tf.function(method.train_step)
    weights, before = [v.numpy() for v in method.trainable_variables], statistics(method)
    assert before
    shown = float(step((X, Y))["loss"])
    assert np.isfinite(shown)  # or the training would end here
    assert (float(optimizer.dynamic_scale), int(optimizer.iterations)) == (OVERFLOWING / 2, 0)
    for variable, value in zip(method.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, value)
    for path, value in statistics(method).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
    optimizer.dynamic_scale.assign(2.0**6)
    for _ in range(2):
        step((X, Y))
    assert int(optimizer.iterations) == 2
    after = statistics(method)
    assert all(np.isfinite(value).all() for value in after.values())
    assert any((after[path] != before[path]).any() for path in after)
    assert any((v.numpy() != value).any() for v, value in zip(method.trainable_variables, weights, strict=True))


def test_sam_takes_no_second_pass_into_account_where_the_first_overflows(tmp_path):
    """A finite second pass would be a plain step from a point that was never moved."""
    method, gradients = made("sam", tmp_path), []
    inner = method.inner.gradients

    def first_overflows(x, objective, number):
        step = inner(x, objective, number)
        scale = tf.constant(float("inf") if not gradients else 1.0)
        gradients.append(step)
        return step._replace(gradients=[gradient * scale for gradient in step.gradients])

    method.inner.gradients = first_overflows
    weights, before = [v.numpy() for v in method.trainable_variables], statistics(method)
    scale = float(method.optimizer.dynamic_scale)
    method.train_step((X, Y))
    assert len(gradients) == 2
    assert float(method.optimizer.dynamic_scale) == scale / 2
    for variable, value in zip(method.trainable_variables, weights, strict=True):
        np.testing.assert_array_equal(variable, value)
    for path, value in statistics(method).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)
