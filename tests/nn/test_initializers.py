"""`model.init`, `norm_epsilon`, `mean`, `std` and `optim.checkpoint` against their formulas."""

import csv
from statistics import NormalDist

import keras
import numpy as np
import pytest
from small_training import SMALLEST

from tinytrain.commands import fit
from tinytrain.config import load as configs
from tinytrain.data import batches
from tinytrain.errors import UserError
from tinytrain.nn import pretrained
from tinytrain.nn.build import build_model


def build(*words, classes=100):
    base = [
        "model.name=mobilenet_v1",
        "model.resolution=32",
        "model.channels=3",
        "model.width=0.25",
        "model.stem=cifar",
    ]
    return build_model(configs.load(None, [*base, "device.precision=float32", *words]), classes)


def kernels(model):
    """{name: (kernel, kind)} of all layers that have one."""
    found = {}
    for layer in model.layers:
        for weight in layer.weights:
            if weight.name.endswith("kernel"):
                found[layer.name] = (weight.numpy(), type(layer).__name__)
    return found


def inputs(kernel, kind):
    return int(np.prod(kernel.shape[:2])) if kind == "DepthwiseConv2D" else int(np.prod(kernel.shape[:-1]))


def test_pytorchs_weights_are_uniform_within_one_over_the_root_of_the_inputs():
    model = build("model.init=torch")
    for kernel, kind in kernels(model).values():
        bound = 1 / inputs(kernel, kind) ** 0.5
        assert np.abs(kernel).max() <= bound
        if kernel.size > 800:
            assert np.abs(kernel).max() > 0.95 * bound
            assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.1)
    bias = model.get_layer("logits").bias.numpy()
    assert 0 < np.abs(bias).max() <= 1 / 256**0.5


def test_netaugs_baselines_count_all_outputs_of_a_depthwise_kernel_and_cut_nothing():
    model = build("model.init=netaug_baseline")
    for name, (kernel, kind) in kernels(model).items():
        if kind == "Dense":
            assert kernel.std() == pytest.approx(0.02, rel=0.02)
            beyond = np.mean(np.abs(kernel) > 0.04)  # 2Φ(−2) = 4.55 % of 25,600 are: nothing is cut
            assert beyond == pytest.approx(2 * NormalDist().cdf(-2), abs=5 * (0.0455 / kernel.size) ** 0.5)
        elif kernel.size > 800:
            outputs = kernel.shape[2] if kind == "DepthwiseConv2D" else kernel.shape[3]
            assert kernel.std() == pytest.approx((2 / (kernel.shape[0] ** 2 * outputs)) ** 0.5, rel=0.1), name
    assert not model.get_layer("logits").bias.numpy().any()


def test_netaugs_own_are_pytorchs_but_for_the_classifier():
    torch, netaug = kernels(build("model.init=torch")), kernels(build("model.init=netaug"))
    for name in torch:
        same = np.array_equal(torch[name][0], netaug[name][0])
        assert same == (name != "logits")


def test_auto_is_torch_and_netaug_for_netaug():
    auto, torch = kernels(build()), kernels(build("model.init=torch"))
    assert np.array_equal(auto["stem_conv"][0], torch["stem_conv"][0])
    auto, netaug = kernels(build("method=netaug")), kernels(build("model.init=netaug"))
    assert np.array_equal(auto["logits"][0], netaug["logits"][0])


def test_he_is_normal_by_the_fan_out():
    """What the blocks draw: normal with √(2/fan_out), fan_out of a depthwise kernel its area."""
    for name, (kernel, *_) in kernels(build("model.init=he")).items():
        if kernel.ndim == 4 and kernel.size > 800:
            fan_out = kernel.shape[0] ** 2 * (1 if "depthwise" in name else kernel.shape[3])
            assert kernel.std() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1), name


def test_weights_depend_on_the_seed_alone():
    one, again, other = (kernels(build("model.init=torch", f"seed={seed}")) for seed in (0, 0, 1))
    assert np.array_equal(one["stem_conv"][0], again["stem_conv"][0])
    assert not np.array_equal(one["stem_conv"][0], other["stem_conv"][0])
    keras.utils.set_random_seed(0)
    plain = build()
    assert {layer.epsilon for layer in plain.layers if isinstance(layer, keras.layers.BatchNormalization)} == {1e-3}


def test_epsilon_is_kept_by_what_begins_from_the_weights(tmp_path):
    model = build("model.norm_epsilon=1e-5")
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {layer.epsilon for layer in norms} == {1e-5}
    model.save(tmp_path / "model.keras")
    second = build(f"model.weights={tmp_path / 'model.keras'}")
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(second(x), model(x), atol=1e-6)


def test_pixels_are_normalised_as_the_paper_does():
    mean, deviation = [0.5071, 0.4865, 0.4409], [0.2009, 0.1984, 0.2023]
    model = build(f"model.mean={mean}", f"model.std={deviation}")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    normalized = keras.Model(model.input, model.get_layer(pretrained.PREPROCESSING).output)(batches.normalize(pixels))
    np.testing.assert_allclose(normalized, (pixels / 255 - mean) / deviation, atol=2e-5)


def test_gray_images_take_the_mean_of_the_colors_and_other_numbers_are_refused():
    model = build("model.mean=[0.5, 0.4, 0.3]", "model.channels=1")
    assert np.ravel(model.get_layer(pretrained.PREPROCESSING).offset) == pytest.approx([128 / 255 - 0.4])
    with pytest.raises(UserError, match=r"model.std = \[0.5\] for 3 channels"):
        build("model.std=[0.5]")


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_kept_weights_are_those_of_the_best_or_of_the_last_epoch(tmp_path, image_folder, keep):
    words = [
        f"data.spec=folder:{image_folder()}",
        "optim.epochs=3",
        "optim.batch=4",
        "optim.lr=0.02",
        "data.check=false",
    ]
    config = configs.load(None, [*words, *SMALLEST, f"optim.checkpoint={keep}"])
    run = fit.fit(config, tmp_path / keep)
    rows = list(csv.DictReader(run.history_path.open()))
    top1 = [round(float(row["val_top1"]), 4) for row in rows]
    expected = max(epoch for epoch, value in enumerate(top1, 1) if value == max(top1)) if keep == "best" else 3
    assert run.metrics()["best_epoch"] == expected
    assert run.metrics()["val"]["top1"] == pytest.approx(float(rows[expected - 1]["val_top1"]), abs=1e-6)
    assert run.metrics()["val"]["loss"] == pytest.approx(float(rows[expected - 1]["val_loss"]), rel=0.3)
