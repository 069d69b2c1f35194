"""What the pixels of a file mean: white by its type, upright, on white; against values worked by hand."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from tinytrain.data import decode, reading, resizing

DEEP = np.array([[0, 100, 255, 256], [257, 300, 25700, 65535]], np.uint16)


def opened(image, format_, **options):
    """Returns `image` as it is read back from a file."""
    file = io.BytesIO()
    image.save(file, format_, **options)
    return Image.open(io.BytesIO(file.getvalue()))


def gray(image):
    return resizing.prepare(image, max(image.size), 1, "pad")[0][..., 0]


def tiff(values, bits, kind, order="<", photometric=1):
    """Returns a TIFF file of one channel, written by hand: kind 1 is unsigned, 2 signed, 3 floating point."""
    tags = [(256, values.shape[1]), (257, values.shape[0]), (258, bits), (259, 1), (262, photometric)]
    tags += [(273, 8), (277, 1), (278, values.shape[0]), (279, values.nbytes), (339, kind)]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 8 + values.nbytes)
    rows = b"".join(struct.pack(order + "HHLHH", tag, 3, 1, value, 0) for tag, value in tags)
    body = values.astype(values.dtype.newbyteorder(order)).tobytes()
    return Image.open(io.BytesIO(head + body + struct.pack(order + "H", len(tags)) + rows + bytes(4)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("largest", [200, 255, 256, 4095, 65535])
def test_sixteen_bits_are_over_257_whatever_they_hold(order, largest):
    values = np.minimum(DEEP, largest).astype(np.uint16)
    expected = np.round(values / 257)
    np.testing.assert_array_equal(np.asarray(decode.upright_8bit(tiff(values, 16, 1, order))[0]), expected)
    png = opened(Image.fromarray(values), "PNG")
    np.testing.assert_array_equal(np.asarray(decode.upright_8bit(png)[0]), expected)
    pgm = opened(Image.fromarray(values), "PPM")  # Pillow gives it as mode "I"
    np.testing.assert_array_equal(np.asarray(decode.upright_8bit(pgm)[0]), expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_floating_point_is_times_255(order):
    values = np.array([[0, 0.25, 0.5], [0.001, 0.999, 1]], np.float32)
    gray = np.asarray(decode.upright_8bit(tiff(values, 32, 3, order))[0])
    np.testing.assert_array_equal(gray, [[0, 64, 128], [0, 255, 255]])
    dark = np.asarray(decode.upright_8bit(tiff(values / 10, 32, 3, order))[0])
    np.testing.assert_array_equal(dark, [[0, 6, 13], [0, 25, 26]])


def test_where_zero_is_white_the_image_is_turned_over():
    np.testing.assert_array_equal(
        np.asarray(decode.upright_8bit(tiff(DEEP, 16, 1, photometric=0))[0]), 255 - np.round(DEEP / 257)
    )
    values = np.array([[0, 1]], np.float32)
    np.testing.assert_array_equal(np.asarray(decode.upright_8bit(tiff(values, 32, 3, photometric=0))[0]), [[255, 0]])


@pytest.mark.parametrize(
    ("values", "bits", "kind", "sentence"),
    [
        (np.array([[0, 255]], np.float32), 32, 3, "floating point from 0 to 255, and only 0 (black) to 1 (white)"),
        (np.array([[-0.1, 1]], np.float32), 32, 3, "floating point from -0.1 to 1"),
        (np.array([[np.nan, 1]], np.float32), 32, 3, "floating point from nan"),
        (np.array([[0, np.inf]], np.float32), 32, 3, "to inf"),
        (np.array([[0, 255]], np.int32), 32, 2, "signed or 32-bit whole numbers"),
        (np.array([[0, 255]], np.uint32), 32, 1, "signed or 32-bit whole numbers"),
        (np.array([[-5, 255]], np.int16), 16, 2, "signed or 32-bit whole numbers"),
    ],
)
def test_a_type_or_value_without_a_white_is_refused(tmp_path, values, bits, kind, sentence):
    with pytest.raises(decode.UnknownWhiteLevel) as error:
        decode.upright_8bit(tiff(values, bits, kind))
    assert sentence in str(error.value)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_what_is_transparent_is_on_white(mode):
    """Of pixel 100 and alpha 0, 51, 255 over white: 255, 100·0.2 + 255·0.8 = 224, 100."""
    layer = Image.new("LA", (3, 1))
    for column, alpha in enumerate((0, 51, 255)):
        layer.putpixel((column, 0), (100, alpha))
    image, expected = layer.convert("RGBA"), [255, 224, 100]
    if mode == "LA":
        image = layer
    elif mode in ("P", "PA"):
        image = Image.new("P", (3, 1))
        image.putpalette([100, 100, 100, 0, 0, 0])
        image.info["transparency"] = 1
        image.putdata([1, 1, 0])
        expected = [255, 255, 100]
        image = image.convert("PA") if mode == "PA" else opened(image, "PNG")
    flat, transparent = decode.upright_8bit(image)
    assert (transparent, flat.mode) == (True, "L" if mode == "LA" else "RGB")
    np.testing.assert_array_equal(np.asarray(flat.convert("L"))[0], expected)
    np.testing.assert_array_equal(resizing.prepare(image, 3, 1, "pad")[0][1, :, 0], expected)


def test_an_alpha_channel_that_hides_nothing_changes_nothing():
    values = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(values).convert("RGBA")
    flat, transparent = decode.upright_8bit(image)
    assert not transparent
    np.testing.assert_array_equal(np.asarray(flat), values)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "I;16", "RGBA"])
def test_every_mode_is_turned_upright_and_measured_so(turn, mode):
    """The EXIF standard: 6 is turned 90 degrees clockwise to be upright, 2 is mirrored, and so on."""
    values = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
    upright = {
        1: values,
        2: values[:, ::-1],
        3: values[::-1, ::-1],
        4: values[::-1],
        5: values.T,
        6: np.rot90(values, -1),
        7: values[::-1, ::-1].T,
        8: np.rot90(values),
    }[turn]
    image = Image.fromarray(values.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(values).convert(mode)
    image.getexif()[0x0112] = turn
    image = opened(image, "PNG", exif=image.getexif())
    info = reading.info(image)
    assert (info.size, info.mode) == (upright.shape[::-1], mode)
    np.testing.assert_array_equal(np.asarray(decode.upright_8bit(image)[0].convert("L")), upright)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("turn", [3, 5, 6, 8])
def test_a_tiff_file_is_turned_once(tmp_path, compression, turn):
    """Pillow turns it by itself, and mixes the rows up where it maps the file into memory."""
    values = np.array([[10, 20, 30], [40, 50, 60]], np.uint8)
    upright = {3: values[::-1, ::-1], 5: values.T, 6: np.rot90(values, -1), 8: np.rot90(values)}[turn]
    path = tmp_path / "lying.tif"
    Image.fromarray(values).save(path, tiffinfo={274: turn}, compression=compression)
    pixels = reading.decode(path, lambda image: np.asarray(decode.upright_8bit(image)[0]))
    np.testing.assert_array_equal(pixels, upright)


def test_color_spaces_that_have_no_way_to_gray_go_by_rgb():
    lab = opened(Image.merge("LAB", [Image.new("L", (4, 4), value) for value in (128, 128, 128)]), "TIFF")
    assert lab.mode == "LAB"
    assert resizing.prepare(lab, 4, 1, "stretch")[0].shape == (4, 4, 1)
    middle = resizing.prepare(lab, 4, 3, "stretch")[0][0, 0]
    assert 115 <= middle.min() <= middle.max() <= 123  # L* = 50 is 119 in sRGB


def test_what_an_image_is_is_what_its_pixels_are(monkeypatch):
    """The sums are those of NumPy's float64, and the hash does not depend on the rows that are hashed at once."""
    values = np.random.default_rng(0).integers(0, 256, (50, 37, 3), dtype=np.uint8)
    found = reading.info(Image.fromarray(values))
    np.testing.assert_allclose(found.mean, (values / 255).mean(axis=(0, 1)), rtol=1e-7)
    np.testing.assert_allclose(found.square, ((values / 255) ** 2).mean(axis=(0, 1)), rtol=1e-7)
    monkeypatch.setattr(reading, "HASHED_PIXELS", 100)
    assert reading.info(Image.fromarray(values)) == found
    values[49, 36, 2] ^= 1
    assert reading.info(Image.fromarray(values)).digest != found.digest
