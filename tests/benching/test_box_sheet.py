"""The sheet of boxes: what is drawn where, read back from its pixels."""

import io
import json

import numpy as np
from bench_helpers import exported
from int8_models import DETECTOR_SIDE, detector_decoder, detector_model
from PIL import Image

from tinytrain.benching import box_sheet
from tinytrain.benching.box_sheet import Row
from tinytrain.deploy.exported import Exported

GRAY = 90
TOP, LEFT, STEP = 20, 8, 248  # of the first picture, and of the next one beside it
FIRST, SECOND = (0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)  # colors of the first two classes


def sheet(*rows):
    file = io.BytesIO()
    box_sheet.draw(rows, ["cat", "Gänse 日本"], file)
    return np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB")).astype(int)


def row(image=None, truth=None, host=(), board=()):
    image = np.full((80, 80, 3), GRAY, np.uint8) if image is None else image
    host, board = (np.array(boxes, np.float32).reshape(-1, 6) for boxes in (host, board))
    return Row("image 3", image, truth, host, board)


def picture(pixels, column):
    return pixels[TOP : TOP + 240, LEFT + column * STEP :][:, :240]


def corners(pixels, color):
    """Returns x0, y0, x1, y1 of all pixels of a color, half-open."""
    y, x = np.nonzero((pixels == color).all(axis=-1))
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def test_truth_host_and_board_stand_beside_each_other():
    truth = np.zeros((3, 7), np.float32)
    truth[0, :5] = [0, 10, 20, 30, 50]
    truth[1, :5] = [1, 40, 40, 80, 80]
    truth[2, 0] = -1  # pads, at 0 0 0 0
    host = [[12, 20, 40, 50, 0.9, 0], [0, 0, 0, 0, 0, -1]]
    pixels = sheet(row(truth=truth, host=host, board=[[14, 20, 40, 50, 0.9, 0]]))
    first = picture(pixels, 0)
    assert corners(first, FIRST) == (30, 60, 90, 150)  # three times as large as the image
    assert corners(first, SECOND) == (120, 120, 240, 240)
    assert corners(picture(pixels, 1), FIRST) == (36, 60, 120, 150)
    assert corners(picture(pixels, 2), FIRST) == (42, 60, 120, 150)
    for column in range(3):
        assert (picture(pixels, column)[200, 60] == GRAY).all()
        assert (picture(pixels, column)[0, 0] == GRAY).all()


def test_an_image_without_truth_or_boxes_is_drawn():
    pixels = sheet(row(), row(np.full((80, 80, 1), GRAY, np.uint8)))
    assert pixels.shape[0] == 8 + 2 * 268
    for column in range(3):
        assert (picture(pixels, column) == GRAY).all()


def test_rows_hold_what_bench_found(tmp_path):
    model = detector_model()
    pixels = np.arange(-128, 128, dtype=np.int8)
    truth = np.ones((3, 2, 7), np.float32)
    settings = {"decoder": detector_decoder(model), "pixels": pixels, "arena_bytes": 32_768}
    export = Exported.open(exported(tmp_path, 3, model=model, annotations=truth, **settings))
    shown = [{"image": 2, "board": [[16, 32, 48, 64, 16_384, 1]]}, {"image": 0, "board": []}]
    different, equal = box_sheet.rows({"boxes": {"differences": [{"image": 2}], "shown": shown}}, export)
    assert (different.name, equal.name) == ("DIFFERENT image 2", "image 0")
    assert different.board.tolist() == [[1, 2, 3, 4, 0.5, 1]]
    assert (different.truth == truth[2]).all()
    assert (different.image == export.inputs[2].astype(int) + 128).all()
    assert different.image.shape == (DETECTOR_SIDE, DETECTOR_SIDE, 3)
    assert len(equal.host) == len(export.boxes_of(0))
    assert equal.board.shape == (0, 6)
    (tmp_path.parent / "split.json").write_text(json.dumps({"test": ["a/fur.jpg", "b.png", "c" * 99 + ".png"]}))
    different, equal = box_sheet.rows({"boxes": {"differences": [{"image": 2}], "shown": shown}}, export)
    assert (different.name, equal.name) == ("DIFFERENT " + "c" * 99 + ".png", "fur.jpg")
    assert (sheet(different)[:20, LEFT + 240 : LEFT + STEP] == 255).all()  # the heading stays above its picture


def test_a_label_is_read_on_any_picture():
    fur = np.random.default_rng(0).integers(0, 256, (80, 80, 3)).astype(np.uint8)
    pixels = picture(sheet(row(fur, host=[[10, 20, 70, 60, 0.9, 0]])), 1)
    label = pixels[64:70, 34:60]  # behind the letters: the color of the class
    inked = [(label == color).all(axis=-1) for color in (FIRST, (0, 0, 0))]
    assert inked[0].mean() > 0.3
    assert inked[1].any()
    assert (np.abs(label - np.array(FIRST)).sum(axis=-1) < 3 * 255).all()
