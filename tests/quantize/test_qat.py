"""The fake-quantized graph and the .tflite against each other, against TFLM, and against what the format demands."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import architectures
from int8_models import noise_images
from keras import layers
from small_networks import BODIES, head, small, trained

from tinytrain.config.schema import Config, Optim, Qat
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import TinytrainError, UserError
from tinytrain.nn.cosine_head import with_cosine_head
from tinytrain.quantize import convert, cosine_head, qat, tf_keras_clone
from tinytrain.quantize import fine_tune as fine_tuning
from tinytrain.tflite.model import Model
from tinytrain.train import task

OPERATORS = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "AVERAGE_POOL_2D", "MAX_POOL_2D", "PAD",
    "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "RESIZE_BILINEAR",
}  # fmt: skip


def int8_of(model, floats, tflite):
    """Returns the outputs of the fake-quantized graph as the int8 values of the .tflite."""
    output = tflite.outputs[0]
    return np.round(model(floats, training=False).numpy() / output.scale[0]) + output.zero_point[0]


def assert_graph_equals_tflite(model, shape):
    """Both give the same int8 outputs on noise."""
    int8, floats = noise_images(40, shape)
    quantized = qat.quantize(tf_keras_clone.rebuild(model), floats[:20])
    tflite = convert.convert(quantized)
    assert (tflite.inputs[0].scale, tflite.inputs[0].zero_point) == ((1 / 128,), (0,))
    assert set(tflite.counts) <= OPERATORS
    difference = np.abs(int8_of(quantized, floats, tflite) - ReferenceInterpreter(tflite.content).run(int8)[0])
    assert difference.mean() <= 0.005  # of 160 outputs not one may differ
    return tflite


@pytest.mark.long
def test_mobilenet_v2_is_the_operators_that_cmsis_nn_has():
    model = small("mobilenet_v2", resolution=64, channels=1)
    tflite = convert.convert_post_training(tf_keras_clone.rebuild(model), noise_images(8, (64, 64, 1))[1])
    counts = {"CONV_2D": 35, "DEPTHWISE_CONV_2D": 17, "ADD": 10, "AVERAGE_POOL_2D": 1, "FULLY_CONNECTED": 1}
    assert tflite.counts == counts


def int8_kernel(wrapper):
    """Returns the kernel of a fake-quantized operator as it must stand in the .tflite."""
    operator = wrapper.quantize_config
    kernel = operator.variable.numpy()
    if operator.kernel == "depthwise_kernel":  # (kh, kw, C, 1) -> (1, kh, kw, C)
        return np.round(kernel.transpose(3, 0, 1, 2) / operator.weights.scale(kernel))
    return np.round(np.moveaxis(kernel / operator.weights.scale(kernel), -1, 0))  # (…, C_out) -> (C_out, …)


class Reference:
    """TensorFlow's own interpreter with its reference kernels, which keeps every tensor."""

    def __init__(self, content, int8):
        resolver = tf.lite.experimental.OpResolverType.BUILTIN_REF
        self.lite = tf.lite.Interpreter(
            model_content=content, experimental_op_resolver_type=resolver, experimental_preserve_all_tensors=True
        )
        self.lite.allocate_tensors()
        self.lite.set_tensor(self.lite.get_input_details()[0]["index"], int8)
        self.lite.invoke()
        self.details = {detail["index"]: detail for detail in self.lite.get_tensor_details()}
        weighted = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        self.operators = [node for node in self.lite._get_ops_details() if node["op_name"] in weighted]

    def real(self, tensor):
        """Returns what an int8 tensor stands for."""
        scale, zero_point = self.details[tensor]["quantization"]
        return ((self.lite.get_tensor(tensor).astype("float64") - zero_point) * scale).astype("float32")

    def with_kernel(self, kernel):
        """Returns the only operator whose int8 kernel is `kernel`, but for halves rounded the other way."""
        matches = [node for node in self.operators if self._same(node["inputs"][1], kernel)]
        assert len(matches) == 1
        return matches[0]

    def _same(self, tensor, kernel):
        own = self.lite.get_tensor(tensor)
        return own.shape == kernel.shape and (own == kernel).mean() > 0.99


@pytest.mark.parametrize("name", architectures(short=["mobilenet_v1", "mobilenet_v3_small", "resnet8"]))
def test_every_model_is_int8_and_every_operator_of_its_graph_exact(name):
    """Each convolution, given the inputs it has in TensorFlow's interpreter, gives the same int8 outputs.

    The whole graph is not compared here: noise through an untrained network of 50 layers makes much of one odd step.
    """
    int8, floats = noise_images(24, (32, 32, 3))
    quantized = qat.quantize(tf_keras_clone.rebuild(small(name)), floats)
    tflite = convert.convert(quantized)
    assert (tflite.inputs[0].scale, tflite.inputs[0].zero_point) == ((1 / 128,), (0,))
    assert set(tflite.counts) <= OPERATORS
    assert ReferenceInterpreter(tflite.content).run(int8[:1])[0].shape == (1, 5)
    reference = Reference(tflite.content, int8[:1])
    different = total = 0
    for wrapper in (wrapper for wrapper in qat.operators(quantized) if wrapper.quantize_config.kernel):
        node = reference.with_kernel(int8_kernel(wrapper))
        x, expected = reference.real(node["inputs"][0]), reference.real(node["outputs"][0])
        actual = wrapper(np.reshape(x, (1, -1)) if node["op_name"] == "FULLY_CONNECTED" else x, training=False)
        step = reference.details[node["outputs"][0]]["quantization"][0]
        steps = np.abs(actual.numpy().reshape(expected.shape) - expected) / step
        assert steps.max() < 1.01
        if (
            node["op_name"] != "FULLY_CONNECTED"
        ):  # where TensorFlow's interpreter itself is a step off TFLM's now and then
            different, total = different + (steps > 0.5).sum(), total + steps.size
    assert different <= 2e-4 * total


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("gate, reshaped", {"CONV_2D": 1, "AVERAGE_POOL_2D": 2, "MUL": 1, "FULLY_CONNECTED": 3}),
        ("gate, map kept", {"CONV_2D": 1, "AVERAGE_POOL_2D": 2, "MUL": 1, "FULLY_CONNECTED": 3}),
        ("hard swish", {"CONV_2D": 1, "HARD_SWISH": 1, "AVERAGE_POOL_2D": 1, "FULLY_CONNECTED": 1}),
        ("one learnt slope", {"CONV_2D": 1, "LEAKY_RELU": 1, "AVERAGE_POOL_2D": 1, "FULLY_CONNECTED": 1}),
        ("swish as an argument", {"CONV_2D": 1, "LOGISTIC": 1, "MUL": 1, "AVERAGE_POOL_2D": 1, "FULLY_CONNECTED": 1}),
        ("relu after a sum", {"CONV_2D": 1, "ADD": 1, "AVERAGE_POOL_2D": 1, "FULLY_CONNECTED": 1}),
        ("padding of ResNet", {"PAD": 1, "CONV_2D": 1, "AVERAGE_POOL_2D": 1, "FULLY_CONNECTED": 1}),
        ("enlarged by 2", {"CONV_2D": 1, "RESIZE_BILINEAR": 1, "AVERAGE_POOL_2D": 1, "FULLY_CONNECTED": 1}),
        ("pools", {"MAX_POOL_2D": 1, "AVERAGE_POOL_2D": 2, "FULLY_CONNECTED": 1}),
    ],
)
def test_no_operator_more_than_needed(body, expected):
    image = keras.Input((12, 12, 3))
    model = trained(keras.Model(image, head(BODIES[body](image))))
    assert assert_graph_equals_tflite(model, (12, 12, 3)).counts == expected


def test_post_training_quantization_stays_near_the_float_model():
    model = small("mobilenet_v1")
    int8, floats = noise_images(60, (32, 32, 3))
    tflite = convert.convert_post_training(tf_keras_clone.rebuild(model), floats)
    output = tflite.outputs[0]
    scores = (ReferenceInterpreter(tflite.content).run(int8)[0].astype(float) - output.zero_point[0]) * output.scale[0]
    expected = np.asarray(model(floats, training=False))
    assert np.abs(scores - expected).mean() < 0.05 * (expected.max() - expected.min())


def depthwise_net():
    image = keras.Input((8, 8, 3))
    x = layers.ReLU(6.0)(layers.Conv2D(8, 3, padding="same", name="conv")(image))
    x = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x))
    return trained(keras.Model(image, head(x)))


def test_the_input_is_pixel_minus_128_whatever_the_calibration_images_hold():
    dim = noise_images(10, (8, 8, 3))[1] / 4
    tflite = convert.convert_post_training(tf_keras_clone.rebuild(depthwise_net()), dim)
    assert (tflite.inputs[0].scale, tflite.inputs[0].zero_point) == ((1 / 128,), (0,))


def test_weights_are_quantized_per_channel_and_symmetric():
    model = depthwise_net()
    kernel, bias = model.get_layer("depthwise").get_weights()
    model.get_layer("depthwise").set_weights([kernel * 10.0 ** np.arange(-4, 4)[:, None], bias])
    tflite = convert.convert_post_training(tf_keras_clone.rebuild(model), noise_images(10, (8, 8, 3))[1])
    interpreter = tf.lite.Interpreter(model_content=tflite.content)
    weights = next(t for t in interpreter.get_tensor_details() if tuple(t["shape"]) == (1, 3, 3, 8))
    expected = np.abs(model.get_layer("depthwise").get_weights()[0]).max((0, 1, 3)) / 127
    np.testing.assert_allclose(weights["quantization_parameters"]["scales"], expected, rtol=1e-5)
    assert not weights["quantization_parameters"]["zero_points"].any()


@pytest.mark.parametrize("weight", [0.0, 1e-12, 1e-4])
def test_a_channel_that_is_all_bias_survives(weight):
    model = depthwise_net()
    kernel, bias = model.get_layer("conv").get_weights()
    kernel[..., 2], bias[2] = weight, 3.0
    model.get_layer("conv").set_weights([kernel, bias])
    assert_graph_equals_tflite(model, (8, 8, 3))


def stripes(count, seed=0):
    """Returns images whose class, of 4, is where a bright stripe lies, and one-hot labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    floats = random.uniform(-1, 0, (count, 8, 8, 3)).astype("float32")
    for image, label in zip(floats, labels, strict=True):
        image[2 * label : 2 * label + 2] += 0.9
    return floats, np.eye(4, dtype="float32")[labels]


def stripe_net():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(x)))


def fine_tune(built, x, y, steps, lr, batch=32, **qat_keys):
    """Returns the tuned model and the loss of each step, of the batches of x and y twice over."""
    config = Config(optim=Optim(label_smoothing=0.0, weight_decay=0.0), qat=Qat(lr=lr, **qat_keys))
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch, drop_remainder=True).repeat(2)
    losses = []
    tuned = fine_tuning.fine_tune(
        built, task.of(config, list("abcd")), config, batches, steps, x[:100], lambda *told: losses.append(told[2])
    )
    return tuned, losses


def tune(built, steps=30):
    return fine_tune(built, *stripes(640), steps, 0.05)


def test_fine_tuning_learns_repeats_itself_and_leaves_the_clone_alone():
    built = tf_keras_clone.rebuild(stripe_net())
    before = built.get_weights()
    tuned, losses = tune(built)
    again, same_losses = tune(built)
    assert len(losses) == 30
    assert losses[-1] < 0.5 * losses[0]
    assert losses == same_losses
    for weight, other in zip(tuned.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
    for weight, other in zip(built.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, other)
    x, y = stripes(200, seed=1)
    tflite = convert.convert(tuned)
    scores = ReferenceInterpreter(tflite.content).run(np.round(x * 128).clip(-128, 127).astype("int8"))[0]
    assert (scores.argmax(1) == y.argmax(1)).mean() > 0.9


def test_the_float_model_teaches_its_int8_self():
    """The loss of a step against the formula, in which both models are still what they were before it."""
    built = tf_keras_clone.rebuild(stripe_net())
    x, y = stripes(32)
    losses = [fine_tune(built, x, y, 1, 0.05, distill=w, temperature=2.0)[1][0] for w in (0.0, 0.7)]
    taught = tf.nn.log_softmax(np.float64(built(x, training=False)) / 2).numpy()
    answers = tf.nn.log_softmax(np.float64(qat.quantize(built, x)(x, training=True)) / 2).numpy()
    expected = 0.7 * 2**2 * -(np.exp(taught) * answers).sum(axis=1).mean()
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-4)
    assert expected > 0.1


def test_the_fine_tune_is_sgd_with_momentum_coupled_decay_and_a_cosine_by_hand():
    """The trained tf.Variables against steps computed from the gradients of the fake-quantized graph."""
    built = tf_keras_clone.rebuild(stripe_net())
    x, y = stripes(64)
    config = Config(optim=Optim(label_smoothing=0.1, weight_decay=0.01), qat=Qat(lr=0.05))
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    tuned = fine_tuning.fine_tune(built, task.of(config, list("abcd")), config, batches, 2, x)
    expected = qat.quantize(built, x)
    variables = expected.trainable_variables
    kernels = {id(operator.quantize_config.variable) for operator in qat.operators(expected)}
    velocities = [0.0] * len(variables)
    for number, (pixels, labels) in enumerate(batches):
        with tf.GradientTape() as tape:
            smooth = 0.9 * labels + 0.1 / 4
            logits = expected(pixels, training=True)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(smooth, logits))
        rate = 0.05 * 0.5 * (1 + np.cos(np.pi * number / 2))
        for place, (variable, gradient) in enumerate(zip(variables, tape.gradient(loss, variables), strict=True)):
            decay = 0.01 * variable.numpy() if id(variable) in kernels else 0.0
            velocities[place] = 0.9 * velocities[place] + gradient.numpy() + decay
            variable.assign(variable.numpy() - rate * velocities[place])
    for found, wanted in zip(tuned.trainable_variables, variables, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-5)


def test_the_decay_of_adamw_is_as_strong_in_the_velocity_of_the_fine_tune():
    """In a steady state v = λ'w/(1 − 0.9), so λ' = 0.1λ takes ηλw from a weight in a step, as AdamW does."""
    decays = {
        name: fine_tuning.optimizer_of(Config(optim=Optim(name=name, weight_decay=0.02))).weight_decay
        for name in ("adam", "adamw")
    }
    assert decays == pytest.approx({"adam": 0.02, "adamw": 0.002})


@pytest.mark.parametrize(
    "body", ["gate, map kept", "hard swish", "swish as an argument", "relu after a sum", "padding of ResNet", "pools"]
)
def test_a_fine_tune_moves_every_weight_of_any_operator_and_the_tflite_computes_its_outcome(body):
    """The operators that the architectures are made of."""
    image = keras.Input((12, 12, 3))
    built = tf_keras_clone.rebuild(trained(keras.Model(image, head(BODIES[body](image)))))
    int8, floats = noise_images(40, (12, 12, 3))
    before = qat.quantize(built, floats)
    tuned, _ = fine_tune(built, floats, np.eye(4, dtype="float32")[np.arange(40) % 4], 2, 0.01, batch=20)
    for old, new in zip(before.trainable_variables, tuned.trainable_variables, strict=True):
        assert np.isfinite(new.numpy()).all(), new.name
        assert np.abs(new.numpy() - old.numpy()).max() > 0, new.name
    tflite = convert.convert(tuned)
    difference = np.abs(int8_of(tuned, floats, tflite) - ReferenceInterpreter(tflite.content).run(int8)[0])
    assert difference.mean() <= 0.005  # of 160 outputs not one may differ


def test_the_ranges_start_from_the_calibration_images():
    built = tf_keras_clone.rebuild(stripe_net())
    x, _ = stripes(100)
    ranges = qat.ranges(built, x)
    logits = np.stack([built(part, training=False).numpy() for part in np.split(x, 2)])  # batches of 50
    assert ranges["dense" if "dense" in ranges else built.layers[-1].name] == pytest.approx(
        (logits.min((1, 2)).mean(), logits.max((1, 2)).mean()), rel=1e-4
    )


def test_no_steps_is_post_training_quantization():
    built = tf_keras_clone.rebuild(stripe_net())
    x, _ = stripes(100)
    tuned, _ = fine_tune(built, x, x, 0, 0.1)
    np.testing.assert_array_equal(tuned(x, training=False), qat.quantize(built, x)(x, training=False))


def test_too_few_batches_a_loss_that_is_none_and_no_calibration_are_refused():
    built = tf_keras_clone.rebuild(stripe_net())
    x, y = stripes(32)
    with pytest.raises(UserError, match="after 2 of 3 steps"):
        fine_tune(built, x, y, 3, 0.1)
    with pytest.raises(UserError, match="loss of the fine-tune is nan at step 1"):
        fine_tune(built, x, y * np.nan, 1, 0.1)
    with pytest.raises(UserError, match="no calibration images"):
        qat.quantize(built, x[:0])


def test_weights_that_the_last_step_broke_are_refused():
    x, y = stripes(32)
    with pytest.raises(UserError, match="weights are not finite"):
        fine_tune(tf_keras_clone.rebuild(stripe_net()), x, y, 1, 1e39)


def test_check_int8_names_the_operator_that_is_not():
    weights = tf.ones((3, 3, 3, 4))

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32)])
    def network(x):
        return tf.nn.conv2d(x, weights, 1, "SAME")

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    with pytest.raises(TinytrainError, match=r"CONV_2D.*float32"):
        convert.check_int8(Model.parse(converter.convert()))


def test_conversion_is_silent(capfd):
    convert.convert_untrained(stripe_net())
    assert capfd.readouterr() == ("", "")


@pytest.mark.long
def test_an_untrained_conversion_has_the_size_of_a_trained_one():
    model = keras.models.clone_model(small("mobilenet_v1"))
    size = len(convert.convert_untrained(model).content)
    real = convert.convert_post_training(tf_keras_clone.rebuild(trained(model)), noise_images(4, (32, 32, 3))[1])
    assert size == pytest.approx(len(real.content), rel=0.002)


def cosine_net(factor=1.0):
    """A small network with a cosine head whose features are `factor` times as long."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = layers.ReLU()(layers.Conv2D(16, 3, name="conv")(image))
    plain = trained(keras.Model(image, head(x)))
    plain.get_layer("conv").set_weights([factor * w for w in plain.get_layer("conv").get_weights()])
    return plain, with_cosine_head(plain)


def test_a_cosine_head_is_one_fully_connected_operator():
    plain, model = cosine_net()
    int8, floats = noise_images(60, (8, 8, 3))
    linear = cosine_head.linear(model, floats, 3.0)
    assert tf_keras_clone.check_equal(linear, tf_keras_clone.rebuild(linear)) <= tf_keras_clone.TOLERANCE
    tflite = convert.convert_post_training(tf_keras_clone.rebuild(linear), floats)
    counts = tflite.counts
    assert counts == convert.convert_post_training(tf_keras_clone.rebuild(plain), floats).counts
    assert counts == convert.convert_untrained(model).counts
    assert counts["FULLY_CONNECTED"] == 1
    # The classes of every image in the order of the float model, where two do not differ by less than a rounding.
    cosines = np.asarray(model(floats))
    scores = ReferenceInterpreter(tflite.content).run(int8)[0].astype(int)
    near = 0.05 * np.ptp(cosines)
    for a, b in np.ndindex(4, 4):
        apart = cosines[:, a] - cosines[:, b] > near
        assert (scores[:, a] > scores[:, b])[apart].all()
    assert (np.ptp(np.sort(cosines)[:, -2:], axis=1) > near).sum() > 10


def test_the_logits_of_the_linear_head_are_those_of_the_loss_by_hand():
    for factor in (1.0, 40.0):
        model = cosine_net(factor)[1]
        _, floats = noise_images(120, (8, 8, 3))
        x = np.float64(keras.Model(model.input, model.get_layer("pool").output)(floats))
        lengths = np.sqrt((x**2).sum(axis=1))
        kernel = np.float64(model.get_layer("logits").kernel)
        expected = 5.0 * (x / lengths[:, None]) @ kernel * (lengths / lengths.mean())[:, None]
        linear = cosine_head.linear(model, floats, 5.0)
        np.testing.assert_allclose(linear(floats), expected, atol=1e-4)
        assert not any(isinstance(layer, layers.UnitNormalization) for layer in linear.layers)
        np.testing.assert_allclose(model.get_layer("logits").kernel, kernel, atol=0)  # that of the run is left alone


def test_a_model_without_cosine_head_is_left_alone():
    model = stripe_net()
    assert cosine_head.linear(model, noise_images(4, (8, 8, 3))[1], 3.0) is model
    assert cosine_head.without_norm(model) is model


@pytest.mark.parametrize(
    "case", ["a bias behind", "an activation behind", "no classifier behind", "read twice", "rows"]
)
def test_a_normalization_that_int8_needs_is_refused_by_its_name(case):
    image = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(8, 3)(image))
    y = layers.UnitNormalization(axis=0 if case == "rows" else -1, name="unit")(x)
    biased, activation = case == "a bias behind", "relu" if case == "an activation behind" else None
    y, z = layers.Dense(8, activation, use_bias=biased)(y), y
    y = layers.Dense(4)(y) if case == "no classifier behind" else y
    model = keras.Model(image, [y, z] if case == "read twice" else y)
    with pytest.raises(UserError, match="'unit' of class UnitNormalization cannot be exported to int8"):
        tf_keras_clone.rebuild(cosine_head.without_norm(model))
