"""The section about boxes: what is drawn into the images, its charts, and how the page shows it."""

import base64
import html.parser
import io
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageColor
from random_boxes import random_boxes

from tinytrain.config.schema import Config
from tinytrain.reporting import box_pictures, class_section, detection_section, mistakes_section, page, runs
from tinytrain.tasks.detect import mistakes, report
from tinytrain.tasks.detect.mistakes import Drawn

EVIL = "<b onclick=x>"


def pixel(picture, x, y):
    return picture.getpixel((x, y))


def test_boxes_are_drawn_where_they_are():
    """An image of 640 x 480 that was resized to 60 x 60, on a canvas of 300: 640 pixels are 300, 480 are 300."""
    image, transform = np.full((60, 60, 3), 255, np.uint8), np.array([60 / 640, 60 / 480, 0, 0], np.float32)
    boxes = [
        Drawn((64, 48, 320, 240), "cell", mistakes.FOUND, true=True),
        Drawn((384, 48, 576, 144), "cell", mistakes.RIGHT, true=False, score=0.9),
        Drawn((384, 288, 576, 432), "cell", mistakes.IGNORED, true=True),
    ]
    picture = box_pictures.draw(image, boxes, transform)
    assert picture.size == (300, 300)
    corners = [(30, 30, 150, 150), (180, 30, 270, 90), (180, 180, 270, 270)]
    colors = [box_pictures.GREEN, box_pictures.BLUE, box_pictures.GRAY]
    for (x0, y0, x1, y1), color in zip(corners, colors, strict=True):
        middle_x, middle_y = (x0 + x1) // 2, (y0 + y1) // 2
        for x, y in ((x0, middle_y), (x1, middle_y), (middle_x, y0), (middle_x, y1)):
            assert pixel(picture, x, y) == ImageColor.getrgb(color)
        assert pixel(picture, middle_x, middle_y) == (255, 255, 255)
        assert pixel(picture, x0 - 3, middle_y) == (255, 255, 255)


def test_a_wrong_box_is_drawn_over_the_others_with_its_class_inside_the_picture():
    image, unchanged = np.zeros((30, 30, 1), np.uint8), np.array([1, 1, 0, 0], np.float32)
    corners = (-5.0, -5.0, 40.0, 40.0)  # beyond the image
    right, wrong = (Drawn(corners, "a long name", state, true=False, score=0.5) for state in ("right", "wrong"))
    picture = box_pictures.draw(image, [wrong, right], unchanged)
    assert pixel(picture, 150, 0) == ImageColor.getrgb(box_pictures.RED)
    red = (np.asarray(picture) == ImageColor.getrgb(box_pictures.RED)).all(axis=-1)
    assert red[285:, :60].mean() > 0.5  # behind the letters, at the lower left


def test_centres_are_marked_where_they_are():
    """A ring of a true box and a cross of a detection, on a canvas of 300 for an image of 60."""
    image, unchanged = np.full((60, 60, 3), 255, np.uint8), np.array([1, 1, 0, 0], np.float32)
    boxes = [
        Drawn((10, 10, 30, 30), "cell", mistakes.FOUND, true=True),
        Drawn((40, 40, 48, 48), "cell", mistakes.RIGHT, true=False, score=0.9),
    ]
    pixels = np.asarray(box_pictures.draw(image, boxes, unchanged, is_centre=True))
    for color, (x, y) in ((box_pictures.GREEN, (100, 100)), (box_pictures.BLUE, (220, 220))):
        rows, columns = np.nonzero((pixels == ImageColor.getrgb(color)).all(axis=-1))
        assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=1)
        assert 10 <= np.ptp(columns) <= 20
        assert 10 <= np.ptp(rows) <= 20
    assert pixels[100, 100].tolist() == [255, 255, 255]  # inside of the ring
    assert pixels[220, 220].tolist() == list(ImageColor.getrgb(box_pictures.BLUE))


def test_a_picture_is_a_jpeg_that_opens():
    uri = box_pictures.data_uri(Image.new("RGB", (300, 200), "red"))
    assert uri.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (300, 200)


def section_of(classes=4, models=("float", "int8"), images=25):
    detections, annotations = random_boxes(0, images=images, classes=classes)
    names = [EVIL, *(f"name of class {number}" for number in range(1, classes))]
    found = {kind: np.where(number, np.round(detections * 8) / 8, detections) for number, kind in enumerate(models)}
    figures = report.section(found, annotations, names, 0.4)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    transforms = np.tile(np.array([0.1, 0.1, 0, 0], np.float32), (images, 1))
    files = [f"image_{number}.jpg" for number in range(images)]
    return figures, detection_section.of_figures(figures, pixels, transforms, files, names, "1", [])


@pytest.mark.parametrize(("classes", "models"), [(1, ["float"]), (4, ["float", "int8"]), (30, ["float", "int8"])])
def test_a_section_of_any_number_of_classes(classes, models):
    figures, section = section_of(classes, models)
    assert section.kinds == models
    assert (len(section.charts), len(section.matrices)) == (2, len(models))
    for row in sorted(figures.classes, key=lambda row: -row.boxes)[:8]:
        assert f"{100 * row.figures['ap50'][models[-1]]:.1f}\N{NO-BREAK SPACE}%" in section.charts[0].alt
    drawn = [view for image in section.lost for view in image.views]
    assert len(drawn) == (2 * len(section.lost) if len(models) > 1 else 0)
    assert [image.file for image in section.worst] == [f"image_{number}.jpg" for number in figures.worst]
    boxes = int(figures.matrices["float"].sum())
    assert f"of {boxes:,} boxes of {classes + 1} classes" in section.matrices[0].alt


def test_nothing_to_find_and_nothing_found_draws_no_curves():
    nothing = np.full((2, 1, 6), -1, np.float32), np.full((2, 1, 7), -1, np.float32)
    figures = report.section({"float": nothing[0]}, nothing[1], ["a"], 0.5)
    images, transforms = np.zeros((2, 8, 8, 3), np.uint8), np.ones((2, 4), np.float32)
    section = detection_section.of_figures(figures, images, transforms, ["x", "y"], ["a"], "1", [])
    assert (section.charts, section.worst, section.lost) == ([], [], [])
    assert len(section.matrices) == 1


class Reader(html.parser.HTMLParser):
    """The tags that are open, and all texts."""

    VOID = ("meta", "link", "img", "path", "use", "image", "br")

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def rendered(monkeypatch, section, task):
    """Returns the page about a finished run of `task` whose section is given."""
    monkeypatch.setattr(mistakes_section, "section", lambda subject, number: section)
    run, metrics = SimpleNamespace(folder=Path("runs/boxes")), {"test": {"ap50": 0.8125, "top1": 0.5, "images": 25}}
    return page.render([runs.Subject("boxes", run, Config(task=task), metrics, [], {}, {}, {}, [])])


def test_the_page_shows_the_section(monkeypatch):
    figures, section = section_of()
    text = rendered(monkeypatch, section, "detect")
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert EVIL not in text
    seen = " ".join(" ".join(reader.texts).split())  # no-break spaces turn into plain ones
    assert EVIL in seen
    for row in figures.classes:
        assert f"{100 * row.figures['recall']['int8']:.1f} %" in seen
    for name, counts in figures.errors.items():
        assert f"{mistakes.ONE[name]} {counts['float']:,} {counts['int8']:,}" in seen
    assert "Test AP50, float 81.2 %" in seen
    assert "± " not in seen  # AP is no share of the images
    pictures = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert len(pictures) == len(section.worst) + 2 * len(section.lost) > 0
    assert all(re.match(r"image_\d+\.jpg, (float|int8): \d+ ", each["alt"]) for each in pictures)


def test_classification_gets_no_style_of_boxes(monkeypatch):
    boxes = rendered(monkeypatch, section_of()[1], "detect")
    classes = rendered(monkeypatch, class_section.ClassSection(), "classify")
    rule = ".images.boxes"
    assert rule in boxes
    assert rule not in classes
    assert "Test accuracy, float" in classes
