"""The picture of the augmentations: what the config does, the regimes below it, the density of mixed shares."""

import shutil

import numpy as np
import pytest
from matplotlib import font_manager
from PIL import Image, ImageColor, ImageDraw, ImageFont

from tinytrain.commands import data
from tinytrain.config.schema import Augment
from tinytrain.data.augment import picture as augmentation_picture


def images_of_noise(side=32):
    return np.random.default_rng(0).integers(0, 256, (8, side, side, 3), np.uint8), np.arange(8) % 3


def rows_of(path, first, others):
    """Returns the rows of a picture of images of 32 pixels, which are drawn twice as large, and what is below them."""
    with Image.open(path) as picture:
        sheet = np.asarray(picture)
    tops = [24 + 64 * row for row in range(first)] + [48 + 64 * row for row in range(first, first + others)]
    cells = [sheet[top : top + 64 : 2, 160::2].reshape(32, 8, 32, 3).swapaxes(0, 1) for top in tops]
    return np.array(cells), sheet[48 + 64 * (first + others) :]


@pytest.mark.long
def test_a_row_for_each_regime_under_those_of_the_config(tmp_path):
    images, labels = images_of_noise()
    augmentation_picture.write(tmp_path / "a.png", images, labels, 3, Augment(flip=True, crop=0.0), seed=0)
    regimes = list(augmentation_picture.REGIMES)
    cells, below = rows_of(tmp_path / "a.png", 2, len(regimes) - 1)
    assert below.size == 0  # as nothing is mixed
    mirrored = (cells[0] == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((cells[0] == images).all(axis=(1, 2, 3)) | mirrored).all()
    assert mirrored.any()
    np.testing.assert_array_equal(cells[1], images)
    assert all((row != images).any() for row in cells[2:])


@pytest.fixture
def two_regimes(monkeypatch, tmp_path):
    """Leaves only the regimes that take no time to compile; returns the options of each row that is augmented."""
    regimes = {name: augmentation_picture.REGIMES[name] for name in ("none", "random erasing")}
    monkeypatch.setattr(augmentation_picture, "REGIMES", regimes)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    drawn, augmentation = [], augmentation_picture.Augmentation
    monkeypatch.setattr(
        augmentation_picture, "Augmentation", lambda config, side: drawn.append(config) or augmentation(config, side)
    )
    return drawn


def test_what_is_on_stands_first_and_no_second_time(two_regimes, tmp_path):
    images, labels = images_of_noise()
    nothing, erasing = Augment(flip=False, crop=0.0), Augment(flip=False, crop=0.0, erasing=1.0, distort=False)
    augmentation_picture.write(tmp_path / "a.png", images, labels, 3, nothing, seed=0)
    augmentation_picture.write(tmp_path / "b.png", images, labels, 3, erasing, seed=0)
    np.testing.assert_array_equal(rows_of(tmp_path / "a.png", 1, 1)[0][0], images)
    cells, below = rows_of(tmp_path / "b.png", 2, 0)
    assert (cells[0] != images).any()
    np.testing.assert_array_equal(cells[1], images)
    assert below.size == 0


def test_the_regimes_of_the_same_images_are_drawn_once(two_regimes, tmp_path):
    images, labels = images_of_noise()
    nothing = Augment(flip=False, crop=0.0)
    augmentation_picture.write(tmp_path / "a.png", images, labels, 3, nothing, seed=0)
    assert len(two_regimes) == 3
    augmentation_picture.write(tmp_path / "b.png", images, labels, 3, nothing, seed=0)
    assert two_regimes[3:] == [nothing]
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    (cached,) = (tmp_path / "cache/tinytrain").glob("regimes-*.png")
    cached.write_bytes(cached.read_bytes()[:1000])  # of a full disk
    augmentation_picture.write(tmp_path / "b.png", images, labels, 3, nothing, seed=0)
    assert len(two_regimes) == 7
    augmentation_picture.write(tmp_path / "c.png", images[::-1], labels, 3, nothing, seed=0)
    assert len(two_regimes) == 10  # other images


def test_the_density_is_that_of_what_the_config_mixes(two_regimes, tmp_path):
    """Beta(1, 1) is uniform: its density is 1 everywhere, a quarter of the height of the plot."""
    images, labels = images_of_noise()
    config = Augment(flip=False, crop=0.0, cutmix=1.0)
    augmentation_picture.write(tmp_path / "a.png", images, labels, 3, config, seed=0)
    _, below = rows_of(tmp_path / "a.png", 2, 1)
    assert below.shape == (180, 160 + 8 * 64, 3)
    blue = (below == ImageColor.getrgb(augmentation_picture.COLORS["cutmix"])).all(axis=2)[:, 165:655]
    top, bottom = 12, 180 - 24
    assert set(np.nonzero(blue)[0]) <= {round(bottom - (bottom - top) / 4) + offset for offset in (-1, 0, 1)}
    assert blue.any(axis=0).all()


@pytest.mark.parametrize(
    ("resolution", "side", "text"),
    [
        (32, 64, "shown at 32 px, as the network sees them"),
        (96, 96, "shown at 96 px, as the network sees them"),
        (224, 128, "shown at 128 px, the network sees them at 224 px"),
    ],
)
def test_large_images_are_drawn_smaller_and_the_picture_says_so(resolution, side, text):
    assert (augmentation_picture.cell_side(resolution), augmentation_picture.caption(resolution)) == (side, text)


def test_the_picture_is_the_same_for_the_same_seed(two_regimes, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 1), np.uint8)  # gray, and fewer than eight
    for name in ("a", "b"):
        augmentation_picture.write(tmp_path / name, images, np.zeros(5, int), 2, Augment(flip=True), seed=3)
        shutil.rmtree(tmp_path / "cache")
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
            found = picture.crop((0, 24 + 64 * row, 160, 88 + 64 * row))
            np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    widths = [font.getlength(name) for name in ("a b", "a  b")]
    assert widths[1] > widths[0]
