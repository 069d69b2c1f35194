"""Distortion of colors: against Pillow, and for the hue against the matrices of GluonCV."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from PIL import Image, ImageEnhance

from tinytrain.data.augment import box_color
from tinytrain.data.augment.generator import StatelessGenerator

UNCHANGED = {"brightness": 0.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
IMAGE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)


def distorted(image=IMAGE, **values):
    distortion = {name: tf.constant([value], tf.float32) for name, value in (UNCHANGED | values).items()}
    return box_color.distort(tf.constant(image[None], tf.float32), distortion)[0].numpy()


def levels(image):
    return np.clip(image, 0, 255)


@pytest.mark.parametrize("value", [-32.0, 7.5, 32.0])
def test_brightness_adds_levels(value):
    np.testing.assert_allclose(distorted(brightness=value), IMAGE + value, atol=1e-3)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5])
def test_factors_equal_pillow(factor):
    """What is called contrast here is a factor of the levels, as in SSD; Pillow calls that brightness."""
    image = Image.fromarray(IMAGE)
    for name, enhance in (("contrast", ImageEnhance.Brightness), ("saturation", ImageEnhance.Color)):
        expected = np.asarray(enhance(image).enhance(factor), float)
        assert np.abs(levels(distorted(**{name: factor})) - expected).max() < 1.5  # Pillow truncates


@pytest.mark.parametrize("degrees", [-18.0, 5.0, 18.0])
def test_hue_equals_gluoncv(degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.321], [0.211, -0.523, 0.311]])
    to_rgb = np.array([[1.0, 0.956, 0.621], [1.0, -0.272, -0.647], [1.0, -1.107, 1.705]])
    actual = distorted(hue=np.radians(degrees))
    assert np.abs(actual - IMAGE @ (to_rgb @ turn @ to_yiq).T).max() < 2  # their matrices are rounded
    luma = [0.299, 0.587, 0.114]
    np.testing.assert_allclose(actual @ luma, IMAGE @ luma, atol=1e-2)


@pytest.mark.parametrize("contrast_first", [True, False])
def test_all_four_in_either_order_of_the_contrast(contrast_first):
    values = {"brightness": 20.0, "contrast": 0.7, "saturation": 1.4, "hue": 0.2}
    steps = (
        ["brightness", "contrast", "saturation", "hue"]
        if contrast_first
        else ["brightness", "saturation", "hue", "contrast"]
    )
    image = IMAGE
    for name in steps:
        image = distorted(image, **{name: values[name]})
    np.testing.assert_allclose(distorted(**values), image, atol=1e-2)


def test_gray_has_no_saturation_and_no_hue():
    gray = IMAGE[..., :1]
    np.testing.assert_allclose(distorted(gray, saturation=1.5, hue=0.3), gray, atol=1e-3)
    np.testing.assert_allclose(distorted(gray, brightness=-10, contrast=1.5), (gray - 10.0) * 1.5, atol=1e-3)


def test_each_of_the_four_happens_to_half_of_the_images():
    random = StatelessGenerator()
    random.restart(tf.constant([0, 0], tf.int64))
    drawn = {name: value.numpy() for name, value in box_color.draw(random, tf.constant(4000)).items()}
    ranges = {
        "brightness": (-32, 64),
        "contrast": (0.5, 1),
        "saturation": (0.5, 1),
        "hue": (-np.pi / 10, np.pi / 5),
    }
    changed = {name: value != np.float32(UNCHANGED[name]) for name, value in drawn.items()}
    for name, limits in ranges.items():
        assert 0.47 < changed[name].mean() < 0.53
        assert scipy.stats.kstest(drawn[name][changed[name]], "uniform", limits).pvalue > 0.001
    together = np.mean(list(changed.values()), axis=0)
    assert (
        scipy.stats.chisquare(np.bincount((together * 4).astype(int)), np.array([1, 4, 6, 4, 1]) * 250).pvalue > 0.001
    )
