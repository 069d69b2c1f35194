"""The figures of COCO against pycocotools, those of PASCAL VOC against published values and a slow matcher."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from random_boxes import random_boxes

from tinytrain.data.boxes import CROWD, DIFFICULT, NORMAL
from tinytrain.tasks.detect import average_precision, overlaps
from tinytrain.tasks.detect.matching import by_coco_rule, by_voc_rule

IOUS = np.linspace(0.5, 0.95, 10)
AREAS = {"all": (0, np.inf), "small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}


def of_pycocotools(detections, annotations):
    """Returns AP, AP50, AP75, AP small, medium and large; a difficult box is one that no range of areas holds."""
    truth, found = [], []
    for image, (rows, true_rows) in enumerate(zip(detections.tolist(), annotations.tolist(), strict=True)):
        for label, x0, y0, x1, y1, flag, area in true_rows:
            box = {"id": len(truth) + 1, "image_id": image, "category_id": int(label), "iscrowd": int(flag == CROWD)}
            box |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": -1 if flag == DIFFICULT else area}
            truth += [box] if label >= 0 else []
        for x0, y0, x1, y1, score, label in rows:
            box = {"image_id": image, "category_id": int(label), "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
            found += [box] if label >= 0 else []
    labels = {box["category_id"] for box in truth + found}
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": image} for image in range(len(detections))], "annotations": truth}
        coco.dataset["categories"] = [{"id": label} for label in labels]
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:6]


def coco_figures(detections, annotations):
    found = overlaps.find(detections, annotations)
    values = {}
    for name, area in AREAS.items():
        curves = average_precision.curves(found, by_coco_rule(found, IOUS, area))
        values[name] = np.array([[curve.coco() for curve in row.values()] for row in curves])
    by_area = [values[name].mean() if values[name].size else -1 for name in ("small", "medium", "large")]
    return [values["all"].mean(), values["all"][0].mean(), values["all"][5].mean(), *by_area]


@pytest.mark.parametrize("levels", [2, 20, 100_000])
@pytest.mark.parametrize("seed", range(5))
def test_coco_figures_equal_those_of_pycocotools(seed, levels):
    boxes = random_boxes(seed, levels=levels)
    assert np.allclose(coco_figures(*boxes), of_pycocotools(*boxes), rtol=0, atol=1e-9)


def test_many_boxes_of_one_class_equal_those_of_pycocotools(monkeypatch):
    monkeypatch.setattr(overlaps, "PAIRS_AT_ONCE", 1000)
    boxes = random_boxes(9, images=12, classes=1, boxes=60, detections=100, levels=256)
    assert np.allclose(coco_figures(*boxes), of_pycocotools(*boxes), rtol=0, atol=1e-9)


# rafaelpadilla/review_object_detection_metrics at 2efe66d (MIT licence), tests/test_case_1: x, y, width, height of the
# true boxes of 7 images, and score, x, y, width, height of the detections.
TRUE = [
    [(25, 16, 38, 56), (129, 123, 41, 62)],
    [(123, 11, 43, 55), (38, 132, 59, 45)],
    [(16, 14, 35, 48), (123, 30, 49, 44), (99, 139, 47, 47)],
    [(53, 42, 40, 52), (154, 43, 31, 34)],
    [(59, 31, 44, 51), (48, 128, 34, 52)],
    [(36, 89, 52, 76), (62, 58, 44, 67)],
    [(28, 31, 55, 63), (58, 67, 50, 58)],
]
FOUND = [
    [(0.88, 5, 67, 31, 48), (0.70, 119, 111, 40, 67), (0.80, 124, 9, 49, 67)],
    [(0.71, 64, 111, 64, 58), (0.54, 26, 140, 60, 47), (0.74, 19, 18, 43, 35)],
    [(0.18, 109, 15, 77, 39), (0.67, 86, 63, 46, 45), (0.38, 160, 62, 36, 53)],
    [(0.35, 83, 28, 28, 26), (0.78, 28, 68, 42, 67), (0.45, 87, 89, 25, 39), (0.14, 10, 155, 60, 26)],
    [(0.62, 50, 38, 28, 46), (0.44, 95, 11, 53, 28), (0.95, 29, 131, 72, 29), (0.23, 29, 163, 72, 29)],
    [(0.45, 43, 48, 74, 38), (0.84, 17, 155, 29, 35), (0.43, 95, 110, 25, 42)],
    [(0.48, 16, 20, 101, 88), (0.95, 33, 116, 37, 49)],
]
FOUND[2] += [(0.91, 105, 131, 47, 47), (0.44, 18, 148, 40, 44)]


def published():
    """Returns the case as arrays; its boxes end with the pixel x + width, which is inside: ours end one later."""
    annotations, detections = np.full((7, 3, 7), -1.0, np.float32), np.full((7, 5, 6), -1.0, np.float32)
    for image, (true, found) in enumerate(zip(TRUE, FOUND, strict=True)):
        for row, (x, y, width, height) in enumerate(true):
            annotations[image, row] = 0, x, y, x + width + 1, y + height + 1, NORMAL, width * height
        for row, (score, x, y, width, height) in enumerate(found):
            detections[image, row] = x, y, x + width + 1, y + height + 1, score, 0
    return detections, annotations


@pytest.mark.parametrize(
    ("iou", "voc07", "voc10"),
    [(0.1, 0.3333333333, 0.3371980676), (0.3, 0.2683982683, 0.2456866804), (0.5, 0.0303030303, 0.0222222222)],
)
def test_voc_figures_are_the_published_ones(iou, voc07, voc10):
    found = overlaps.find(*published(), least=iou)
    curve = average_precision.curves(found, by_voc_rule(found, np.array([iou])))[0][0]
    assert curve.voc07() == pytest.approx(voc07, abs=1e-10)
    assert curve.voc10() == pytest.approx(voc10, abs=1e-10)


def overlap(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height)


def slow_voc(detections, annotations, label, iou):
    """Returns the 11-point and the all-point AP of a class as VOCevaldet.m and VOCap.m of the VOC devkit have them."""
    boxes = {i: [row for row in rows if row[0] == label] for i, rows in enumerate(annotations.tolist())}
    taken = {i: [False] * len(rows) for i, rows in boxes.items()}
    total = sum(row[5] == NORMAL for rows in boxes.values() for row in rows)
    listed = [(i, row) for i, rows in enumerate(detections.tolist()) for row in rows if row[5] == label]
    right, wrong, precision, recall = 0, 0, [], []
    for image, row in sorted(listed, key=lambda each: -each[1][4]):  # a stable sort
        best, best_box = -1.0, -1
        for number, box in enumerate(boxes[image]):
            if overlap(row, box[1:5]) > best:
                best, best_box = overlap(row, box[1:5]), number
        if best >= iou and boxes[image][best_box][5] == DIFFICULT:
            continue
        if best >= iou and not taken[image][best_box]:
            right, taken[image][best_box] = right + 1, True
        else:
            wrong += 1
        precision.append(right / (right + wrong))
        recall.append(right / total)
    points = [max([p for p, r in zip(precision, recall, strict=True) if r >= t], default=0) for t in VOC07_RECALLS]
    envelope = [max(precision[i:]) for i in range(len(precision))]
    steps = zip([0.0, *recall], recall, envelope, strict=False)
    return sum(points) / 11, sum((now - before) * p for before, now, p in steps)


VOC07_RECALLS = np.arange(0, 1.1, 0.1)


@pytest.mark.parametrize("levels", [2, 50, 100_000])
@pytest.mark.parametrize("seed", range(4))
def test_voc_figures_equal_a_slow_matcher_with_difficult_boxes(seed, levels):
    detections, annotations = random_boxes(seed, levels=levels, flags=(0.7, 0.3, 0.0))
    found = overlaps.find(detections, annotations)
    curves = average_precision.curves(found, by_voc_rule(found, np.array([0.5, 0.75])))
    for iou, row in zip((0.5, 0.75), curves, strict=True):
        for label in range(4):
            expected = slow_voc(detections, annotations, label, iou)
            assert [row[label].voc07(), row[label].voc10()] == pytest.approx(expected, abs=1e-12)


def one_image(found, true):
    """Returns arrays of one image: rows (x0, y0, x1, y1, score) and (x0, y0, x1, y1, flag) of class 0."""
    detections = np.array([[[*row, 0] for row in found]], np.float32)
    annotations = np.array([[[0, *row, (row[2] - row[0]) * (row[3] - row[1])] for row in true]], np.float32)
    return overlaps.find(detections.reshape(1, -1, 6), annotations.reshape(1, -1, 7))


def test_the_rules_differ_where_the_best_box_is_taken():
    """Two boxes overlap; both detections overlap the first one most, the second detection reaches the other too."""
    found = one_image([(0, 0, 10, 10, 0.9), (0, 0, 10, 9, 0.8)], [(0, 0, 10, 10, NORMAL), (0, 0, 10, 7, NORMAL)])
    assert by_coco_rule(found, np.array([0.5])).true.tolist() == [[0, 1]]
    voc = by_voc_rule(found, np.array([0.5]))
    assert (voc.true.tolist(), voc.ignored.tolist()) == ([[0, -1]], [[False, False]])


@pytest.mark.parametrize("rule", [by_coco_rule, by_voc_rule])
def test_a_crowd_excuses_any_number_of_detections(rule):
    rows = [(0, 0, 4, 4, 0.9), (4, 4, 8, 8, 0.8), (50, 50, 60, 60, 0.7), (90, 90, 94, 94, 0.6)]
    found = one_image(rows, [(0, 0, 80, 40, CROWD), (50, 50, 60, 60, NORMAL)])
    matches = rule(found, np.array([0.5]))
    assert matches.ignored.tolist() == [[True, True, False, False]]
    assert matches.hits.tolist() == [[False, False, True, False]]
    assert matches.counted.tolist() == [False, True]


@pytest.mark.parametrize("rule", [by_coco_rule, by_voc_rule])
def test_of_equal_scores_the_first_image_and_row_is_matched(rule):
    box, near = (0, 0, 10, 10), (0, 0, 10, 8)
    found = one_image([(*near, 0.5), (*box, 0.5), (*box, 0.5)], [(*box, NORMAL)])
    assert rule(found, np.array([0.5])).hits.tolist() == [[True, False, False]]


@pytest.mark.parametrize("rule", [by_coco_rule, by_voc_rule])
def test_nothing_found_and_nothing_to_find(rule):
    detections, annotations = random_boxes(3, images=4)
    none, no_truth = np.full((4, 1, 6), -1, np.float32), np.full((4, 1, 7), -1, np.float32)
    found = overlaps.find(none, annotations)
    curves = average_precision.curves(found, rule(found, IOUS))
    assert all(curve.coco() == curve.voc07() == curve.voc10() == 0 for curve in curves[0].values())
    assert sorted(curves[0]) == sorted({int(row[0]) for row in annotations.reshape(-1, 7) if row[0] >= 0 == row[5]})
    for boxes in (detections, none, np.zeros((4, 0, 6), np.float32)):
        found = overlaps.find(boxes, no_truth)
        assert average_precision.curves(found, rule(found, IOUS)) == [{}] * 10
