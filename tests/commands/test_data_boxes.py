"""`tinytrain data` of images with boxes: counts, findings and three pictures."""

import json

import numpy as np
import pytest
from box_datasets import noise
from PIL import Image

from tinytrain.data import box_rows
from tinytrain.tasks.detect import dataset_charts

KEYS = ("model.resolution=64", "--json")
RED, LIME = (255, 0, 0), (0, 255, 0)  # of the first and second class


@pytest.fixture
def voc(tmp_path):
    """Returns a function that writes VOC files of 64x48 noise: with `boxes` [(class, x0, y0, x1, y1)] an image."""

    def write(boxes_of_images, root="cells"):
        for name in ("JPEGImages", "Annotations"):
            (tmp_path / root / name).mkdir(parents=True)
        for number, boxes in enumerate(boxes_of_images):
            noise(number, (64, 48)).point(lambda value: 100 + value // 8).save(
                tmp_path / root / f"JPEGImages/{number:02d}.png"
            )
            objects = "".join(
                f"<object><name>{name}</name><difficult>{int(name == 'wbc')}</difficult><bndbox>\n"
                f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>\n"
                for name, x0, y0, x1, y1 in boxes
            )
            (tmp_path / root / f"Annotations/{number:02d}.xml").write_text(
                f"<annotation>\n<filename>{number:02d}.png</filename>\n"
                f"<size><width>64</width><height>48</height><depth>3</depth></size>\n{objects}</annotation>\n"
            )
        return tmp_path / root

    return write


def drawn(path, color):
    """Returns (rows, columns) of the pixels of a PNG that have a color."""
    with Image.open(path) as picture:
        return np.nonzero((np.asarray(picture.convert("RGB")) == color).all(axis=2))


def test_boxes_are_counted_checked_and_drawn(voc, command_line, tmp_path):
    voc([[("rbc", 8, 6, 32, 24), ("wbc", 40, 30, 60, 44)][: 1 + number % 2] for number in range(60)])
    status, out, error = command_line("data", "voc:cells", "--out", "look.png", *KEYS)
    assert status == 0, error
    *text, last = out.splitlines()
    result = json.loads(last)
    assert sum(row["rbc"] for row in result["splits"].values()) == 60
    assert sum(row["wbc"] for row in result["boxes"].values()) == result["difficult"] == 30
    assert sum(result["split_images"].values()) == result["images"] == 60
    assert (result["most_boxes"], result["crowd"], set(result["background"].values())) == (2, 0, {0})
    # 64x48 is stretched to 64x64: 24x18 becomes 24x24, 20x14 becomes 20x18.7
    sizes = [size for sizes in result["anchors"].values() for size in sizes]
    assert [24, 24] in sizes
    assert [20, 18.67] in sizes
    assert result["coverage"]["all"] == 1.0
    assert [finding["kind"] for finding in result["findings"]] == ["small val"]
    assert text[0].startswith("voc:cells: 60 images of 64x48 pixels in 2 classes, ")
    assert "90 boxes, 1.5 an image and at most 2; images without a box: none; boxes that are 30 difficult" in text
    header = next(line.split() for line in text if line.startswith("class"))
    assert header == ["class", "train", "boxes", "%", "val", "boxes", "%", "test", "boxes", "%"]
    train = result["boxes"]["train"]
    row = next(line.split() for line in text if line.startswith("wbc"))
    assert row[1:4] == [str(train["wbc"])] * 2 + [f"{100 * train['wbc'] / sum(train.values()):.2f}"]
    assert text[-2] == "samples: look.png, augmented: look-augmented.png, charts: look-boxes.png"
    assert text[-1].startswith("at 64 px; unless model.resolution is set, fit --mcu takes the largest one that fits")
    rows, columns = drawn(tmp_path / "look.png", RED)
    left, top = min(columns), min(rows)
    assert (left, top) == (8 * 240 // 64, 6 * 240 // 48)  # of the first image
    assert len(drawn(tmp_path / "look.png", LIME)[0])
    assert len(drawn(tmp_path / "look-augmented.png", RED)[0])


def test_everything_is_said_of_data_that_can_neither_be_read_nor_split(voc, command_line, tmp_path):
    root = voc([[("rbc", 8, 6, 32, 24)], [("rbc", 8, 6, 32, 24), ("wbc", 9, 6, 32, 24)], [("rbc", 8, 6, 10, 8)], []])
    image = root / "JPEGImages/03.png"
    image.write_bytes(image.read_bytes()[:500])
    status, out, error = command_line("data", "voc:cells", "data.test_images=100", *KEYS)
    assert status == 1, error
    assert "fit cannot train on 'voc:cells' until" in error
    by_kind = {finding["kind"]: finding for finding in json.loads(out.splitlines()[-1])["findings"]}
    assert {"no split", "unreadable", "two classes", "small boxes", "tiny class"} <= set(by_kind)
    assert by_kind["two classes"]["files"][0].count("Annotations/01.xml, line ") == 2
    assert by_kind["small boxes"]["files"] == ["Annotations/02.xml, line 4: 2.0x2.7 px"]
    assert f"error: {by_kind['no split']['what']}" in out
    assert json.loads(out.splitlines()[-1])["boxes"] == {"all": {"rbc": 3, "wbc": 1}}


def test_the_folder_of_the_pictures_must_be_there(voc, command_line):
    voc([[("rbc", 8, 6, 32, 24)]] * 4)
    status, _, error = command_line("data", "voc:cells", "--out", "no/where.png", "model.resolution=64")
    assert status == 2
    assert "there is no folder 'no'" in error


def test_the_charts_show_anchors_centres_and_many_classes(tmp_path):
    count = 60
    corners = np.array([[10, 10, 30, 40]] * count, float)
    rows = box_rows.BoxRows(np.arange(count), np.zeros(count, int), np.arange(count), corners)
    classes = [f"$class^{number}" for number in range(count)]  # no mathematics
    anchors = {32: np.array([[40, 40.0]]), 16: np.array([[20, 30.0]])}
    dataset_charts.write(tmp_path / "charts.png", rows, 96, anchors, classes)
    with Image.open(tmp_path / "charts.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    for third in np.split(pixels[:, : pixels.shape[1] // 3 * 3], 3, axis=1):
        assert (third.min(axis=2) < 200).mean() > 0.002  # not blank
    yellow = (np.abs(pixels - [253, 231, 36]) < 8).all(axis=2)  # where all the centres are
    assert yellow.sum() > 30
    dataset_charts.write(tmp_path / "none.png", rows.take(np.zeros(count, bool)), 96, None, classes[:1])
    assert (tmp_path / "none.png").stat().st_size > 5_000
