"""Augmentation of pixels and boxes together: colored rectangles must be where their targets say."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tinytrain.config.schema import Augment
from tinytrain.data.augment import iou_crop
from tinytrain.data.augment.boxes import BoxAugmentation

OFF = {"flip": False, "crop": 0.0, "distort": False, "expand": 0.0, "iou_crop": False}
ON = {"flip": True, "distort": True, "expand": 0.5, "iou_crop": True}
COUNT = 40  # images of a batch


@functools.cache
def rectangles(side, channels=3):
    """Returns images with a red, a green and a blue rectangle, some at the border, and their targets, one a padding."""
    random = np.random.default_rng(0)
    images, targets = np.zeros((COUNT, side, side, channels), np.uint8), np.zeros((COUNT, 4, 6), np.float32)
    targets[:, 3, 0] = -1
    for image, rows in zip(images, targets, strict=True):
        for label in range(3):
            low, high = label * side // 3, (label + 1) * side // 3 - 4  # a third of the width for each
            x0 = random.integers(low, high - side // 6) if random.random() < 0.7 else low
            y0 = random.integers(0, side - side // 6) if random.random() < 0.7 else 0
            x1, y1 = random.integers(x0 + side // 7, high + 1), random.integers(y0 + side // 7, side + 1)
            image[y0:y1, x0:x1, label % channels] = 255
            rows[label] = label, x0, y0, x1, y1, 1
    return images, targets


def augment(config, images, targets, resolution, step=0, seed=0, mixing_steps=None):
    augmentation = BoxAugmentation(Augment(**config), resolution, mixing_steps)
    result = augmentation(tf.constant(images), tf.constant(targets), tf.constant([seed, step], tf.int64))
    return [tensor.numpy() for tensor in result]


def extent(image, label):
    """Returns x0, y0, x1, y1 of the pixels in which a color is at least half of its strongest; None without any."""
    others = [channel for channel in range(3) if channel != label]
    strength = image[..., label].astype(int) - image[..., others].max(-1)
    if strength.max() < 40:
        return None
    rows, columns = np.nonzero(strength * 2 > strength.max())
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize(
    ("config", "side", "resolution"),
    [
        ({}, 320, 160),
        ({}, 250, 96),
        ({"flip": True}, 320, 160),
        ({"expand": 1.0}, 320, 160),
        ({"iou_crop": True}, 320, 160),
        ({"iou_crop": True, "expand": 0.5, "flip": True}, 160, 160),
        (ON, 320, 160),
    ],
)
def test_rectangles_are_where_their_targets_say(config, side, resolution):
    images, targets = rectangles(side)
    there = 0
    for step in range(5):
        pixels, moved = augment(OFF | config, images, targets, resolution, step)
        assert pixels.shape == (COUNT, resolution, resolution, 3)
        assert moved.shape == targets.shape
        for image, rows in zip(pixels, moved, strict=True):
            assert rows[3, 0] == -1
            assert (rows[:, 0] >= 0).any()
            for label, row in enumerate(rows[:3]):
                drawn = extent(image, label)
                if row[0] >= 0:
                    assert row[0] == label
                    assert np.abs(drawn - row[1:5]).max() <= 1
                    there += 1
                elif drawn is not None:  # its centre is outside, so that it reaches the border
                    assert (drawn[:2] == 0).any() or (drawn[2:] == resolution).any()
    assert there > 5 * COUNT * (3 if "iou_crop" not in config else 1.5) - 1


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_asked_for_only_resizes(channels):
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, channels), np.uint8)
    targets = np.float32([[[0, 0, 0, 64, 64, 1], [1, 2, 4, 10, 6, 1], [2, 62, 3, 64, 5, 0.5], [-1, 0, 0, 0, 0, 0]]] * 4)
    pixels, moved = augment(OFF, noise, targets, 32)
    expected = [
        np.asarray(Image.fromarray(image.squeeze()).resize((32, 32), Image.Resampling.BILINEAR)) for image in noise
    ]
    assert np.abs(pixels - np.array(expected, int).reshape(pixels.shape)).max() <= 1
    np.testing.assert_array_equal(moved, targets * np.float32([1, 0.5, 0.5, 0.5, 0.5, 1]))


def test_boxes_are_clipped_to_the_image_before_it_is_expanded():
    targets = np.float32([[[0, -10, 20, 30, 40, 1], [1, 60, 10, 90, 20, 1]]])  # the second one's centre is outside
    for step in range(20):
        pixels, moved = augment(OFF | {"expand": 1.0}, np.zeros((1, 64, 64, 3), np.uint8), targets, 64, step)
        columns = np.nonzero((pixels[0] == 0).all(-1).any(0))[0]  # of the image on its canvas
        assert abs(moved[0, 0, 1] - columns.min()) <= 1
        assert moved[0, 1, 0] == -1


def test_boxes_that_become_smaller_than_a_pixel_are_left_out():
    targets = np.float32([[[0, 8, 8, 12, 12, 1], [1, 8, 8, 9.9, 12, 1], [2, 8, 8, 12, 9, 1]]])
    _, moved = augment(OFF, np.zeros((1, 64, 64, 3), np.uint8), targets, 32)
    assert moved[0, :, 0].tolist() == [0, -1, -1]


@pytest.mark.parametrize("channels", [1, 3])
def test_images_without_boxes_and_gray_ones(channels):
    images, targets = rectangles(64, channels)
    targets = targets.copy()
    targets[::2, :, 0] = -1
    pixels, moved = augment(ON | {"crop": 0.0}, images, targets, 32)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (COUNT, 32, 32, channels))
    assert (moved[::2, :, 0] == -1).all()
    assert (moved[1::2, :, 0] >= 0).any(1).all()
    assert np.isfinite(moved).all()
    targets[..., 0] = -1
    pixels, moved = augment(OFF | {"iou_crop": True}, images, targets, 64)
    np.testing.assert_array_equal(pixels, images)  # nothing to crop around
    assert (moved[..., 0] == -1).all()


def test_the_draw_depends_on_seed_and_step_only_eagerly_and_in_a_pipeline():
    images, targets = (tf.constant(array) for array in rectangles(64))
    augmentation = BoxAugmentation(Augment(**(OFF | ON), mixup=1.5), 32, mixing_steps=6)
    compiled = iou_crop._choose.experimental_get_tracing_count()

    def batch(step):
        return augmentation(images, targets, tf.stack([tf.constant(5, tf.int64), step]))

    steps = tf.data.Dataset.range(8)
    in_order = list(steps.map(batch, num_parallel_calls=2, deterministic=True))
    resumed = list(steps.skip(4).map(batch))
    for step, (pixels, moved) in enumerate(in_order):
        again = batch(tf.constant(step, tf.int64))
        np.testing.assert_array_equal(again[0], pixels)
        np.testing.assert_allclose(again[1], moved, atol=1e-4)  # a graph divides in another way
    for (pixels, moved), again in zip(in_order[4:], resumed, strict=True):
        np.testing.assert_array_equal(again[0], pixels)
        np.testing.assert_array_equal(again[1], moved)
    assert (in_order[0][0].numpy() != in_order[1][0].numpy()).any()
    other = augmentation(images, targets, tf.constant([6, 0], tf.int64))
    assert (other[0].numpy() != in_order[0][0].numpy()).any()
    assert iou_crop._choose.experimental_get_tracing_count() - compiled <= 3  # once for each of the two and eagerly


def test_images_are_mixed_until_the_step_that_ends_it():
    images, targets = rectangles(64)
    for step, mixed in ((6, True), (7, False)):
        pixels, both = augment(OFF | {"mixup": 1.5}, images, targets, 64, step, mixing_steps=7)
        assert both.shape == (COUNT, 8, 6)
        own, others = both[:, :4], both[:, 4:]
        np.testing.assert_array_equal(own[..., :5], targets[..., :5])
        if not mixed:
            np.testing.assert_array_equal(pixels, images)
            assert (own[:, :3, 5] == 1).all()
            assert (others[..., 0] == -1).all()
            continue
        for image, plain, rows, partners_rows in zip(pixels, images, own, others, strict=True):
            partner = next(n for n in range(COUNT) if (targets[n, :3, :5] == partners_rows[:3, :5]).all())
            share = float(rows[0, 5])
            np.testing.assert_allclose(partners_rows[:3, 5], 1 - share, atol=1e-6)
            assert np.abs(image - (share * plain + (1 - share) * images[partner])).max() <= 0.501
