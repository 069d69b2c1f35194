"""Frames of a camera against the formulas worked by hand, Pillow, and the geometry that training has."""

import itertools

import numpy as np
import pytest
from PIL import Image

from tinytrain.config.fields import FRAME_FORMATS
from tinytrain.data import frames, resizing
from tinytrain.errors import UserError

RANDOM = np.random.default_rng(0)


def by_hand(image, columns, rows):
    """Returns a stretched gray image, each pixel by the docstring's formula, one at a time."""
    height, width = image.shape[:2]
    result = np.zeros((rows, columns), int)
    for row, column in itertools.product(range(rows), range(columns)):
        places = []
        for number, side, pixels in ((column, width, columns), (row, height, rows)):
            step = side * 65536 // pixels
            centre = min(max(number * step + step // 2 - 32768, 0), 65536 * (side - 1))
            places.append((centre // 65536, min(centre // 65536 + 1, side - 1), centre // 256 % 256))
        (left, right, x), (upper, lower, y) = places
        a, b, c, d = (int(image[line, at, 0]) for line, at in itertools.product((upper, lower), (left, right)))
        result[row, column] = ((256 - y) * ((256 - x) * a + x * b) + y * ((256 - x) * c + x * d) + 32768) >> 16
    return result


@pytest.mark.parametrize("sizes", [(7, 5, 3, 4), (3, 4, 7, 9), (10, 10, 10, 10), (1, 1, 4, 4)])
def test_the_bilinear_is_the_stated_one(sizes):
    width, height, columns, rows = sizes
    image = RANDOM.integers(0, 256, (height, width, 1), np.uint8)
    assert (frames.resized(image, columns, rows, "stretch")[..., 0] == by_hand(image, columns, rows)).all()


@pytest.mark.parametrize("resize", ["stretch", "crop", "eval_crop", "pad"])
def test_enlarged_frames_are_pillows_but_for_rounding(resize):
    """Where nothing is made smaller, Pillow's antialiased filter is the plain bilinear one."""
    for width, height in ((9, 9), (9, 12), (20, 11), (17, 16)):
        image = RANDOM.integers(0, 256, (height, width, 3), np.uint8)
        expected, _ = resizing.prepare(Image.fromarray(image), 24, 3, resize)
        found = frames.resized(image, 24, 24, resize)
        assert np.abs(found.astype(int) - expected).max() <= 2, (width, height)


@pytest.mark.parametrize("resize", ["stretch", "crop", "eval_crop", "pad"])
def test_the_geometry_is_that_of_training(resize):
    """Boxes of detectors are brought to the input by `resizing.transform_of`."""
    for width, height in RANDOM.integers(8, 700, (300, 2)).tolist():
        transform = resizing.transform_of((width, height), 96, resize)
        axes = frames.place(width, height, 96, 96, resize)
        for axis, scale, offset in zip(axes, transform[:2], transform[2:], strict=True):
            ours = axis.size * 65536 / axis.length
            assert np.isclose(ours, scale, rtol=1e-5), (width, height)
            assert np.isclose(axis.offset - axis.first / 65536 * ours, offset, atol=1e-3), (width, height)


def test_colors_of_16_bits_reach_black_and_white():
    words = np.array([[0x0000, 0xFFFF, 0xF800, 0x07E0, 0x001F, 0x8410]], "<u2")
    expected = [[0, 0, 0], [255] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255], [132, 130, 132]]
    assert frames.colors(words.view(np.uint8), 6, "rgb565-le", 3)[0].tolist() == expected
    assert frames.colors(words.byteswap().view(np.uint8), 6, "rgb565-be", 3)[0].tolist() == expected


@pytest.mark.parametrize("form", ["yuyv", "uyvy"])
def test_yuv_is_that_of_jpeg(form):
    image = RANDOM.integers(0, 256, (16, 2, 3), np.uint8).repeat(2, axis=1)  # pairs of one color
    rows = frames.encoded(image, form)
    places = [0, 1, 3] if form == "yuyv" else [1, 0, 2]
    values = rows.reshape(16, 2, 4)[..., places]  # of each pair Y, U and V
    pillow = Image.fromarray(image[:, ::2]).convert("YCbCr")
    assert np.abs(values.astype(int) - np.asarray(pillow)).max() <= 1  # which rounds down
    decoded = np.asarray(Image.frombytes("YCbCr", (2, 16), values.tobytes()).convert("RGB"))
    found = frames.colors(rows, 4, form, 3)
    assert (found[:, ::2] == found[:, 1::2]).all()
    assert np.abs(found[:, ::2].astype(int) - decoded).max() <= 1
    first = frames.encoded(np.array([[[255, 0, 0], [255, 0, 0]]], np.uint8), form)[0].tolist()
    assert first == ([76, 85, 76, 255] if form == "yuyv" else [85, 76, 255, 76])


@pytest.mark.parametrize("form", FRAME_FORMATS)
def test_gray_is_pillows(form):
    image = RANDOM.integers(0, 256, (6, 8, 3), np.uint8)
    rows = frames.encoded(image, form)
    gray = frames.colors(rows, 8, form, 1)[..., 0]
    seen = image if form in (*frames.YUV, "gray8") else frames.colors(rows, 8, form, 3)
    assert (gray == np.asarray(Image.fromarray(seen).convert("L"))).all()


@pytest.mark.parametrize("form", FRAME_FORMATS)
def test_a_gray_image_stays_gray(form):
    image = RANDOM.integers(0, 256, (6, 8, 1), np.uint8)
    found = frames.prepare(resizing.of_array(image), 8, 1, "stretch", form)
    coarse = 7 if form.startswith("rgb565") else 0
    expected = frames.resized(image, 8, 8, "stretch")
    assert np.abs(found.astype(int) - expected).max() <= coarse


def test_an_odd_width_loses_its_last_column_as_yuv():
    image = RANDOM.integers(0, 256, (3, 5, 3), np.uint8)
    assert frames.encoded(image, "yuyv").shape == (3, 8)


def test_gray_frames_are_refused_for_colors():
    frames.check("gray8", 1)
    with pytest.raises(UserError, match="gray8 has no colors, but this network takes 3 channels"):
        frames.check("gray8", 3)
