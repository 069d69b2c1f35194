"""Each regime: what it draws and how often, what it does to the labels, and that only (seed, step) decides it."""

import math
import subprocess
import sys

import encoding
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tinytrain.config.schema import Augment
from tinytrain.data import batches
from tinytrain.data.augment import classical, levels, mixing, operations, policies
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.data.augment.generator import StatelessGenerator
from tinytrain.data.images import Samples

RANDOM = np.random.default_rng(0)
PLAIN = {"flip": False, "crop": 0.0}
REGIMES = {
    "flip": {"flip": True},
    "crop": {"crop": 0.125},
    "resized_crop": {"resized_crop": 0.08},
    "small_crop": {"small_crop": 0.6, "small_crop_probability": 0.8},
    "jitter": {"brightness": 32 / 255, "saturation": 0.5, "contrast": 0.2, "hue": 0.1},
    "rotation": {"rotation": 10.0, "rotation_probability": 0.8},
    "erasing": {"erasing": 0.8},
    "autoaugment": {"autoaugment": True},
    "randaugment": {"randaugment": 2},
    "augmix": {"augmix": True},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
    "fmix": {"fmix": 1.0},
    "some mixed": {"mixup": 0.2, "cutmix": 1.0, "fmix": 1.0, "mix_probability": 0.7},
    "ablated": {"randaugment": 2, "mixup": 0.2, "cutmix": 1.0, "flip": True},
    "all": {
        "flip": True,
        "crop": 0.1,
        "resized_crop": 0.5,
        "randaugment": 1,
        "augmix": True,
        "erasing": 0.5,
        "mixup": 1.0,
    },
}


def noise(count, height=12, width=12, channels=3):
    return RANDOM.integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def one_hot(count, classes=7):
    return np.eye(classes, dtype=np.float32)[RANDOM.integers(0, classes, count)]


def augment(regime, images, labels, step=0, seed=0):
    layers = Augmentation(Augment(**{**PLAIN, **regime}), images.shape[1])
    pixels, labels = layers(tf.constant(images), tf.constant(labels), tf.constant([seed, step], tf.int64))
    return pixels.numpy(), labels.numpy()


def drawing(layer, step=0, seed=0):
    """Returns the layer with a generator begun at (seed, step), as Augmentation begins it."""
    layer._random_generator = StatelessGenerator()
    layer._random_generator.restart(tf.constant([seed, step], tf.int64))
    return layer


def draws(layer, images, step=0):
    images = tf.constant(images)
    return drawing(layer, step).get_random_transformation_batch(len(images), images=images)


def chi_square(counts, expected):
    return ((np.asarray(counts) - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("regime", REGIMES)
def test_seed_and_step_are_all_that_a_batch_depends_on(regime):
    images, labels = noise(16), one_hot(16)
    results = [augment(REGIMES[regime], images, labels, step, seed) for step, seed in [(3, 0), (3, 0), (4, 0), (3, 1)]]
    for first, again in zip(results[0], results[1], strict=True):
        np.testing.assert_array_equal(first, again)
    assert all((results[0][0] != other).any() for other, _ in results[2:])


@pytest.mark.parametrize("regime", REGIMES)
def test_a_pipeline_gives_what_the_layers_give_eagerly(regime):
    images, classes = noise(32), RANDOM.integers(0, 5, 32)
    layers = Augmentation(Augment(**{**PLAIN, **REGIMES[regime]}), 12)
    data = batches.training_batches(Samples.of(images, classes), encoding.one_hot(5), 16, 0, range(3, 5), layers)
    order = np.random.default_rng([0, 1]).permutation(32)[16:]  # of the second step of the second epoch
    x, y = next(iter(data))
    pixels, labels = augment(REGIMES[regime], images[order], np.eye(5, dtype=np.float32)[classes[order]], step=3)
    np.testing.assert_allclose(x, batches.normalize(pixels), atol=1e-6)
    np.testing.assert_allclose(y, labels, atol=1e-6)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("shape", [(5, 13, 9, 1), (1, 7, 15, 3)])
def test_any_size_gray_and_color_and_a_single_image(regime, shape):
    images, labels = noise(*shape), one_hot(shape[0])
    pixels, mixed = augment(REGIMES[regime], images, labels)
    assert pixels.shape == images.shape
    assert pixels.min() >= 0
    assert pixels.max() <= 255
    np.testing.assert_allclose(mixed.sum(1), 1, atol=1e-6)


SILENT = """
from tinytrain.quiet import import_tensorflow
import_tensorflow()
import tensorflow as tf
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.config.schema import Augment
layers = Augmentation(Augment(**{regime}), 8)
batch = tf.zeros((2, 8, 8, 3), tf.uint8), tf.zeros((2, 7)), tf.zeros(2, tf.int64)
tf.function(layers.__call__)(*batch)
"""


@pytest.mark.long
def test_onednn_does_not_complain_about_what_it_is_given():  # as it does of bytes, once in a process
    regime = REGIMES["all"] | REGIMES["jitter"] | REGIMES["rotation"] | REGIMES["small_crop"] | {"autoaugment": True}
    done = subprocess.run([sys.executable, "-c", SILENT.format(regime=regime)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "oneDNN" not in done.stderr


def test_only_mixing_changes_labels_and_the_type():
    images, labels = noise(16), one_hot(16)
    for name, regime in REGIMES.items():
        pixels, mixed = augment(regime, images, labels)
        mixes = any(regime.get(key) for key in ("mixup", "cutmix", "fmix"))
        assert pixels.dtype == (np.float32 if mixes else np.uint8), name
        assert mixes or (mixed == labels).all(), name


# RandAugment, AutoAugment, AugMix: what is drawn


def test_randaugment_draws_each_operation_as_often_and_half_of_them_act():
    drawn = draws(policies.RandAugment(2, 9.0), noise(1, 96, 80).repeat(6000, 0))
    operation = drawn["operation"].numpy()
    assert operation.shape == (2, 6000)
    acting = operation[operation != 0]
    assert abs(len(acting) - 6000) < 3.3 * math.sqrt(12000 * 0.25)  # binomial, p = 0.001
    counts = [(acting == number).sum() for number in policies.RAND_AUGMENT.numbers]
    assert len(counts) == 15
    assert chi_square(counts, len(acting) / 15) < 36.1  # 14 degrees of freedom, p = 0.001
    expected = {
        "Rotate": 27,
        "Posterize": 3,
        "Solarize": 230,
        "SolarizeAdd": 99,
        "ShearX": 0.27,
        "ShearY": 0.27,
        "TranslateX": 0.405 * 80,
        "TranslateY": 0.405 * 96,
        **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), 0.1 + 1.8 * 0.9),
    }
    argument = drawn["argument"].numpy()
    for name, value in expected.items():
        arguments = argument[operation == operations.number(name)]
        np.testing.assert_allclose(np.abs(arguments), value, rtol=1e-5)
        if name.startswith(("Shear", "Translate", "Rotate")):
            assert abs((arguments > 0).mean() - 0.5) < 3.3 * 0.5 / math.sqrt(len(arguments))


@pytest.mark.parametrize(
    ("variant", "level", "expected"),
    [
        ("Posterize", 9, 3),
        ("Posterize", 10, 4),
        ("PosterizeIncreasing", 5, 2),
        ("PosterizeIncreasing", 2.4, 4),
        ("PosterizeOriginal", 8, 7),
        ("Solarize", 10, 256),
        ("SolarizeIncreasing", 5, 128),
        ("SolarizeIncreasing", 0, 256),
        ("SolarizeAdd", 10, 110),
        ("Color", 0, 0.1),
        ("ColorIncreasing", 5, 1.45),
        ("ShearX", 5, 0.15),
        ("TranslateXRel", 5, 0.225 * 40),
        ("TranslateYRel", 5, 0.225 * 20),
        ("Rotate", 9, 27),
    ],
)
def test_a_level_by_hand(variant, level, expected):
    scale = levels.VARIANTS[variant][1]
    argument = scale(tf.constant([float(level)]), tf.constant([1.0]), 20, 40)
    np.testing.assert_allclose(argument, [expected], rtol=1e-5)


def test_augmix_draws_what_the_paper_says():
    count = 4000
    drawn = {name: value.numpy() for name, value in draws(policies.AugMix(), noise(1, 96, 80).repeat(count, 0)).items()}
    operation, argument = drawn["operation"], drawn["argument"]
    depth = (operation != 0).sum(0)  # no operation of AugMix is Identity
    assert chi_square(np.bincount(depth, minlength=4)[1:], count) < 13.8  # 2 degrees of freedom, p = 0.001
    counts = [(operation == number).sum() for number in policies.AUG_MIX.numbers]
    assert len(counts) == 12
    assert chi_square(counts, sum(counts) / 12) < 31.3  # 11 degrees of freedom
    assert operations.number("Rotate") not in operation
    of = lambda name: argument[operation == operations.number(name)]  # noqa: E731
    assert set(np.unique(of("Posterize"))) == {3, 4}  # 2 bits at level 5 itself only
    assert of("Solarize").min() >= 128
    for name, most in {"ShearX": 0.15, "ShearY": 0.15, "TranslateX": 0.225 * 80, "TranslateY": 0.225 * 96}.items():
        levels = np.sort(np.abs(of(name))) / most  # uniform in [0, 1]: Kolmogorov and Smirnov, p = 0.001
        assert np.abs(levels - np.arange(len(levels)) / len(levels)).max() < 1.95 / math.sqrt(len(levels))
    assert of("Color").min() > 0.55
    assert of("Color").max() < 1.45
    weights, strength = drawn["weights"], drawn["strength"]
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(
        weights.mean(1), 1 / 3, atol=3.3 * math.sqrt(1 / 18 / count)
    )  # variance of Dirichlet(1,1,1)
    assert abs(strength.mean() - 0.5) < 3.3 * math.sqrt(1 / 12 / count)


def test_augmix_blends_by_hand():
    images = np.full((2, 1, 1, 1), 100, np.uint8)
    chains = np.uint8([10, 10, 200, 200, 255, 30]).reshape(6, 1, 1, 1)  # chain 0 of both images, then chain 1, …
    weights, strength = np.float32([[0.5, 0.2], [0.25, 0.3], [0.25, 0.5]]), np.float32([0.5, 1.0])
    mixed = policies.blend(*(tf.constant(value) for value in (images, chains, weights, strength)))
    # 5 + 50 + 63.75 = 118.75, cut to 118, half way from 100: 109; 2 + 60 + 15 = 77
    np.testing.assert_array_equal(mixed.numpy().ravel(), [109, 77])


def test_augmix_of_unchanged_chains_changes_nothing():
    images = noise(20)
    weights = RANDOM.dirichlet([1, 1, 1], 20).T.astype(np.float32)
    mixed = policies.blend(
        tf.constant(images),
        tf.constant(np.concatenate([images] * 3)),
        tf.constant(weights),
        tf.constant(RANDOM.random(20).astype(np.float32)),
    )
    np.testing.assert_array_equal(mixed, images)


def test_autoaugment_draws_each_pair_as_often_with_its_probabilities():
    count = 25 * 400
    operation = draws(policies.AutoAugment(), noise(1, 8, 8).repeat(count, 0))["operation"].numpy()
    for position in range(2):
        expected = np.zeros(len(operations.NAMES))
        for pair in policies.IMAGENET_POLICY:
            name, probability, _ = pair[position]
            expected[operations.number(levels.VARIANTS[name][0])] += 400 * probability
            expected[0] += 400 * (1 - probability)
        counts = np.bincount(operation[position], minlength=len(expected))
        assert (counts[expected == 0] == 0).all()
        possible = expected > 0
        assert chi_square(counts[possible], expected[possible]) < 34.5  # at most 13 degrees of freedom, p = 0.001


# Mixing


def test_mixup_mixes_images_and_labels_by_the_same_share_of_the_batch():
    images, labels = noise(8), np.eye(8, dtype=np.float32)
    pixels, mixed = augment({"mixup": 1.0}, images, labels)
    share = mixed[0, 0]
    assert 0 < share < 1
    np.testing.assert_allclose(mixed, share * labels + (1 - share) * labels[::-1], atol=1e-6)
    before = images.astype(np.float32)
    np.testing.assert_allclose(pixels, share * before + (1 - share) * before[::-1], atol=1e-3)


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0])
def test_the_share_is_beta(alpha):
    shares = drawing(mixing.MixUp(alpha))._random_generator.beta((4000,), alpha).numpy()
    assert np.isfinite(shares).all()
    deviation = math.sqrt(1 / (4 * (2 * alpha + 1)))
    assert abs(shares.mean() - 0.5) < 3.3 * deviation / math.sqrt(4000)
    assert abs(shares.std() - deviation) < 0.02
    if alpha == 1:
        assert np.abs(np.sort(shares) - np.arange(4000) / 4000).max() < 1.95 / math.sqrt(4000)


def test_cutmix_pastes_a_clipped_box_and_counts_its_pixels():
    images = np.zeros((2, 20, 30, 1), np.uint8)
    images[1] = 200
    clipped = 0
    for step in range(60):
        pixels, mixed = augment({"cutmix": 1.0}, images, np.eye(2, dtype=np.float32), step)
        other = pixels[0, :, :, 0] == 200
        np.testing.assert_allclose(mixed[0], [1 - other.mean(), other.mean()], atol=1e-6)
        np.testing.assert_array_equal(pixels[1, :, :, 0] == 0, other)
        rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
        assert other.sum() == len(rows) * len(columns)  # one box
        clipped += bool(other.any() and (rows[0] == 0 or rows[-1] == 19 or columns[0] == 0 or columns[-1] == 29))
    assert clipped > 20


class Fixed(StatelessGenerator):
    """Draws what it is told, in order."""

    def __init__(self, share, *centre):
        super().__init__()
        self.share, self.centre = share, list(centre)

    def beta(self, shape, alpha):
        return tf.constant(self.share)

    def uniform(self, *args, **kwargs):
        return tf.constant(self.centre.pop(0))


@pytest.mark.parametrize(
    ("share", "row", "column", "box"),
    [
        (0.75, 10, 10, (5, 15, 5, 15)),  # half of each side, in the middle: 10 x 10 of 400
        (0.75, 0, 10, (0, 5, 5, 15)),  # half of it lies outside
        (0.75, 19, 19, (14, 20, 14, 20)),
        (0.0, 0, 0, (0, 10, 0, 10)),  # the whole image, a quarter of it inside
        (1.0, 7, 7, (7, 7, 7, 7)),
    ],
)
def test_lambda_of_cutmix_is_the_clipped_area_by_hand(share, row, column, box):
    layer = mixing.CutMix(1.0)
    layer._random_generator = Fixed(share, row, column)
    drawn = layer.get_random_transformation_batch(2, images=tf.zeros((2, 20, 20, 3)))
    top, bottom, left, right = box
    expected = np.ones((20, 20), bool)
    expected[top:bottom, left:right] = False
    np.testing.assert_array_equal(drawn["mask"][..., 0], expected)
    np.testing.assert_allclose(drawn["share"], expected.mean(), rtol=1e-6)


def test_fmix_keeps_a_share_of_pixels_in_few_pieces():
    images = np.zeros((2, 32, 32, 1), np.uint8)
    images[1] = 200
    for step in range(10):
        pixels, mixed = augment({"fmix": 1.0}, images, np.eye(2, dtype=np.float32), step)
        own = pixels[0, :, :, 0] == 0
        np.testing.assert_allclose(mixed[0], [own.mean(), 1 - own.mean()], atol=1e-6)
        borders = (own[:, 1:] != own[:, :-1]).mean() + (own[1:] != own[:-1]).mean()
        assert borders < 0.25 * 2 * min(own.mean(), 1 - own.mean()) * 2 + 0.05  # white noise has 4·λ·(1 − λ)


def test_one_mixing_is_drawn_for_each_batch():
    images, labels = noise(4), np.eye(4, dtype=np.float32)
    kinds = {"none": 0, "mixup": 0, "cutmix": 0}
    layers = Augmentation(Augment(**PLAIN, mixup=1.0, cutmix=1.0, mix_probability=0.8), 12)
    run = tf.function(lambda step: layers(tf.constant(images), tf.constant(labels), tf.stack([0, step])))
    for step in range(400):
        pixels, _ = run(tf.constant(step, tf.int64))
        same = (pixels.numpy() == images).all(-1).mean()
        pasted = ((pixels.numpy() == images) | (pixels.numpy() == images[::-1])).all()
        kinds["none" if same == 1 else "cutmix" if pasted else "mixup"] += 1
    # 20, 40 and 40 %; a box of CutMix may be empty
    assert abs(kinds["mixup"] - 160) < 3.3 * math.sqrt(400 * 0.24)
    assert abs(kinds["cutmix"] + kinds["none"] - 240) < 3.3 * math.sqrt(400 * 0.24)
    assert kinds["cutmix"] > 120


# The classical regime


def test_a_resized_crop_is_that_of_pil():
    for height, width, channels in [(24, 24, 3), (17, 30, 1)]:
        images = noise(30, height, width, channels)
        box = draws(classical.RandomResizedCrop(0.08, dtype="uint8"), images)
        layer = drawing(classical.RandomResizedCrop(0.08, dtype="uint8"))
        ours = layer(tf.constant(images)).numpy()
        for number, image in enumerate(images):
            top, left, rows, columns = (int(box[name][number]) for name in ("top", "left", "height", "width"))
            piece = image[top : top + rows, left : left + columns]
            piece = Image.fromarray(piece if channels == 3 else piece[..., 0])
            theirs = np.asarray(piece.resize((width, height), Image.Resampling.BILINEAR)).reshape(image.shape)
            assert np.abs(ours[number].astype(int) - theirs).max() <= 1


def test_a_small_crop_is_that_of_pil_and_comes_as_often_as_it_should():
    images = noise(2000, 30, 30)
    layer = classical.RandomSmallCrop(0.6, 0.3, dtype="uint8")
    box = {name: value.numpy() for name, value in draws(layer, images).items()}
    ours = drawing(layer)(tf.constant(images)).numpy()
    off = []
    for number in range(60):
        top, left, side = (box[name][number] for name in ("top", "left", "height"))
        piece = Image.fromarray(images[number, top : top + side, left : left + side])
        theirs = np.asarray(piece.resize((30, 30), Image.Resampling.BILINEAR))
        off.append(np.abs(ours[number].astype(int) - theirs))
    assert np.max(off) <= 2  # both round once for each axis, Pillow from weights of 22 bits
    assert np.mean(np.array(off) > 0) < 0.02
    np.testing.assert_array_equal(box["height"], box["width"])
    cropped = box["height"][box["height"] < 30]
    expected = 0.3 * (1 - 0.5 / 12)  # of the sides from 18 to 30, half a pixel rounds to 30
    assert abs(len(cropped) / 2000 - expected) < 3.3 * math.sqrt(0.21 / 2000)
    assert (cropped.min(), cropped.max()) == (18, 29)
    assert ((box["top"] + box["height"] <= 30) & (box["left"] + box["width"] <= 30)).all()
    assert (box["top"] != box["left"]).any()


def test_boxes_have_their_area_and_aspect():
    box = draws(classical.RandomResizedCrop(0.08), noise(1, 96, 96).repeat(3000, 0))
    height, width = box["height"].numpy(), box["width"].numpy()
    assert (box["top"].numpy() >= 0).all()
    assert (box["top"].numpy() + height <= 96).all()
    assert (box["left"].numpy() + width <= 96).all()
    ratio, area = width / height, width * height / 96**2
    assert ratio.min() > 0.7
    assert ratio.max() < 1.41
    assert abs((width > height).mean() - 0.5) < 0.04
    assert 0.075 < area.min() < 0.1
    assert abs(area[area < 0.5].mean() - 0.29) < 0.02  # uniform from 0.08; near 1 not every box fits


def test_jitter_stays_in_its_range_and_in_every_order():
    layer = classical.ColorJitter((0.2, 0.2, 0.5, 0.1))
    drawn = draws(layer, noise(1).repeat(6000, 0))
    operation, argument = drawn["operation"].numpy(), drawn["argument"].numpy()
    for name, (low, high) in {
        "Brightness": (0.8, 1.2),
        "Contrast": (0.8, 1.2),
        "Color": (0.5, 1.5),
        "Hue": (-0.1, 0.1),
    }.items():
        factors = np.sort(argument[operation == operations.number(name)])
        assert len(factors) == 6000
        assert np.abs((factors - low) / (high - low) - np.arange(6000) / 6000).max() < 1.95 / math.sqrt(6000)
    orders = np.unique(operation, axis=1, return_counts=True)[1]
    assert len(orders) == 24
    assert chi_square(orders, 250) < 49.7  # 23 degrees of freedom, p = 0.001


def test_rotation_turns_by_whole_degrees_with_its_probability():
    drawn = draws(classical.RandomRotation(10.0, 0.3), noise(1).repeat(8400, 0))
    counts = np.unique(drawn["degrees"].numpy(), return_counts=True)
    np.testing.assert_array_equal(counts[0], np.arange(-10, 11))
    assert chi_square(counts[1], 400) < 45.3  # 20 degrees of freedom, p = 0.001
    expected = 0.3 * 20 / 21  # a turn by 0 is none
    assert abs(drawn["rotated"].numpy().mean() - expected) < 3.3 * math.sqrt(0.21 / 8400)


def test_erasing_writes_noise_in_one_box_of_some_of_the_images():
    images = np.full((400, 20, 20, 3), 7, np.uint8)
    erased, _ = augment({"erasing": 0.5}, images, one_hot(400))
    changed = (erased != 7).any(-1)
    assert abs(changed.any((1, 2)).sum() - 200) < 3.3 * 10
    for mask in changed[changed.any((1, 2))]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert box.mean() > 0.9
        assert 0.015 < box.size / 400 < 0.45
    assert erased[changed].std() > 60
