"""Regions of images, and what their boxes and pixels become: against Pillow, and by hand."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image

from tinytrain.data.augment import box_geometry
from tinytrain.data.augment.generator import StatelessGenerator

SIDE = 120
FILL = {1: (117,), 3: (124, 116, 103)}  # the mean of ImageNet (0.485, 0.456, 0.406) in levels; its luma


def generator(step=0):
    random = StatelessGenerator()
    random.restart(tf.constant([0, step], tf.int64))
    return random


def smooth_image(channels=3):
    noise = np.random.default_rng(0).integers(0, 256, (15, 15, 3), np.uint8)
    image = Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image.convert("RGB" if channels == 3 else "L"), np.uint8).reshape(SIDE, SIDE, channels)


def resize(image, region, resolution, flipped=False):
    images, regions = tf.constant(image[None]), tf.constant([region], tf.float32)
    resampled = box_geometry.resample(images, regions, resolution)
    return box_geometry.finish(resampled, regions, tf.constant([flipped]), len(image))[0].numpy()


def pil(image, region, resolution, channels):
    """Returns the same of Pillow: the image on a large canvas of the fill color, then one resizing."""
    mode = "RGB" if channels == 3 else "L"
    canvas = Image.new(mode, (8 * SIDE, 8 * SIDE), FILL[channels] if channels == 3 else FILL[1][0])
    canvas.paste(Image.fromarray(image.squeeze()), (2 * SIDE, 2 * SIDE))
    box = tuple(np.array(region, float) + 2 * SIDE)
    resized = canvas.resize((resolution, resolution), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized).reshape(resolution, resolution, channels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [SIDE, SIDE // 2, 50])
def test_whole_images_equal_pillow_to_one_level(channels, resolution):
    image = smooth_image(channels)
    expected = Image.fromarray(image.squeeze()).resize((resolution, resolution), Image.Resampling.BILINEAR)
    actual = resize(image, (0, 0, SIDE, SIDE), resolution)
    difference = np.abs(actual.astype(int) - np.asarray(expected).reshape(actual.shape))
    assert difference.max() <= 1
    noise = np.random.default_rng(1).integers(0, 256, image.shape, np.uint8)
    expected = Image.fromarray(noise.squeeze()).resize((resolution, resolution), Image.Resampling.BILINEAR)
    difference = np.abs(resize(noise, (0, 0, SIDE, SIDE), resolution) - np.asarray(expected, int).reshape(actual.shape))
    assert difference.max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_regions_equal_pillow_but_for_the_border_of_the_image(channels):
    random, resolution, image = np.random.default_rng(0), 60, smooth_image(channels)
    for number in range(40):
        side = random.uniform(0.2, 1 if number % 2 else 4, 2) * SIDE
        corner = random.uniform(-SIDE * 0.5, SIDE * 0.6, 2) if number % 4 else np.full(2, -20.0)
        region = (*corner, *(corner + side))
        actual, expected = resize(image, region, resolution), pil(image, region, resolution, channels).astype(int)
        # Pillow blends the outermost pixels with the fill color, about one pixel of the result wide
        edges = [(np.array([0, SIDE]) - corner[axis]) * resolution / side[axis] for axis in (0, 1)]
        reach = np.maximum(1.0, resolution / side) * 1.5
        near = [np.abs(np.arange(resolution)[:, None] + 0.5 - edges[axis]).min(1) < reach[axis] for axis in (0, 1)]
        away = ~near[1][:, None] & ~near[0][None]
        difference = np.abs(actual - expected)
        assert difference[away].max(initial=0) <= 2
        assert difference.mean() < 3


def test_what_lies_outside_is_the_mean_of_imagenet():
    assert (resize(np.zeros((SIDE, SIDE, 3), np.uint8), (-300, 0, -100, 100), 20) == FILL[3]).all()
    assert (resize(np.zeros((SIDE, SIDE, 1), np.uint8), (0, 121, 100, 200), 20) == FILL[1]).all()


def test_flip_mirrors_pixels_and_boxes():
    image = smooth_image()
    plain = resize(image, (10, 20, 100, 90), 40)
    np.testing.assert_array_equal(resize(image, (10, 20, 100, 90), 40, flipped=True), plain[:, ::-1])
    targets = tf.constant([[[2, 1, 5, 11, 30, 0.5]]] * 2, tf.float32)
    flipped = box_geometry.flip(targets, tf.constant([True, False]), 40)
    np.testing.assert_array_equal(flipped, [[[2, 29, 5, 39, 30, 0.5]], [[2, 1, 5, 11, 30, 0.5]]])


def test_boxes_move_with_their_region():
    """A region of 40 x 20 pixels becomes 80 x 80: x twice as large, y four times."""
    targets = np.float32(
        [
            [0, 12, 22, 20, 30, 1],  # inside
            [1, 0, 25, 22, 30, 0.25],  # centre at x = 11: clipped
            [2, 0, 25, 18, 30, 1],  # centre at x = 9: outside
            [3, 10, 38, 20, 42, 1],  # centre on the lower border: outside, as a region is half-open
            [4, 20, 30, 20.4, 40, 1],  # 0.8 pixels wide
            [-1, 12, 22, 20, 30, 1],
        ]
    )
    moved = box_geometry.move(tf.constant(targets[None]), tf.constant([[10.0, 20, 50, 40]]), 80)[0].numpy()
    assert moved[:, 0].tolist() == [0, 1, -1, -1, -1, -1]
    np.testing.assert_allclose(moved[:2], [[0, 4, 8, 20, 40, 1], [1, 0, 20, 24, 40, 0.25]], atol=1e-4)


def test_expansion_is_drawn_as_its_keys_say():
    regions = box_geometry.expand(generator(), tf.constant(4000), SIDE, 0.25, 3.0).numpy()
    canvas = regions[:, 2:] - regions[:, :2]
    np.testing.assert_allclose(canvas[:, 0], canvas[:, 1], rtol=1e-5)
    expanded = canvas[:, 0] > SIDE + 1e-3
    assert 0.22 < expanded.mean() < 0.28  # four standard deviations
    np.testing.assert_array_equal(regions[~expanded], [[0, 0, SIDE, SIDE]] * (~expanded).sum())
    ratio, room = canvas[expanded, 0] / SIDE, canvas[expanded] - SIDE
    assert scipy.stats.kstest(ratio, "uniform", (1, 2)).pvalue > 0.001
    for axis in (0, 1):
        assert scipy.stats.kstest(-regions[expanded, axis] / room[:, axis], "uniform").pvalue > 0.001
    assert abs(np.corrcoef((-regions[expanded, :2] / room).T)[0, 1]) < 0.13
