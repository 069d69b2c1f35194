"""The picture of the regimes: the images themselves, the regimes below them, the density."""

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from tinytrain.commands import data
from tinytrain.config.schema import Augment
from tinytrain.data.augment import picture as augmentation_picture


@pytest.mark.long
def test_a_row_for_each_regime_under_the_images_themselves(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    labels = np.arange(8) % 3
    nothing = Augment(flip=False, crop=0.0)
    augmentation_picture.write(tmp_path / "a.png", images, labels, 3, nothing, seed=0)
    with Image.open(tmp_path / "a.png") as picture:
        sheet = np.asarray(picture)
    rows = len(augmentation_picture.REGIMES) + 1
    assert sheet.shape == (rows * 64 + 180, 160 + 8 * 64, 3)
    cells = sheet[: rows * 64, 160:].reshape(rows, 32, 2, 8, 32, 2, 3)[:, :, 0, :, :, 0].swapaxes(1, 2)
    np.testing.assert_array_equal(cells[0], images)
    np.testing.assert_array_equal(cells[-1], images)  # the config asks for nothing
    changed = [name for name, row in zip(augmentation_picture.REGIMES, cells, strict=False) if (row != images).any()]
    assert changed == list(augmentation_picture.REGIMES)[1:]


def test_the_picture_is_the_same_for_the_same_seed(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 1), np.uint8)  # gray, and fewer than eight
    for name in ("a", "b"):
        augmentation_picture.write(tmp_path / name, images, np.zeros(5, int), 2, Augment(flip=True), seed=3)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_labels_keep_their_letters_and_blanks(tmp_path):
    """The picture of samples has each name as Pillow draws it with Matplotlib's own font."""
    names = ["Gänseblümchen", "a  b", "Ωмега", "$x$"]
    data.write_picture(tmp_path / "a.png", np.zeros((0, 8, 8, 3), np.uint8), np.zeros(0, int), names)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 11)
    with Image.open(tmp_path / "a.png") as picture:
        for row, name in enumerate(names):
            expected = Image.new("RGB", (160, 64), "white")
            ImageDraw.Draw(expected).text((4, 26), name, fill="black", font=font)
            found = picture.crop((0, 64 * row, 160, 64 * row + 64))
            np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    widths = [font.getlength(name) for name in ("a b", "a  b")]
    assert widths[1] > widths[0]
