"""What the report says about boxes: classes, curves, sizes, the worst images and what is drawn into them."""

import numpy as np
import pytest
from random_boxes import random_boxes

from tinytrain.data.boxes import CROWD, NORMAL
from tinytrain.tasks.detect import metrics, mistakes, report, report_rows
from tinytrain.tasks.detect.mistakes import Drawn

NAMES = list("abcd")
AVERAGES = ("ap50", "ap50_voc07", "ap50_voc10", "ap")


def kinds(seed=0):
    """Returns detections of a float model and of an int8 one, whose scores are rounded, and the annotations."""
    detections, annotations = random_boxes(seed, levels=1000)
    rounded = detections.copy()
    rounded[..., 4] = np.round(16 * detections[..., 4]) / 16
    return {"float": detections, "int8": rounded}, annotations


@pytest.fixture(scope="module")
def section():
    return report.section(*kinds(), NAMES, 0.4)


def test_the_rows_say_what_metrics_json_says(section):
    detections, annotations = kinds()
    for kind, each in detections.items():
        result = metrics.summary(each, annotations, NAMES, 0.4)
        assert {row.name: row.boxes for row in section.classes} == {
            name: row["boxes"] for name, row in result["per_class"].items()
        }
        for row in section.classes:
            expected = result["per_class"][row.name]
            assert {key: row.figures[key][kind] for key in ("ap50", "precision", "recall")} == {
                key: expected[key] for key in ("ap50", "precision", "recall")
            }
        assert {key: each[kind] for key, each in section.total.figures.items()} == {
            key: pytest.approx(result[key]) for key in (*AVERAGES, "f1", "precision", "recall")
        }
        for key in AVERAGES:
            assert np.mean([row.figures[key][kind] for row in section.classes]) == pytest.approx(result[key])
        assert {row.name: row.ap[kind] for row in section.sizes} == {
            size: result[f"ap_{size}"] for size in ("small", "medium", "large")
        }
        assert {name: row[kind] for name, row in section.errors.items()} == result["errors"]
    boxes = annotations[(annotations[..., 0] >= 0) & (annotations[..., 5] == NORMAL)]
    assert sum(row.boxes for row in section.sizes) == len(boxes)
    assert section.total.boxes == len(boxes)
    figures = [row.figures["ap50"]["int8"] for row in section.classes]
    assert figures == sorted(figures)


def test_the_curves_go_through_the_figures(section):
    detections, annotations = kinds()
    for row in section.classes:
        for kind, each in detections.items():
            assert row.precision_at[kind].mean() == pytest.approx(
                row.figures["ap50"][kind]
            )  # AP is the mean of these 101
            for number in (0, 30, 98):
                threshold = report_rows.THRESHOLDS[number]
                figures = metrics.summary(each, annotations, NAMES, threshold)["per_class"][row.name]
                precision, recall = figures["precision"], figures["recall"]
                f1 = 2 * precision * recall / (precision + recall) if precision and recall else 0
                assert row.f1_at[kind][number] == pytest.approx(f1)


def test_the_worst_images_have_most_errors(section):
    detections, annotations = kinds()
    errors = [
        sum(metrics.summary(one[None], true[None], NAMES, 0.4)["errors"].values())
        for one, true in zip(detections["int8"], annotations, strict=True)
    ]
    assert [errors[image] for image in section.worst] == sorted(errors, reverse=True)[: len(section.worst)]
    assert len(section.worst) == 12


HIT, MOVED = (0, 0, 20, 20), (100, 0, 120, 20)
TRUE = [[0, *HIT, NORMAL, 400], [1, *MOVED, NORMAL, 400], [1, 200, 0, 220, 20, CROWD, 400]]
ANNOTATIONS = np.array([[[-1] * 7] * 3, TRUE], np.float32)
FOUND = [[*HIT, 0.9, 0], [100, 12, 120, 32, 0.8, 1], [200, 0, 220, 20, 0.7, 1], [300, 0, 320, 20, 0.3, 0]]
BEFORE, AFTER = (np.full((2, 4, 6), -1, np.float32) for _ in range(2))
BEFORE[1, :2] = [[*HIT, 0.9, 0], [*MOVED, 0.8, 1]]
AFTER[1] = FOUND


def test_what_is_drawn_into_an_image():
    section = report.section({"float": BEFORE, "int8": AFTER}, ANNOTATIONS, ["a", "b"], 0.5)
    assert section.worst == section.lost == [1]
    picture = section.pictures[1]
    assert picture.text == {"float": "all right", "int8": "1 missed, 1 badly placed"}
    assert picture.boxes["int8"] == [
        Drawn(HIT, "a", mistakes.FOUND, true=True),
        Drawn(MOVED, "b", mistakes.MISSED, true=True),
        Drawn((200, 0, 220, 20), "b", mistakes.IGNORED, true=True),
        Drawn((200, 0, 220, 20), "b", mistakes.IGNORED, true=False, score=pytest.approx(0.7)),
        Drawn((100, 12, 120, 32), "b", mistakes.WRONG, true=False, score=pytest.approx(0.8)),
        Drawn(HIT, "a", mistakes.RIGHT, true=False, score=pytest.approx(0.9)),
    ]
    assert [box.state for box in picture.boxes["float"]] == ["found", "found", "ignored", "right", "right"]
    assert report.section({"int8": AFTER, "float": BEFORE}, ANNOTATIONS, ["a", "b"], 0.5).pictures == {}


def test_one_model_loses_nothing():
    section = report.section({"float": AFTER}, ANNOTATIONS, ["a", "b"], 0.5)
    assert (section.worst, section.lost) == ([1], [])


def test_without_boxes_and_detections_the_section_is_empty():
    nothing = np.full((2, 1, 6), -1, np.float32), np.full((2, 1, 7), -1, np.float32)
    section = report.section({"float": nothing[0]}, nothing[1], ["a"], 0.5)
    assert (section.classes, section.worst, section.pictures) == ([], [], {})
    assert section.matrices["float"].tolist() == [[0, 0], [0, 0]]
    assert [row.ap for row in section.sizes] == [{"float": None}] * 3
