"""The averages of the weights: their formula, worked by hand, and what a training evaluates and keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tinytrain.commands import fit as train
from tinytrain.config import load as configs
from tinytrain.train.averaging import Averaging
from tinytrain.train.method import Method

SHORT = ["model.name=resnet8", "model.width=0.25", "model.stem=cifar", "model.resolution=16", "data.check=false"]
SHORT += ["data.train_images=128", "optim.epochs=2", "optim.batch=32", "optim.warmup_epochs=0", "optim.lr=0.1"]


def small_method(decay):
    """Returns averages around plain training of four weights, and the method that is averaged."""
    image = keras.Input((2, 2, 1))
    x = keras.layers.BatchNormalization(momentum=0.5, name="norm")(image)
    x = keras.layers.Dense(1, use_bias=False, name="head")(keras.layers.Flatten()(x))
    inner = Method(keras.Model(image, x, name="small"))
    averaging = Averaging(inner, decay)
    averaging.compile(keras.optimizers.SGD(0.1), lambda y, outputs: tf.reduce_mean(tf.square(y - outputs)))
    averaging.optimizer.build(averaging.trainable_variables)
    return averaging, inner


def test_an_average_of_three_values_is_what_the_formula_gives_by_hand():
    """1, then 2, 5 and 3 with decays 1/10, 2/11 and 3/12, all below the limit of 0.9, then 7 with 0.25 of a limit.

    0.1·1 + 0.9·2 = 1.9;  (2·1.9 + 9·5)/11 = 48.8/11;  48.8/11/4 + 3·3/4 = 3.359090…
    """
    averaging, inner = small_method(0.9)
    variable = inner.trainable_variables[0]
    average = averaging.averages[0]
    average.assign(np.ones(average.shape, np.float32))
    for number, value in enumerate((2.0, 5.0, 3.0)):
        variable.assign(np.full(variable.shape, value, np.float32))
        averaging.after_step(tf.constant(number))
    np.testing.assert_allclose(average.numpy(), 48.8 / 44 + 2.25, rtol=1e-6)
    averaging.decay = 0.25  # below (1 + 3)/(10 + 3)
    variable.assign(np.full(variable.shape, 7.0, np.float32))
    averaging.after_step(tf.constant(3))
    np.testing.assert_allclose(average.numpy(), (48.8 / 44 + 2.25) / 4 + 7 * 0.75, rtol=1e-6)


def test_every_step_counts_the_last_one_too_and_so_do_the_running_statistics():
    averaging, inner = small_method(0.4)
    averaged = [*inner.trainable_variables, *inner.running_statistics()]
    assert {variable.name for variable in averaged} == {"gamma", "beta", "kernel", "moving_mean", "moving_variance"}
    expected = [variable.numpy().astype(np.float64) for variable in averaged]
    rng, step = np.random.default_rng(0), tf.function(averaging.train_step)
    for number in range(6):
        x, y = rng.normal(1, 2, (8, 2, 2, 1)).astype(np.float32), rng.normal(size=(8, 1)).astype(np.float32)
        step((tf.constant(x), tf.constant(y)))
        decay = min(0.4, (1 + number) / (10 + number))
        expected = [decay * old + (1 - decay) * new.numpy() for old, new in zip(expected, averaged, strict=True)]
    for average, value, variable in zip(averaging.averages, expected, averaged, strict=True):
        np.testing.assert_allclose(average.numpy(), value, rtol=1e-5, atol=1e-7)
        assert np.abs(average.numpy() - variable.numpy()).max() > 1e-4


def test_what_a_training_leaves_is_the_average_with_its_last_step_in():
    """The weights after each of six steps in two epochs, averaged by the formula, are what the network ends with."""
    averaging, inner = small_method(0.4)
    averaged = [*inner.trainable_variables, *inner.running_statistics()]
    after_steps = [[variable.numpy().astype(np.float64) for variable in averaged]]

    class Seen(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            after_steps.append([variable.numpy().astype(np.float64) for variable in averaged])

    rng = np.random.default_rng(1)
    x, y = rng.normal(1, 2, (24, 2, 2, 1)).astype("float32"), rng.normal(size=(24, 1)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    callbacks = [*averaging.callbacks(), Seen()]
    averaging.fit(data, epochs=2, verbose=0, shuffle=False, validation_data=data, callbacks=callbacks)
    expected, *trained = after_steps
    assert len(trained) == 6
    for number, weights in enumerate(trained):
        decay = min(0.4, (1 + number) / (10 + number))
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, weights, strict=True)]
    for variable, value in zip(averaged, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-7)
    assert max(np.abs(value - last).max() for value, last in zip(expected, trained[-1], strict=True)) > 1e-3


def test_an_exchange_swaps_both_and_a_second_one_brings_all_back():
    averaging, inner = small_method(0.5)
    for number, average in enumerate(averaging.averages):
        average.assign(np.full(average.shape, number + 2.0, np.float32))
    weights = [variable.numpy() for variable in inner.network.variables]
    averaging.exchange()
    np.testing.assert_array_equal(inner.trainable_variables[1].numpy(), [3.0])
    averaging.exchange()
    for variable, before in zip(inner.network.variables, weights, strict=True):
        np.testing.assert_array_equal(variable.numpy(), before)


@pytest.mark.parametrize("kept", ["last", "best"])
def test_the_averages_are_saved_and_the_training_goes_on_from_the_trained_weights(tmp_path, kept):
    """Averaging changes nothing of the training itself: its losses are those of the same one without it."""
    words = [*SHORT, f"optim.checkpoint={kept}"]
    run = train.fit(configs.load(None, [*words, "optim.ema=0.6"]), tmp_path / "averaged")
    plain = train.fit(configs.load(None, words), tmp_path / "plain")
    assert [row["loss"] for row in run.history()] == [row["loss"] for row in plain.history()]
    assert [row["val_loss"] for row in run.history()] != [row["val_loss"] for row in plain.history()]
    own, other = (keras.saving.load_model(each.model_path).get_weights() for each in (run, plain))
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(own, other, strict=True))
