import numpy as np
import pytest
import tensorflow as tf
from encoding import one_hot

from tinytrain.config.schema import Augment
from tinytrain.data import batches
from tinytrain.data.augment.augmentation import Augmentation
from tinytrain.data.images import Samples

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(1, 256, (400, 16, 16, 3), dtype=np.uint8)


def augment(config, step=0, seed=0, images=IMAGES):
    seeds = tf.constant([seed, step], tf.int64)
    pixels, _ = Augmentation(config, images.shape[1])(tf.constant(images), tf.zeros((len(images), 2)), seeds)
    return pixels.numpy()


def test_crop_shifts_by_whole_pixels_over_a_black_border_uniformly():
    shifted = augment(Augment(flip=False, crop=0.125))  # 2 pixels of 16
    padded = np.pad(IMAGES, [(0, 0), (2, 2), (2, 2), (0, 0)])
    counts = np.zeros((5, 5), int)
    for before, after in zip(padded, shifted, strict=True):
        matches = [(r, c) for r in range(5) for c in range(5) if (before[r : r + 16, c : c + 16] == after).all()]
        assert len(matches) == 1
        counts[matches[0]] += 1
    expected = 400 / 25
    assert ((counts - expected) ** 2 / expected).sum() < 51.2  # chi-square, 24 degrees of freedom, p = 0.001


def test_flip_mirrors_about_half_of_the_images():
    flipped = augment(Augment(flip=True, crop=0.0))
    mirrored = (flipped == IMAGES[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (flipped == IMAGES).all(axis=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert 150 < mirrored.sum() < 250


def test_nothing_asked_for_changes_nothing():
    np.testing.assert_array_equal(augment(Augment(flip=False, crop=0.0)), IMAGES)


def test_the_draw_depends_on_seed_and_step_only_eagerly_and_in_a_pipeline():
    config = Augment(flip=True, crop=0.125)
    np.testing.assert_array_equal(augment(config, step=3), augment(config, step=3))
    for other in (augment(config, step=4), augment(config, step=3, seed=1)):
        assert (other != augment(config, step=3)).any()
    layers = Augmentation(config, 16)
    data = batches.training_batches(
        Samples.of(IMAGES, np.zeros(400, np.int64)), one_hot(2), 400, 0, range(3, 4), layers
    )
    order = np.random.default_rng([0, 3]).permutation(400)
    (in_pipeline, _) = next(iter(data))
    eager = augment(config, step=3, images=IMAGES[order])
    np.testing.assert_array_equal(in_pipeline.numpy() * 128 + 128, eager)


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_and_color(channels):
    images = IMAGES[..., :channels]
    assert augment(Augment(flip=True, crop=0.25), images=images).shape == images.shape
