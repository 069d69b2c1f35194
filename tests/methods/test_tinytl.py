"""TinyTL: what is trained and what is kept, and that the network computes what it should before, during and after."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import shortened
from keras import layers
from sklearn.cluster import KMeans
from small_networks import outputs, small

from tinytrain.config import plugins
from tinytrain.config.method_keys import Tinytl
from tinytrain.config.schema import Config, Model
from tinytrain.deploy.tflm.interpreter import ReferenceInterpreter
from tinytrain.errors import UserError
from tinytrain.methods import tinytl
from tinytrain.methods.tinytl import TinyTL, memory_saving_layers
from tinytrain.quantize import convert, tf_keras_clone
from tinytrain.train.method import Method, TrainingContext

CLASSES = 5
# MobileNetV2-Tiny at width 0.35 and 144 pixels: channels in, channels out and side of the input of each inverted
# residual block; methods.md B.2. The expansion is 6.
BLOCKS = [
    *[(8, 8, 72), (8, 8, 36)],
    *[(8, 16, 36), (16, 16, 18), (16, 16, 18)],
    *[(16, 24, 18), (24, 24, 9), (24, 24, 9), (24, 24, 9)],
    *[(24, 32, 9), (32, 32, 9), (32, 32, 9)],
    *[(32, 56, 9), (56, 56, 5), (56, 56, 5)],
    (56, 112, 5),
]
BETAS = 16 + 16 + 8 + sum(2 * 6 * inputs + out for inputs, out, _ in BLOCKS) + 448  # stem, block 0, blocks, head


def lite_parameters(inputs, out, side):
    """Returns what A.9 counts in a lite residual module: k x k in 2 groups, γ and β, 1x1, γ."""
    kernel = min(5, side // 2 - (1 - side // 2 % 2))  # the largest odd number that half the side has pixels
    return kernel**2 * inputs // 2 * inputs + 2 * inputs + inputs * out + out


def transfer(model, classes=CLASSES, steps=3, **options):
    """Returns TinyTL around `model` after `steps` steps on noise."""
    method = TinyTL(model, **options)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    method.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=True)  # to trace 3 steps takes far longer
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (4, *model.input_shape[1:])).astype("float32")
    y = np.eye(classes, dtype="float32")[random.integers(0, classes, 4)]
    method.fit(x, y, epochs=steps, verbose=0)
    return method


@pytest.fixture(scope="module")
def transferred():
    """Returns a function that gives a network and TinyTL around it after a few steps, the same to all who ask."""

    @functools.cache
    def of(name, resolution, norm):
        plain = small(name, resolution=resolution)
        return plain, transfer(plain, norm=norm)

    return of


def same(values, expected):
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def values(model):
    """Returns {"layer variable": value} of all weights."""
    return {f"{layer.name} {w.name}": w.numpy() for layer in model.layers for w in layer.weights}


@pytest.mark.parametrize(("residual", "extra"), [(True, sum(lite_parameters(*block) for block in BLOCKS)), (False, 0)])
def test_as_many_parameters_are_trained_as_counted_by_hand(residual, extra):
    model = plugins.load("models", "mobilenet_v2_tiny").build(classes=10, resolution=144, channels=3, width=0.35)
    trained = TinyTL(model, residual=residual).trainable_variables
    assert sum(np.prod(variable.shape) for variable in trained) == BETAS + 448 * 10 + 10 + extra


@pytest.mark.parametrize(
    ("name", "blocks"),
    {
        "mobilenet_v2": 16,
        "mobilenet_v3_large": 14,
        "mobilenet_v3_small": 10,
        "efficientnet_b0": 15,
        "mcunet": 17,
        "proxylessnas": 19,
        "mobilenet_v1": 0,
        "resnet50": 0,
    }.items(),
)
def test_the_inverted_blocks_of_each_architecture_are_found(name, blocks):
    model = plugins.load("models", name).build(classes=2, resolution=64, channels=3, width=0.25)
    found_blocks = tinytl.inverted_blocks(model)
    assert [block.name for block in found_blocks] == [f"block{number}" for number in range(1, blocks + 1)]


@pytest.mark.parametrize("norm", shortened(["batch", "group"], short=["batch"]))
def test_steps_change_what_is_trained_and_nothing_else(transferred, norm):
    plain, method = transferred("mobilenet_v3_small", 52, norm)
    before = values(TinyTL(plain, norm).network)
    after = values(method.network)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    lite = {name for name in before if "_lite_" in name and not name.endswith("_lite_project_bn beta")}
    biases = {name for name in before if "_lite_" not in name and name.endswith((" beta", " bias"))}
    expected = lite | biases | {"logits kernel"}
    assert changed <= expected
    # zero gradients remain: behind γ = 0, and of a few biases, behind gates and ReLUs that are shut for 4 images
    assert len(changed) > 0.9 * len(expected)
    assert {name for name in biases if "_project_bn" in name or "logits" in name} <= changed


@pytest.mark.parametrize(
    ("name", "resolution"), [("mobilenet_v2", 32), ("mobilenet_v2", 80), ("mobilenet_v3_large", 52)]
)
def test_at_first_the_network_computes_what_the_plain_model_does(name, resolution):
    model = small(name, resolution=resolution)
    expected = outputs(model)
    method = TinyTL(model)
    same(outputs(method.network), expected)
    same(outputs(method.finish()), expected)


@pytest.mark.parametrize(
    ("name", "resolution", "norm"),
    [
        ("mobilenet_v3_small", 52, "batch"),
        pytest.param("mobilenet_v3_small", 52, "group", marks=pytest.mark.long),
        pytest.param("mobilenet_v2", 40, "batch", marks=pytest.mark.long),
    ],
)
def test_the_finished_model_computes_what_was_trained(transferred, name, resolution, norm, tmp_path):
    plain, method = transferred(name, resolution, norm)
    before = outputs(plain)
    finished = method.finish()
    expected = outputs(method.network)
    assert not np.allclose(expected, before, rtol=0, atol=0.05 * np.abs(before).max())
    same(outputs(finished), expected)
    assert all(type(layer).__module__.startswith("keras.") for layer in finished.layers)
    finished.save(tmp_path / "model.keras")
    same(outputs(keras.saving.load_model(tmp_path / "model.keras")), expected)


def test_the_lite_residual_module_is_the_released_one_for_sides_that_divide():
    """One block at 8x8 worked in numpy: pooling, two groups, norm, ReLU, 1x1, norm, upsampling."""
    block = tinytl.Block("b", "", "", 6, 8, 1)
    image = keras.Input((8, 8, 8))
    model = keras.Model(image, tinytl.lite_residual(image, block, "batch", 1e-3, "float32"))
    random = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([random.uniform(0.5, 1.5, w.shape) - ("kernel" in w.name) for w in layer.weights])
    w = values(model)
    x = random.normal(size=(1, 8, 8, 8)).astype("float32")
    pooled = x.reshape(1, 4, 2, 4, 2, 8).mean((2, 4))
    padded = np.pad(pooled, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = w["b_lite_conv kernel"]  # (3, 3, 4, 8): 5 is larger than the pooled map
    y = np.zeros((1, 4, 4, 8))
    for group, i, j in np.ndindex(2, 3, 3):
        part = slice(4 * group, 4 * group + 4)
        y[..., part] += padded[:, i : i + 4, j : j + 4, part] @ kernel[i, j][:, part]
    y = np.maximum(normalized(y, w, "b_lite_bn"), 0) @ w["b_lite_project_conv kernel"][0, 0]
    y = normalized(y, w, "b_lite_project_bn")
    rows = np.array([np.interp((np.arange(8) - 0.5) / 2, range(4), unit) for unit in np.eye(4)]).T  # of one axis
    np.testing.assert_allclose(model(x), np.einsum("yh,xw,bhwc->byxc", rows, rows, y), rtol=0, atol=1e-4)


def normalized(x, w, name):
    gamma, beta, mean, variance = (w[f"{name} {part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance"))
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


@pytest.mark.parametrize(
    ("side", "kernel", "kinds"),
    [
        (20, 5, {"AveragePooling2D", "UpSampling2D"}),
        (8, 3, {"AveragePooling2D", "UpSampling2D"}),
        (7, 3, {"AveragePooling2D", "Resizing"}),
        (4, 1, {"AveragePooling2D", "UpSampling2D"}),
        (3, 1, {"GlobalAveragePooling2D", "UpSampling2D"}),
        (1, 1, {"GlobalAveragePooling2D"}),
    ],
)
def test_kernel_and_pooling_fit_the_side(side, kernel, kinds):
    image = keras.Input((side, side, 8))
    y = tinytl.lite_residual(image, tinytl.Block("b", "", "", 16, side, 1), "batch", 1e-3, "float32")
    model = keras.Model(image, y)
    assert y.shape == (None, side, side, 16)
    assert model.get_layer("b_lite_conv").kernel_size == (kernel, kernel)
    assert model.get_layer("b_lite_conv").groups == 2
    assert kinds == {type(layer).__name__ for layer in model.layers} & {
        *("AveragePooling2D", "GlobalAveragePooling2D", "UpSampling2D", "Resizing")
    }


def test_group_norm_and_standardized_weights_are_the_formulas():
    image = keras.Input((4, 4, 3))
    x = layers.Conv2D(16, 3, use_bias=False, name="conv")(image)
    x = layers.BatchNormalization(epsilon=1e-3, name="bn")(x)
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    random = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    w, x = values(model), random.normal(size=(2, 4, 4, 3)).astype("float32")
    kernel = w["conv kernel"]
    for f in range(16):
        one = kernel[..., f]
        kernel[..., f] = (one - one.mean()) / (one.std(ddof=1) + 1e-5)
    y = np.stack([np.tensordot(x[:, i : i + 3, j : j + 3], kernel, 3) for i, j in np.ndindex(2, 2)], 1)  # (2, 4, 16)
    for group in np.split(np.arange(16), 2):  # 8 channels each
        part = y[..., group]
        mean, variance = part.mean((1, 2), keepdims=True), part.var((1, 2), keepdims=True)
        y[..., group] = (part - mean) / np.sqrt(variance + 1e-3)
    y = np.maximum(y * w["bn gamma"] + w["bn beta"], 0).mean(1) @ w["logits kernel"] + w["logits bias"]
    np.testing.assert_allclose(TinyTL(model, "group", residual=False).network(x), y, rtol=0, atol=1e-5)


def test_depthwise_weights_are_standardized_channel_by_channel():
    kernel = np.random.default_rng(0).normal(2, 3, (3, 3, 4, 1)).astype("float32")
    expected = (kernel - kernel.mean((0, 1))) / (kernel.std((0, 1), ddof=1) + 1e-5)
    np.testing.assert_allclose(memory_saving_layers.standardized(kernel, depthwise=True), expected, rtol=0, atol=1e-5)


def test_k_means_is_that_of_scikit_learn():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 20, 10)).astype("float32")
    begin = np.linspace(kernel.min(), kernel.max(), 12, dtype="float64").reshape(-1, 1)
    other = KMeans(12, init=begin, n_init=1, max_iter=20, tol=0).fit(kernel.reshape(-1, 1).astype("float64"))
    expected = other.cluster_centers_[other.labels_].reshape(kernel.shape)
    np.testing.assert_allclose(tinytl.clustered(kernel, 12), expected, rtol=0, atol=1e-4)


def test_frozen_weights_take_256_values_a_layer_and_lose_less_than_even_steps():
    model = small("mobilenet_v2")
    before = values(model)
    after = values(TinyTL(model, weight_bits=8).network)
    for name in before:
        if name == "logits kernel" or not name.endswith(" kernel"):
            np.testing.assert_array_equal(after[name], before[name])
        else:
            assert len(np.unique(after[name])) <= 256
            step = np.ptp(before[name]) / 255
            evenly = np.round((before[name] - before[name].min()) / step) * step + before[name].min()
            assert np.square(after[name] - before[name]).sum() <= np.square(evenly - before[name]).sum()


@pytest.mark.parametrize(
    ("plain", "lean"),
    [
        (layers.ReLU(), memory_saving_layers.MaskReLU()),
        (layers.ReLU(6.0), memory_saving_layers.MaskReLU(6.0)),
        (layers.Activation("hard_swish"), memory_saving_layers.HardSwish("hard_swish")),
    ],
)
def test_lean_activations_have_the_values_and_gradients_of_tensorflow(plain, lean):
    x = tf.constant([-5.0, -3.5, -2.0, -1.5, 0.0, 1e-6, 0.7, 2.9, 3.1, 5.9, 6.0, 6.1, 100.0])
    upstream = tf.range(1.0, 14.0)
    results = []
    for layer in (plain, lean):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        results.append((y, tape.gradient(y, x, upstream)))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6, atol=1e-6)


@pytest.mark.long
def test_the_gradients_are_those_of_the_finished_model():
    method = transfer(small("mobilenet_v2", resolution=32), residual=False)
    finished = method.finish()
    x = np.random.default_rng(1).uniform(-1, 1, (4, 32, 32, 3)).astype("float32")
    gradients = []
    for network in (method.network, finished):
        variables = {f"{layer.name} {w.name}": w for layer in network.layers for w in layer.weights}
        variables = [variables[name] for name in sorted(variables) if name.endswith((" beta", " bias"))]
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(x, training=False) ** 2)
        gradients.append(tape.gradient(loss, [variable.value for variable in variables]))
    for ours, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * max(float(np.abs(expected).max()), 1e-3))


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large"])
def test_a_step_that_trains_biases_keeps_a_byte_for_each_value_of_a_relu(name):
    """Of the forward graph, the gradients read the masks, the inputs of smooth functions and of the classifier."""
    network = TinyTL(small(name, resolution=64), residual=False).network
    masks = sum(np.prod(layer.output.shape[1:]) for layer in network.layers if isinstance(layer, layers.ReLU))
    smooth = [layer for layer in network.layers if isinstance(layer, layers.Activation)]
    floats = sum(np.prod(layer.input.shape[1:]) for layer in [*smooth, network.get_layer("logits")])
    gates = [layer for layer in network.layers if isinstance(layer, layers.Multiply)]
    floats += sum(np.prod(x.shape[1:]) for layer in gates for x in layer.input)
    dropped = network.get_layer("logits").input.shape[1]  # a byte for each
    assert kept_bytes(network) == 7 * (masks + 4 * floats + dropped)


def kept_bytes(network, images=7):
    """Returns the bytes of what the gradients of the trained variables read of the forward graph for `images`."""
    forward = set()

    def gradients(x):
        with tf.GradientTape() as tape:
            y = network(x, training=True)
        forward.update(op.name for op in x.graph.get_operations())
        return tape.gradient(y, [variable.value for variable in network.trainable_variables])

    shape = (images, *network.input_shape[1:])
    graph = tf.function(gradients).get_concrete_function(tf.TensorSpec(shape))
    waiting, seen, kept = {tensor.op for tensor in graph.outputs}, set(), {}
    while waiting:
        op = waiting.pop()
        seen.add(op.name)
        read = [] if op.type.startswith("Shape") else op.inputs
        kept |= {x.name: x for x in read if x.op.name in forward and x.shape.rank and x.shape[0] == images}
        waiting |= {x.op for x in read if x.op.name not in forward | seen}
    return sum(np.prod(x.shape) * x.dtype.size for x in kept.values())


def config(**options):
    return Config(method="tinytl", **{"model": Model("mobilenet_v2", weights="imagenet")} | options)


def training():
    return TrainingContext(1, 4, lambda seed, steps: None)


def test_random_weights_are_refused():
    with pytest.raises(UserError, match=r"model\.weights = '' makes them random"):
        tinytl.build(small("mobilenet_v2"), config(model=Model("mobilenet_v2")), training())


def test_another_method_inside_is_refused():
    with pytest.raises(UserError, match="tinytl changes the network itself: expected it as the first one"):
        tinytl.build(Method(small("mobilenet_v2")), Config(method="sam+tinytl"), training())


def test_a_model_without_inverted_blocks_is_refused_and_trains_biases():
    model = small("resnet8")
    with pytest.raises(UserError, match="'resnet8' has no inverted residual block"):
        tinytl.build(model, config(), training())
    method = tinytl.build(model, config(tinytl=Tinytl(residual=False)), training())
    assert {variable.name for variable in method.trainable_variables} == {"beta", "bias", "kernel"}
    same(outputs(method.network), outputs(model))


def test_group_norm_is_refused_by_the_export():
    with pytest.raises(UserError, match="'stem_bn' of class GroupNormalization cannot be exported to int8"):
        tf_keras_clone.rebuild(TinyTL(small("mobilenet_v2"), "group").finish())


@pytest.mark.long
def test_the_finished_model_runs_in_int8(transferred):
    model = transferred("mobilenet_v2", 40, "batch")[1].finish()
    built = tf_keras_clone.rebuild(model)
    assert tf_keras_clone.check_equal(model, built) <= tf_keras_clone.TOLERANCE
    images = np.random.default_rng(0).integers(-128, 128, (8, 40, 40, 3), np.int8)
    tflite = convert.convert_post_training(built, images.astype("float32") / 128)
    counts = tflite.counts  # a grouped convolution is one CONV_2D; a map of one pixel needs no RESIZE
    assert {name: counts[name] for name in ("CONV_2D", "ADD")} == {"CONV_2D": 35 + 32, "ADD": 10 + 16}
    assert counts["RESIZE_BILINEAR"] == 16
    assert ReferenceInterpreter(tflite.content).run(images)[0].shape == (8, CLASSES)
