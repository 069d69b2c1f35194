"""DropBlock against its formula in NumPy, where it is inserted, and that nothing of it is left."""

import keras
import numpy as np
import pytest

from tinytrain.config import plugins
from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.methods import dropblock
from tinytrain.train import checkpoint


def by_hand(drawn, block_size, keep):
    """miguelvr's: a hit at (i, j) zeroes the square around it, [i - bs//2, i + bs//2] for an odd side."""
    kept = np.ones_like(drawn)
    for b, i, j, _ in np.argwhere(drawn < (1 - keep) / block_size**2):
        low, high = (block_size - 1) // 2, block_size // 2
        kept[b, max(0, i - low) : i + high + 1, max(0, j - low) : j + high + 1] = 0
    return kept


def build(name="mobilenet_v2_tiny", resolution=64, **options):
    keras.utils.set_random_seed(0)
    defaults = plugins.load("models", name).DEFAULTS
    options = {"classes": 4, "channels": 3, "width": defaults["width"], "resolution": resolution} | options
    return plugins.load("models", name).build(**options)


@pytest.mark.parametrize("block_size", [1, 3, 4, 5, 7])
@pytest.mark.parametrize("keep", [0.9, 0.3])
def test_the_kept_positions(block_size, keep):
    drawn = np.random.default_rng(block_size).random((60, 9, 7, 1), dtype="float32")
    expected = by_hand(drawn, block_size, keep)
    np.testing.assert_array_equal(dropblock.keep_mask(drawn, block_size, keep), expected)
    assert 0 < expected.mean() < 1


def test_the_layer_masks_all_channels_alike_and_scales_by_the_batch():
    layer = dropblock.DropBlock(3, 0.7, seed=1)
    x = np.random.default_rng(0).uniform(1, 2, (16, 10, 10, 5)).astype("float32")
    y = np.asarray(layer(x, training=True))
    kept = (y != 0).astype("float32")
    assert (kept == kept[..., :1]).all()
    assert len({image.tobytes() for image in kept}) == 16  # each image has a mask of its own
    np.testing.assert_allclose(y, x * kept * kept[..., 0].size / kept[..., 0].sum(), rtol=1e-5)
    rate = 1 - (1 - 0.3 / 9) ** 9  # of the inner positions, which nine draws reach
    assert 1 - kept[:, 1:-1, 1:-1].mean() == pytest.approx(rate, abs=0.06)
    assert (np.asarray(layer(x, training=True)) != y).any()
    np.testing.assert_array_equal(layer(x, training=False), x)


def test_where_it_comes_in_mobilenet_v2_tiny():
    """Its last two stages are three blocks of 160 and one of 320 channels, times 0.35: 56 and 112."""
    expected = ["block13_project_bn", "block14_add", "block15_add", "block16_project_bn"]
    assert dropblock.block_ends(build()) == expected


def test_where_it_comes_in_a_residual_network():
    ends = dropblock.block_ends(build("resnet8", 32))
    model = build("resnet8", 32)
    shapes = [tuple(model.get_layer(name).output.shape[1:]) for name in ends]
    assert shapes == [(16, 16, 32), (8, 8, 64)]
    assert all("relu" in name for name in ends)


def test_a_model_without_blocks_is_refused():
    with pytest.raises(UserError, match=r"mobilenet_v1.*has no residual or linear block"):
        dropblock.block_ends(build("mobilenet_v1", 32))


@pytest.mark.parametrize("name", ["mobilenet_v2_tiny", "mobilenet_v3_small", "resnet8", "mcunet"])
def test_inference_is_untouched_and_the_finished_model_is_the_plain_one(name):
    model = build(name)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    before = model(x).numpy()
    method = dropblock.DropBlockTraining(model, 5, 0.5)
    # the fused BatchNorm of a training rounds otherwise, 2 to 5e-6 of the largest output after some 50 layers
    np.testing.assert_allclose(method(x, training=False), before, rtol=0, atol=2e-5 * np.abs(before).max())
    assert np.abs(np.asarray(method(x, training=True)) - before).max() > 1e-3
    assert [v.shape for v in method.network.weights] == [v.shape for v in model.weights]
    finished = method.finish()
    assert finished is model
    assert not any("dropblock" in layer.name for layer in finished.layers)


def test_a_checkpoint_brings_the_next_masks_back(tmp_path):
    model = build()
    x = np.random.default_rng(0).uniform(-1, 1, (4, 64, 64, 3)).astype("float32")
    method = dropblock.DropBlockTraining(model, 3, 0.5)
    checkpoint.save(tmp_path / "last.npz", method.variables, {"epoch": 1})
    first = np.asarray(method(x, training=True))
    assert np.abs(np.asarray(method(x, training=True)) - first).max() > 1e-4
    other = dropblock.DropBlockTraining(build(), 3, 0.5)
    checkpoint.load(tmp_path / "last.npz", other.variables)
    np.testing.assert_array_equal(np.asarray(other(x, training=True)), first)


@pytest.mark.parametrize(("height", "width", "block_size", "keep"), [(1, 1, 5, 0.9), (2, 3, 5, 0.7), (6, 4, 3, 0.6)])
def test_the_share_that_is_kept_is_what_is_kept_of_many_maps(height, width, block_size, keep):
    drawn = np.random.default_rng(0).random((40_000, height, width, 1), dtype="float32")
    share = np.asarray(dropblock.keep_mask(drawn, block_size, keep)).mean()
    assert dropblock.expected_keep(height, width, block_size, keep) == pytest.approx(share, abs=0.005)
    assert dropblock.expected_keep(1, 1, 5, 0.9) == pytest.approx(1 - 0.1 / 25)  # one draw for the whole map


def test_a_square_larger_than_the_maps_is_told():
    ends = "block13_project_bn, block14_add, block15_add, block16_project_bn"
    (warning,) = dropblock.small_map_warnings(build(resolution=32), 5, 0.9)
    assert warning.startswith(
        f"dropblock.block_size = 5 exceeds the maps of 1x1 after {ends}: 0.996 of their positions"
    )
    model = build("resnet8", 12)  # maps of 6x6 and 3x3
    assert ["maps of 3x3" in line for line in dropblock.small_map_warnings(model, 5, 0.9)] == [True]
    assert ["of 6x6" in line for line in dropblock.small_map_warnings(model, 7, 0.9)] == [True, False]
    assert dropblock.small_map_warnings(model, 3, 0.9) == []
    assert dropblock.small_map_warnings(model, 5, 1) == []


def test_fit_tells_it_before_it_trains(command_line, image_folder):
    words = ["method=dropblock+sam", "--model", "resnet8", "model.width=0.25", "optim.epochs=1", "optim.batch=8"]
    status, _, error = command_line("fit", "--data", f"folder:{image_folder()}", "--out", "run", *words)
    assert status == 0, error
    lines = error.splitlines()
    (place,) = [i for i, line in enumerate(lines) if line.startswith("warning: dropblock.block_size = 5 exceeds")]
    assert "of 4x4 after" in lines[place]  # images of 16x16
    assert place < next(i for i, line in enumerate(lines) if line.startswith("epoch 1/1"))


def test_it_comes_first():
    method = dropblock.DropBlockTraining(build())
    with pytest.raises(UserError, match="dropblock changes the network itself: expected it as the first one"):
        dropblock.build(method, Config(method="distill+dropblock"), None)
