"""MixUp of images with boxes, by its formula."""

import numpy as np
import scipy.stats
import tensorflow as tf

from tinytrain.data.augment import box_mixing
from tinytrain.data.augment.generator import StatelessGenerator


def mix(images, targets, alpha=1.5, mixed=True, step=0):
    random = StatelessGenerator()
    random.restart(tf.constant([0, step], tf.int64))
    result = box_mixing.mix(random, tf.constant(images), tf.constant(targets), alpha, tf.constant(mixed))
    return [tensor.numpy() for tensor in result]


def batch(count, side=4, boxes=2):
    """Returns noise, and targets whose x0 is the number of their image."""
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    targets = np.zeros((count, boxes, 6), np.float32)
    targets[..., 1:] = [0, 0, 3, 3, 1]
    targets[..., 1] = np.arange(count)[:, None]
    targets[:, -1, 0] = -1
    return images, targets


def test_pixels_and_weights_are_mixed_by_one_share():
    images, targets = batch(64)
    targets[..., 5] = 0.5
    mixed, both = mix(images, targets)
    partner, share = both[:, 2, 1].astype(int), both[:, 0, 5] * 2
    assert (partner != np.arange(64)).all()
    np.testing.assert_array_equal(both[:, :2, :5], targets[..., :5])
    np.testing.assert_array_equal(both[:, 2:, :5], targets[partner][..., :5])
    np.testing.assert_allclose(both[:, 2:, 5], np.tile((1 - share[:, None]) / 2, 2), atol=1e-6)
    wide = share[:, None, None, None].astype(float)
    assert np.abs(mixed - (wide * images + (1 - wide) * images[partner])).max() <= 0.501


def test_share_and_partner_are_distributed_as_the_paper_says():
    images, targets = batch(5000, side=1)
    _, both = mix(images, targets)
    share = both[:, 0, 5].astype(float)
    assert abs(share.mean() - 0.5) < 4 * (1 / 16 / 5000) ** 0.5  # Beta(1.5, 1.5) has the variance 1/16
    assert abs(share.var() - 1 / 16) < 0.004
    assert scipy.stats.kstest(share, "beta", (1.5, 1.5)).pvalue > 0.001
    distance = (both[:, 2, 1] - np.arange(5000)) % 5000 / 5000
    assert scipy.stats.kstest(distance, "uniform").pvalue > 0.001


def test_nothing_is_mixed_in_the_last_epochs_or_in_a_batch_of_one():
    for images, targets, mixed in ((*batch(8), False), (*batch(1), True)):
        same, both = mix(images, targets, mixed=mixed)
        np.testing.assert_array_equal(same, images)
        np.testing.assert_array_equal(both[:, :2], targets)
        assert (both[:, 2:, 0] == -1).all()
