"""The sheet of images with boxes: outlines where the boxes are, in the color of their class."""

import numpy as np
from PIL import Image

from tinytrain.config.schema import Augment, Config
from tinytrain.data.augment import box_picture

RED, LIME = (255, 0, 0), (0, 255, 0)


def pixels_of(path):
    with Image.open(path) as sheet:
        return np.asarray(sheet)


def test_outlines_and_names_are_drawn_where_the_boxes_are(tmp_path):
    images = np.zeros((6, 120, 120, 1), np.uint8)
    targets = np.full((6, 2, 6), -1, np.float32)
    targets[5, 0] = 1, 10, 20, 60, 50, 1
    box_picture.draw_boxes(tmp_path / "a.png", images, targets, ["cat", "dog"])
    sheet = pixels_of(tmp_path / "a.png")
    assert sheet.shape == (484, 972, 3)  # two rows of four, 240 pixels each, 4 between them
    rows, columns = np.nonzero((sheet == LIME).all(-1))
    # the sixth image is the second one of the second row; its box is twice as large there
    assert (columns.min() - 244, rows.min() - 244) == (20, 40)
    assert (columns.max() + 1 - 244, rows.max() + 1 - 244) == (120, 100)
    assert (sheet[244 + 40, 244 + 20 : 244 + 120] == LIME).all()
    inside = sheet[244 + 42 : 244 + 60, 244 + 22 : 244 + 118]
    assert 20 < (inside[..., 1] > 100).sum() < 500  # the name
    assert not (sheet == RED).all(-1).any()


def test_no_more_than_sixteen_and_names_not_on_each_other(tmp_path):
    images = np.zeros((20, 120, 120, 3), np.uint8)
    targets = np.full((20, 2, 6), -1, np.float32)
    targets[0] = [[0, 10, 10, 100, 100, 0.25], [1, 10, 10, 99, 99, 0.75]]
    box_picture.draw_boxes(tmp_path / "a.png", images, targets, ["cat", "dog"])
    sheet = pixels_of(tmp_path / "a.png")
    assert sheet.shape == (972, 972, 3)
    name = sheet[24:40, 24:100]
    assert (name[..., 0] > 200).any()
    assert not (name[..., 1] > 60).any()


def test_samples_are_those_that_the_network_sees(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (16, 60, 60, 3), np.uint8)
    targets = np.float32([[[0, 6, 12, 30, 48, 1]]] * 16)
    config = Config()
    config.model.resolution = 30
    config.augment = Augment(flip=False, crop=0.0, distort=False, expand=0.0, iou_crop=False)
    box_picture.draw_samples(tmp_path / "plain.png", images, targets, ["cell"], config, 0)
    resized = np.stack(
        [np.asarray(Image.fromarray(image).resize((30, 30), Image.Resampling.BILINEAR)) for image in images]
    )
    box_picture.draw_boxes(
        tmp_path / "expected.png", resized, targets * np.float32([1, 0.5, 0.5, 0.5, 0.5, 1]), ["cell"]
    )
    plain, expected = pixels_of(tmp_path / "plain.png"), pixels_of(tmp_path / "expected.png")
    assert np.abs(plain.astype(int) - expected).max() <= 2
    config.augment = Augment(flip=True, distort=True, expand=0.5, iou_crop=True)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        box_picture.draw_samples(tmp_path / name, images, targets, ["cell"], config, seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    assert (pixels_of(tmp_path / "a") != plain).any()
