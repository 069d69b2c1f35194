"""NetAug against the specification's numbers and against plain Keras networks of the same widths."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import architectures
from small_training import EXPANSIONS, WIDTHS, compiled, images, labels, netaug, shallow

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.errors import UserError
from tinytrain.methods.netaug import batch_statistics, build, default_width_factors, recalibrate, spaced_factors
from tinytrain.methods.netaug.super_network import SuperNetwork
from tinytrain.nn import macs
from tinytrain.train import optimizers
from tinytrain.train.averaging import Averaging
from tinytrain.train.method import Method, Objective, TrainingContext
from tinytrain.train.optimizers.sgd import SGD


def tiny(name="mobilenet_v2_tiny", resolution=32, classes=10, width=None):
    defaults = plugins.load("models", name).DEFAULTS
    return plugins.load("models", name).build(
        classes=classes, channels=3, resolution=resolution, width=width or defaults["width"]
    )


def randomized(model, seed=3):
    """Sets every weight to noise, variances to positive noise, so that nothing is equal by accident."""
    random = np.random.default_rng(seed)
    for variable in model.variables:
        values = random.normal(0.3, 0.4, variable.shape)
        variable.assign(np.abs(values) + 0.5 if variable.name == "moving_variance" else values)


def kernel_parameters(model):
    """Parameters of convolutions and dense layers, BatchNorm left out, as methods.md A.2 counts them."""
    counted = [layer for layer in model.layers if not isinstance(layer, keras.layers.BatchNormalization)]
    return sum(int(np.prod(variable.shape)) for layer in counted for variable in layer.trainable_variables)


@pytest.mark.parametrize(
    ("name", "resolution", "width", "factors", "smallest", "largest"),
    [
        ("mobilenet_v2_tiny", 144, 0.35, WIDTHS, (737_864, 23.499), (5_746_567, 334.43)),
        ("mobilenet_v2_tiny", 144, 0.35, [1.0], (737_864, 23.499), (1_166_362, 56.13)),
        ("mobilenet_v2", 160, 0.35, WIDTHS, (1_663_048, 30.875), (8_539_000, 412.17)),
        ("proxylessnas", 160, 0.35, WIDTHS, (1_767_376, 35.717), (9_644_234, 453.54)),
        ("mcunet", 176, 1.0, [1.0, 1.6, 2.2], (722_032, 81.786), (7_179_699, 866.25)),
    ],
)
def test_super_networks_have_the_sizes_of_the_specification(name, resolution, width, factors, smallest, largest):
    model = tiny(name, resolution, 1000, width)
    network = SuperNetwork(model, factors, EXPANSIONS)
    assert kernel_parameters(model) == smallest[0]
    assert network.macs(network.smallest) / 1e6 == pytest.approx(smallest[1], abs=0.01)
    assert kernel_parameters(network.model) == largest[0]
    assert network.macs(network.largest) / 1e6 == pytest.approx(largest[1], abs=0.01)
    assert network.macs(network.largest) == macs.count(network.model)


@pytest.mark.parametrize(
    ("base", "factors", "expected"),
    [
        (8, WIDTHS, [8, 14, 21]),
        (16, WIDTHS, [16, 29, 42]),
        (56, WIDTHS, [56, 101, 146]),
        (448, WIDTHS, [448, 806, 1165]),
        (8, [1.0, 1.6, 2.2], [8, 13, 18]),
        (96, [1.0, 1.6, 2.2], [96, 154, 211]),
    ],
)
def test_widths_are_rounded_to_one(base, factors, expected):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(base, 3, padding="same", name="stem")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = SuperNetwork(keras.Model(image, keras.layers.Dense(10)(x)), factors, EXPANSIONS)
    assert sorted({tuple(choice.widths) for choice in network.choices}) == sorted([(3,), tuple(expected), (10,)])


@pytest.mark.parametrize("name", architectures(short=["mobilenet_v2_tiny", "mobilenet_v3_small", "resnet8"]))
def test_the_sliced_tiny_network_is_the_plain_one(name):
    model = tiny(name, width={"resnet50": 0.125, "efficientnet_b0": 0.25, "mobilenet_v1": 0.125}.get(name))
    randomized(model)
    network = SuperNetwork(model, WIDTHS, EXPANSIONS)
    randomized(network.model, seed=5)
    network.copy_weights(model, to_tiny=False)
    x = images()
    scale = float(np.abs(model(x, training=False)).max())
    logits = network(x, network.smallest, training=False)
    np.testing.assert_allclose(logits, model(x, training=False), atol=1e-5 * scale)
    assert network.smallest != network.largest
    expected = model(x, training=True)
    logits = network(x, network.smallest, training=True)
    np.testing.assert_allclose(logits, expected, atol=2e-4 * float(np.abs(expected).max()))
    largest = network(x, network.largest, training=False)
    np.testing.assert_allclose(largest, network.model(x, training=False), atol=1e-5 * float(np.abs(largest).max()))


def test_training_updates_the_first_channels_of_the_running_statistics():
    model = tiny()
    network = SuperNetwork(model, WIDTHS, EXPANSIONS)
    network.copy_weights(model, to_tiny=False)
    method = Method(model)
    x = images()
    method.network(x, training=True)
    network(x, network.smallest, training=True)
    ours, theirs = network.model.get_layer("stem_bn"), method.network.get_layer("stem_bn")
    np.testing.assert_allclose(ours.moving_mean[:16], theirs.moving_mean, atol=1e-6)
    np.testing.assert_allclose(ours.moving_variance[:16], theirs.moving_variance, atol=1e-6)
    np.testing.assert_array_equal(ours.moving_mean[16:], np.zeros(26))


class Doubled(Method):
    """Plain training with twice the gradient: what two passes of the same network add up to."""

    def gradients(self, x, objective, number):
        step = super().gradients(x, objective, number)
        return step._replace(gradients=[2 * gradient for gradient in step.gradients])


def test_factors_of_one_train_as_without_netaug():
    first, second = tiny(), tiny()
    second.set_weights(first.get_weights())
    ours, plain = compiled(netaug(first, [1.0], [1.0])), compiled(Doubled(second))
    before = [variable.numpy() for variable in ours.trainable_variables]
    for step in range(6):
        x, y = images(seed=step), labels(seed=step)
        ours.train_step((x, y))
        plain.train_step((x, y))
    for own, expected in zip(ours.trainable_variables, plain.trainable_variables, strict=True):
        np.testing.assert_allclose(own, expected, atol=2e-4)  # float32 noise of six steps through 20 BatchNorms
    moved = [np.abs(variable - old).max() for variable, old in zip(ours.trainable_variables, before, strict=True)]
    assert np.median(moved) > 1e-2


def cut(network, widths):
    """Returns a plain Keras model of these widths that holds the first channels of everything."""

    def clone(layer):
        config = layer.get_config()
        written = {call.layer.name: widths[network.group_of[call.output]] for call in network.graph.calls}
        for key in ("filters", "units"):
            if key in config:
                config[key] = written[layer.name]
        return type(layer).from_config(config)

    small = keras.models.clone_model(network.model, clone_function=clone)
    for layer in small.layers:
        for variable, whole in zip(layer.variables, network.model.get_layer(layer.name).variables, strict=True):
            variable.assign(whole.numpy()[tuple(slice(0, side) for side in variable.shape)])
    return small


def test_the_gradient_is_the_sum_of_two_plain_networks():
    method = compiled(netaug(shallow()))
    kinds = [choice.group.kind for choice in method.super_network.choices]
    assert [kinds.count(kind) for kind in ("fixed", "outer", "inner", "squeezed")] == [2, 3, 2, 1]
    x, y = images(32, resolution=16), labels(32)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    drawn = [int(width) for width in method.draw_widths(tf.constant(7))]
    expected = [np.zeros(variable.shape, np.float64) for variable in method.trainable_variables]
    for widths in (method.super_network.smallest, drawn):
        plain = cut(method.super_network, widths)
        with tf.GradientTape() as tape:
            value = loss(y, plain(x, training=True))
        for total, gradient in zip(expected, tape.gradient(value, plain.trainable_variables), strict=True):
            total[tuple(slice(0, side) for side in gradient.shape)] += gradient.numpy()
    assert all(
        a != b for a, b, kind in zip(drawn, method.super_network.smallest, kinds, strict=True) if kind == "inner"
    )
    step = method.gradients(x, Objective(lambda logits: loss(y, logits), lambda value: value), tf.constant(7))
    for variable, own, total in zip(method.trainable_variables, step.gradients, expected, strict=True):
        allowed = 1e-3 * np.linalg.norm(total) + 1e-5  # what a BatchNorm behind it makes zero is noise alone
        assert np.linalg.norm(own - total) <= allowed, variable.path


@pytest.mark.parametrize(("alpha", "networks"), [(0.25, 1), (0.5, 3)])
def test_alpha_weighs_the_sum_of_several_wider_networks(alpha, networks):
    """Eq. 1: L(tiny) + α·Σ L(wider); each is another draw, the first one that of a step with one network alone."""
    keras.utils.set_random_seed(0)
    method = compiled(netaug(shallow(), alpha=alpha, networks=networks))
    x, y = images(32, resolution=16), labels(32)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    drawn = [[int(width) for width in method.draw_widths(tf.constant(7), index)] for index in range(networks)]
    assert len(set(map(tuple, drawn))) == networks
    expected = [np.zeros(variable.shape, np.float64) for variable in method.trainable_variables]
    for weight, widths in [(1.0, method.super_network.smallest), *((alpha, widths) for widths in drawn)]:
        plain = cut(method.super_network, widths)
        with tf.GradientTape() as tape:
            value = loss(y, plain(x, training=True))
        for total, gradient in zip(expected, tape.gradient(value, plain.trainable_variables), strict=True):
            total[tuple(slice(0, side) for side in gradient.shape)] += weight * gradient.numpy()
    step = method.gradients(x, Objective(lambda logits: loss(y, logits), lambda value: value), tf.constant(7))
    for variable, own, total in zip(method.trainable_variables, step.gradients, expected, strict=True):
        allowed = 5e-3 * np.linalg.norm(total) + 1e-5  # a ReLU that rounding turns on or off is worth a thousandth
        assert np.linalg.norm(own - total) <= allowed, variable.path


def test_r_and_s_are_evenly_spaced_widths_on_both_axes():
    """The paper's example, r = 3 and s = 2: w, 2w and 3w."""
    assert spaced_factors(3, 2) == [1, 2, 3]
    assert spaced_factors(2.8, 3) == pytest.approx([1, 1.6, 2.2, 2.8])
    config = configs.load(None, ["method=netaug", "netaug.factor=3", "netaug.diversity=2"])
    context = TrainingContext(10, 8, lambda seed, steps: tf.data.Dataset.from_tensors((images(), labels())))
    method = build(tiny(), config, context)
    by_kind = {choice.group.kind: choice for choice in method.super_network.choices}
    outer, inner = by_kind["outer"], by_kind["inner"]
    assert outer.widths == [outer.group.width * times for times in (1, 2, 3)]
    assert list(inner.factors) == [1, 2, 3]
    with pytest.raises(UserError, match=r"netaug\.factor = 0\.5: expected more than 1"):
        build(tiny(), configs.load(None, ["method=netaug", "netaug.factor=0.5"]), context)


@pytest.mark.long
def test_a_step_is_traced_once_and_depends_on_its_number_alone():
    method, x = compiled(netaug(shallow(), x=images(resolution=16))), images(resolution=16)
    traces = []

    @tf.function
    def step(x, y):
        traces.append(1)
        return method.train_step((x, y))

    for _ in range(4):
        step(x, labels())
    assert len(traces) == 1
    draws = [[int(width) for width in method.draw_widths(tf.constant(n))] for n in (3, 3, 4)]
    assert draws[0] == draws[1] != draws[2]


def test_every_layer_draws_by_itself_with_equal_probability():
    network = SuperNetwork(tiny(), WIDTHS, EXPANSIONS)
    draw = tf.function(lambda n: tf.stack(network.draw(tf.stack([tf.constant(0), n]), tf.constant(True))))
    drawn = np.array([draw(tf.constant(n)).numpy() for n in range(1200)])
    by_kind = {"outer": [], "inner": []}
    for number, choice in enumerate(network.choices):
        if choice.group.kind == "outer":
            values, counts = np.unique(drawn[:, number], return_counts=True)
            assert list(values) == choice.widths
            assert np.abs(counts - 400).max() < 100  # six standard deviations
            by_kind["outer"].append(drawn[:, number] / choice.widths[0])
        elif choice.group.kind == "inner":
            source = network.choices.index(choice.source)
            ratio = drawn[:, number] / drawn[:, source] / (choice.widths[0] / choice.source.widths[0])
            nearest = np.array(EXPANSIONS)[np.abs(ratio[:, None] - EXPANSIONS).argmin(axis=1)]
            assert np.abs(ratio - nearest).max() < 0.02
            assert np.abs(np.unique(nearest, return_counts=True)[1] - 300).max() < 100
            by_kind["inner"].append(nearest)
    assert (len(by_kind["outer"]), len(by_kind["inner"])) == (9, 16)  # also the blocks that see a map of 1x1
    correlation = np.corrcoef([*by_kind["outer"], *by_kind["inner"]])
    assert np.abs(correlation - np.eye(len(correlation))).max() < 0.17


def test_a_shortcut_makes_blocks_share_one_width():
    network = SuperNetwork(tiny(), WIDTHS, EXPANSIONS)
    outer = [choice.group.width for choice in network.choices if choice.group.kind == "outer"]
    # stem, first block, then every block without a shortcut: 1, 3, 6, 10, 13, 16, and the head (methods.md B.2)
    assert sorted(outer) == sorted([16, 8, 8, 16, 24, 32, 56, 112, 448])


def test_in_the_second_half_only_the_expansion_is_widened():
    method = netaug(tiny(), outer_steps=5)
    choices = method.super_network.choices
    late = [int(width) for width in method.draw_widths(tf.constant(5))]
    early = [int(width) for width in method.draw_widths(tf.constant(4))]
    outer = [number for number, choice in enumerate(choices) if choice.group.kind == "outer"]
    assert all(late[number] == choices[number].widths[0] for number in outer)
    assert any(early[number] != choices[number].widths[0] for number in outer)
    assert late != method.super_network.smallest


def test_each_traced_step_trains_the_channels_of_its_own_network():
    """What moves in a step is what the tiny network or the one drawn for this very step uses; decay is off."""
    method = netaug(shallow(), outer_steps=6, x=images(32, 16))
    method.compile(SGD(0.05, momentum=0.0, nesterov=False), keras.losses.CategoricalCrossentropy(from_logits=True))
    method.optimizer.build(method.trainable_variables)
    step = tf.function(lambda x, y: method.train_step((x, y)))
    kernel = method.super_network.model.get_layer("head_conv").kernel  # (1, 1, read, written)
    read, written = (
        method.super_network.group_of[tensor]
        for call in method.super_network.graph.calls
        if call.layer.name == "head_conv"
        for tensor in (call.inputs[0], call.output)
    )
    seen = set()
    for number in range(10):
        before = kernel.numpy()
        step(images(32, 16, number), labels(32, number))
        moved = (kernel.numpy() != before)[0, 0]
        drawn = [int(width) for width in method.draw_widths(tf.constant(number))]
        used = np.zeros_like(moved)
        used[: drawn[read], : drawn[written]] = True
        used[:12, :32] = True  # of the tiny network
        assert not moved[~used].any()
        assert moved[used].mean() > 0.5  # ReLU6 is shut for some
        assert number < 6 or used.sum() == 12 * 32
        seen.add((drawn[read], drawn[written]))
    assert len(seen) > 2


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("mobilenet_v2_tiny", [1.0, 1.8, 2.6]),
        ("mobilenet_v2", [1.0, 1.8, 2.6]),
        ("proxylessnas", [1.0, 1.8, 2.6]),
        ("mobilenet_v3_large", [1.0, 2.0, 3.0]),
        ("mcunet", [1.0, 1.6, 2.2]),
    ],
)
def test_the_lists_are_those_of_the_released_configs(name, factors):
    config = configs.load(None, ["method=netaug", f"model.name={name}"])
    assert default_width_factors(name) == factors
    assert config.netaug.expansion_factors == EXPANSIONS


def test_squeezed_channels_are_those_of_the_released_code():
    """DynamicSE of mit-han-lab/tinyml, by hand: the hidden channels of the largest network are rounded, and the
    reduction that they have there holds for all others. 40 channels squeezed to 16, 336 to 88 (methods.md B.6).
    """
    network = SuperNetwork(tiny("mobilenet_v3_large", 64, 10, 0.35), [1.0, 2.0, 3.0], EXPANSIONS)
    found = {choice.group.writers[0].name: choice for choice in network.choices if choice.group.kind == "squeezed"}
    states, off = 0, 0
    for name, choice in found.items():
        scaled, tiny_scaled, tiny_squeezed = choice.source.widths, choice.source.widths[0], choice.widths[0]
        if name in ("block4_reduce_conv", "block14_reduce_conv"):
            assert (tiny_scaled, tiny_squeezed) == {"block4": (40, 16), "block14": (336, 88)}[name.partition("_")[0]]
        of_largest = max(round(max(scaled) / (tiny_scaled / tiny_squeezed + 1e-10)), 16)
        reduction = max(scaled) / of_largest
        assert choice.widths == [int(max(width / reduction, 16) + 0.5) for width in scaled]
        assert min(choice.widths) == tiny_squeezed
        by_the_tiny_one = [int(max(width / (tiny_scaled / tiny_squeezed), 16) + 0.5) for width in scaled]
        off += sum(own != other for own, other in zip(choice.widths, by_the_tiny_one, strict=True))
        states += len(scaled)
    assert (states, off) == (96, 12)


def test_the_wider_channels_begin_as_in_the_released_code():
    """A.5: convolutions uniform in ±1/√fan-in, dense layers normal with a deviation of 0.02."""
    config = configs.load(None, ["method=netaug", "netaug.width_factors=[1,1.8]"])
    context = TrainingContext(10, 8, lambda seed, steps: tf.data.Dataset.from_tensors((images(), labels())))
    model = build(tiny("mobilenet_v2", 32), config, context).super_network.model
    for name, fan_in in (("stem_conv", 27), ("block5_depthwise", 9), ("block9_project_conv", None)):
        kernel = model.get_layer(name).kernel.numpy()
        bound = 1 / np.sqrt(fan_in or kernel.shape[2])
        assert np.abs(kernel).max() <= bound
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.06)
    assert model.get_layer("logits").kernel.numpy().std() == pytest.approx(0.02, rel=0.03)


@pytest.mark.parametrize("init", ["he", "torch", "netaug", "netaug_baseline"])
def test_model_init_draws_the_largest_network(init):
    """fan_in and C_out are those of the largest network, where the kernels are drawn."""
    config = configs.load(None, ["method=netaug", "netaug.width_factors=[1,1.8]", f"model.init={init}"])
    training = TrainingContext(10, 8, lambda seed, steps: tf.data.Dataset.from_tensors((images(), labels())))
    model = build(tiny(), config, training).super_network.model
    kernels = {name: model.get_layer(name).kernel.numpy() for name in ("block9_project_conv", "block9_depthwise")}
    for name, kernel in kernels.items():
        places = kernel.shape[0] * kernel.shape[1]
        fan_in = places * (1 if "depthwise" in name else kernel.shape[2])
        fan_out = places * kernel.shape[2 if "depthwise" in name else 3]
        he_fan_out = places if "depthwise" in name else fan_out
        uniform = 1 / fan_in**0.5 / 3**0.5
        wanted = {"netaug_baseline": (2 / fan_out) ** 0.5, "he": (2 / he_fan_out) ** 0.5}.get(init, uniform)
        assert kernel.std() == pytest.approx(wanted, rel=0.06), name
    logits = model.get_layer("logits")
    torch, glorot = 1 / (3 * logits.kernel.shape[0]) ** 0.5, (2 / sum(logits.kernel.shape)) ** 0.5
    wanted = {"torch": torch, "he": glorot}.get(init, 0.02)
    assert logits.kernel.numpy().std() == pytest.approx(wanted, rel=0.03)
    assert logits.bias.numpy().any() == (init == "torch")


def test_given_weights_are_kept_by_build():
    config = configs.load(None, ["method=netaug", "netaug.width_factors=[1,1.8]"])
    training = TrainingContext(10, 8, lambda seed, steps: tf.data.Dataset.from_tensors((images(), labels())))
    model = tiny()
    for weights in ("", "imagenet"):
        config.model.weights = weights
        kernel = build(model, config, training).super_network.model.get_layer("stem_conv").kernel.numpy()
        assert np.array_equal(kernel[..., :16], model.get_layer("stem_conv").kernel.numpy()) == bool(weights)


@pytest.mark.parametrize(("epochs", "warmup", "last"), [(155, 5, 79), (20, 0, 9), (6, 1, 3)])
def test_the_schedule_is_that_of_the_released_code(epochs, warmup, last):
    # remaining = epochs - epoch > half of what follows the warm-up: 155 epochs with 5 of warm-up widen both up to 79
    config = configs.load(None, [f"optim.epochs={epochs}", f"optim.warmup_epochs={warmup}", "netaug.width_factors=[1]"])
    method = build(tiny(), config, TrainingContext(10, 8, lambda seed, steps: tf.data.Dataset.from_tensors(steps)))
    assert method.outer_steps == 10 * (last + 1)


@pytest.mark.parametrize("name", ["mobilenet_v2_tiny", "mobilenet_v3_small"])
def test_sorting_brings_the_important_channels_first_and_changes_nothing_else(name):
    model = tiny(name)
    method = compiled(netaug(model))
    randomized(method.super_network.model)
    for variable in method.trainable_variables:
        optimizers.slots(method.optimizer, variable)[0].assign(2 * variable.value)
    x = images()
    before = method.super_network.model(x, training=False)
    kernel = method.super_network.model.get_layer("block2_project_conv").kernel
    importance = np.abs(kernel.numpy()).sum(axis=(0, 1, 3))
    assert (np.diff(importance) > 0).any()
    method.sort_channels(method.kept_for)
    after = np.abs(kernel.numpy()).sum(axis=(0, 1, 3))
    np.testing.assert_allclose(after, np.sort(importance)[::-1], rtol=1e-6)
    scale = float(np.abs(before).max())
    np.testing.assert_allclose(method.super_network.model(x, training=False), before, atol=1e-4 * scale)
    for variable in method.trainable_variables:  # the momentum has moved along
        np.testing.assert_array_equal(optimizers.slots(method.optimizer, variable)[0].numpy(), 2 * variable.numpy())


def test_sorting_moves_the_averages_of_the_weights_along():
    averaging = compiled(Averaging(netaug(tiny("mobilenet_v2_tiny")), 0.9))
    randomized(averaging.inner.super_network.model)
    variables = [*averaging.trainable_variables, *averaging.inner.running_statistics()]
    for variable in variables:
        averaging.kept_for(variable)[-1].assign(2 * variable.value)
    before = [variable.numpy() for variable in variables]
    averaging.inner.sort_channels(averaging.kept_for)
    assert any((variable.numpy() != old).any() for variable, old in zip(variables, before, strict=True))
    for variable in variables:
        np.testing.assert_array_equal(averaging.kept_for(variable)[-1].numpy(), 2 * variable.numpy())


def test_the_statistics_are_the_mean_over_batches_of_mean_and_biased_variance():
    model = tiny()
    randomized(model)
    batches = [images(seed=n) for n in range(3)]
    recalibrate(model, lambda x: batch_statistics(model, x), tf.data.Dataset.from_tensor_slices((batches, [0, 0, 0])))
    stem = keras.Model(model.input, model.get_layer("stem_conv").output)
    outputs = [stem(x).numpy() for x in batches]
    norm = model.get_layer("stem_bn")
    mean = np.mean([y.mean((0, 1, 2)) for y in outputs], 0)
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-4, atol=1e-6 * np.abs(mean).max())
    np.testing.assert_allclose(norm.moving_variance, np.mean([y.var((0, 1, 2)) for y in outputs], 0), rtol=1e-4)
    # Of one batch alone, inference with these statistics is what training computes, layer by layer.
    one = tf.data.Dataset.from_tensors((batches[0], 0))
    recalibrate(model, lambda x: batch_statistics(model, x), one)
    expected = model(batches[0], training=True)
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(model(batches[0], training=False), expected, atol=1e-2 * scale)


@pytest.mark.long
def test_what_is_evaluated_and_finished_is_the_plain_model():
    model, x = shallow(), images(64, resolution=16)
    names, sizes = [layer.name for layer in model.layers], [weight.shape for weight in model.get_weights()]
    method = compiled(netaug(model, keep_weights=False, x=x))
    data = tf.data.Dataset.from_tensors((x, labels(64)))
    before = model(x, training=False)
    method.fit(data.repeat(3), epochs=2, verbose=0, validation_data=data, callbacks=method.callbacks())
    finished = method.finish()
    assert finished is model
    assert [layer.name for layer in finished.layers] == names
    assert [weight.shape for weight in finished.get_weights()] == sizes
    assert not np.allclose(finished(x, training=False), before)
    np.testing.assert_allclose(finished(x, training=False), method.network(x, training=False), atol=1e-3)
    kernel = method.super_network.model.get_layer("block1_expand_conv").kernel.numpy()
    np.testing.assert_array_equal(finished.get_layer("block1_expand_conv").kernel, kernel[:, :, :8, :24])


@pytest.mark.long
def test_sorting_and_statistics_have_their_moments(monkeypatch):
    """Sorted before every epoch that begins with widths drawn, sliced before every evaluation and never else."""
    x, seen = images(resolution=16), []
    method = compiled(netaug(shallow(), outer_steps=4, keep_weights=False, x=x))
    monkeypatch.setattr(method, "sort_channels", lambda kept_for: seen.append("sort"))
    sliced = method.slice_tiny
    monkeypatch.setattr(method, "slice_tiny", lambda: seen.append("slice") or sliced())
    data = tf.data.Dataset.from_tensors((x, labels()))
    method.fit(
        data.repeat(), steps_per_epoch=2, epochs=3, verbose=0, validation_data=data, callbacks=method.callbacks()
    )
    assert seen == ["sort", "slice", "sort", "slice", "slice"]
    seen.clear()
    method.keep_weights = True
    method.optimizer.iterations.assign(0)
    method.fit(data.repeat(), steps_per_epoch=2, epochs=2, verbose=0, callbacks=method.callbacks())
    assert seen == ["sort"]  # not before the first step: the wider channels are random then


def test_given_weights_are_the_tiny_network_at_first():
    model = tiny()
    randomized(model)
    method = netaug(model, keep_weights=True)
    before = [weight.copy() for weight in model.get_weights()]
    method.super_network.copy_weights(method.network, to_tiny=True)
    for own, expected in zip(method.network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(own, expected)


def test_mixed_precision_trains_and_sorts():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = shallow()
    finally:
        keras.config.set_dtype_policy("float32")
    method = compiled(netaug(model, x=images(32, 16)))
    assert isinstance(method.optimizer, keras.optimizers.LossScaleOptimizer)
    data = tf.data.Dataset.from_tensors((images(32, 16), labels(32)))
    before = [variable.numpy() for variable in method.trainable_variables]
    history = method.fit(
        data.repeat(4), epochs=1, verbose=0, validation_data=data, callbacks=method.callbacks()
    ).history
    assert 1 < history["loss"][0] < 4  # not multiplied by the scale
    assert np.isfinite(history["val_loss"][0])
    assert any(
        np.abs(variable - old).max() > 0 for variable, old in zip(method.trainable_variables, before, strict=True)
    )
    (velocity,) = optimizers.slots(method.optimizer, method.trainable_variables[0])
    assert velocity.shape == method.trainable_variables[0].shape


def test_what_cannot_be_widened_is_named():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, name="stem")(image)
    odd = keras.layers.LayerNormalization(name="odd_one")(x)
    flat = keras.layers.Flatten(name="spread")(x)
    twice = keras.layers.Conv2D(8, 1, name="called_twice")
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    one = keras.layers.Conv2D(1, 1)(x)
    made = {
        "odd_one": odd,
        "spread": flat,
        "called_twice": twice(twice(x)),
        "in_groups": keras.layers.Conv2D(8, 1, groups=2, name="in_groups")(x),
        "dilated": keras.layers.Conv2D(8, 3, dilation_rate=2, name="dilated")(x),
        "dilated_too": keras.layers.DepthwiseConv2D(3, dilation_rate=2, name="dilated_too")(x),
        "no_gamma": keras.layers.BatchNormalization(scale=False, name="no_gamma")(x),
        "no_beta": keras.layers.BatchNormalization(center=False, name="no_beta")(x),
        "of_a_vector": keras.layers.BatchNormalization(name="of_a_vector")(pooled),
        "over_channels": keras.layers.Activation("softmax", name="over_channels")(x),
        "broadcast": keras.layers.Multiply(name="broadcast")([x, one]),
        "added": keras.layers.Add(name="added")([one, x]),
        "list_of_8": keras.layers.Rescaling([0.5] * 8, name="list_of_8")(x),
        "inside": keras.Sequential([keras.Input((6, 6, 8)), keras.layers.Conv2D(4, 3)], name="inside")(x),
    }
    for name, y in made.items():
        y = keras.layers.GlobalAveragePooling2D()(y) if len(y.shape) == 4 else y
        with pytest.raises(UserError, match=f"'{name}'"):
            SuperNetwork(keras.Model(image, keras.layers.Dense(10)(y)), WIDTHS, EXPANSIONS)


def test_any_functional_model_is_widened():
    """Layers and an input without names of ours, an image that is rescaled for each color, probabilities at the end."""
    image = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling([2.0, 3.0, 4.0], [0.1, 0.2, 0.3])(image)
    x = keras.layers.BatchNormalization(momentum=0.9)(keras.layers.Conv2D(8, 3, strides=2, padding="same")(x))
    x = keras.layers.Conv2D(12, 3, activation="relu")(keras.layers.ReLU()(x))
    x = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(keras.layers.MaxPooling2D()(x)))
    model = keras.Model(image, keras.layers.Activation("softmax")(x))
    method = netaug(model, x=images(8, 16), keep_weights=True)
    x = images(8, 16)
    expected = model(x, training=False)
    network = method.super_network
    np.testing.assert_allclose(network(x, network.smallest, training=False), expected, atol=1e-6)
    np.testing.assert_allclose(network(x, network.largest, training=False), network.model(x, training=False), atol=1e-6)
    method.slice_tiny()
    method.finish()
    np.testing.assert_allclose(model(x, training=False), method.network(x, training=False), atol=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["netaug.width_factors=[1.8,1]"], "ascend from 1"),
        (["netaug.expansion_factors=[1.6,2]"], "ascend from 1"),
        (["netaug.width_factors=[1,1.8,1.8]"], "ascend from 1"),
        (["device.jit=true"], "device.jit"),
    ],
)
def test_mistakes_in_the_config_are_told(words, said):
    config = configs.load(None, ["method=netaug", *words])
    with pytest.raises(UserError, match=said):
        build(tiny(), config, TrainingContext(10, 8, lambda seed, steps: tf.data.Dataset.range(steps)))


def test_netaug_must_be_the_innermost_method():
    config = configs.load(None, ["method=distill+netaug"])
    with pytest.raises(UserError, match="netaug changes the network itself: expected it as the first one"):
        build(Method(tiny()), config, TrainingContext(10, 8, lambda seed, steps: tf.data.Dataset.range(steps)))
