"""The task of the head `centroid`: its loss by loops, its decoder beside that of the firmware, and a training."""

import dataclasses
import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from colored_squares import COLORS, squares

from tinytrain.benching import box_answers
from tinytrain.config import load as configs
from tinytrain.data import boxes
from tinytrain.data.images import Samples
from tinytrain.deploy.decode.boxes import Grid
from tinytrain.deploy.decode.cells import CellDecoder
from tinytrain.errors import UserError
from tinytrain.reporting import mistakes_section, runs
from tinytrain.tasks.centroids import decode, loss, report
from tinytrain.train import figures, fit
from tinytrain.train import task as tasks

SMALL = ["model.name=mobilenet_v1", "model.width=0.25", "model.resolution=64", "optim.batch=8", "data.check=false"]
SIDE, CELLS, CLASSES = 64, 8, 3


def slow_loss(targets, logits, smoothing=0.0):
    total = 0.0
    for rows, cells in zip(np.float64(targets), np.float64(logits), strict=True):
        learnt = {}
        for label, x0, y0, x1, y1, share in rows:
            if label >= 0:
                row, column = (min(int((low + high) / 2 / 8), CELLS - 1) for low, high in ((y0, y1), (x0, x1)))
                learnt[row, column] = (1 + int(label), 100 * share)
        for row in range(CELLS):
            for column in range(CELLS):
                label, weight = learnt.get((row, column), (0, 1))
                values = cells[row, column]
                log_p = values - math.log(sum(math.exp(value) for value in values))
                wanted = (1 - smoothing) * np.eye(1 + CLASSES)[label] + smoothing / (1 + CLASSES)
                total -= weight * float(wanted @ log_p)
    return total / (CELLS**2 * len(targets))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_random_pictures_is_that_of_the_loops(smoothing):
    random = np.random.default_rng(0)
    targets = np.full((20, 10, 6), -1, np.float32)
    for rows in targets:
        for number in random.choice(10, random.integers(11), replace=False):
            corners = np.sort(random.uniform(0, SIDE, (2, 2)), axis=0)
            rows[number] = [random.integers(CLASSES), *corners.ravel(), random.uniform(0.1, 1)]
    targets[0, 0] = [1, SIDE - 1, SIDE - 1, SIDE, SIDE, 1]  # in the last cell
    targets[2, 0] = [-1, 0, 0, 0, 0, 1]
    targets[1, 3:5, 1:] = [8, 8, 16, 16, 1]  # two in one cell: the later one counts
    targets[1, 3:5, 0] = [0, 2]
    logits = np.float32(random.normal(0, 2, (20, CELLS, CELLS, 1 + CLASSES)))
    found = loss.of_cells(tf.constant(targets), tf.constant(logits), SIDE, smoothing)
    assert float(found) == pytest.approx(slow_loss(targets, logits, smoothing), rel=1e-5)
    assert loss.cells(tf.constant(targets), CELLS, CELLS, SIDE)[0][1, 1, 1] == 3
    targets[2, 0] = [1, -40, 10, 8, 40, 1]  # its centre lies beside the image, where a crop has cut it off
    same = loss.of_cells(tf.constant(targets), tf.constant(logits), SIDE, smoothing)
    assert float(same) == float(found)


def test_the_objects_are_those_of_the_firmware():
    """Its tables are rounded to 2^-15: places and classes are the same where no two scores are as near as that."""
    random, scale = np.random.default_rng(1), 0.05
    values = random.integers(-128, 128, (30, CELLS, CELLS, 1 + CLASSES)).astype(np.int8)
    found = decode.detections(tf.constant(scale * np.float32(values)), SIDE, 100).numpy()
    decoder = CellDecoder(
        side=SIDE,
        classes=CLASSES,
        score=0.01,
        room=100,
        output=Grid(stride=8, rows=CELLS, columns=CELLS, scale=scale, zero_point=0),
    )
    total = 0
    for rows, expected in zip(found, decoder.detections([values]), strict=True):
        rows, expected = ([row for row in each if row[5] >= 0 and row[4] > 0.011] for each in (rows, expected))
        assert len(rows) == len(expected) > 10
        np.testing.assert_allclose([row[4] for row in rows], [row[4] for row in expected], atol=2e-4)
        places = [sorted((row[5], *row[:4]) for row in each) for each in (rows, expected)]
        np.testing.assert_array_equal(*places)
        total += len(rows)
    assert total > 300


def test_there_may_be_fewer_cells_than_objects_of_an_image():
    found = decode.detections(tf.zeros((2, 1, 1, 2)), 8, 5).numpy()
    np.testing.assert_array_equal(found[:, 0], [[0, 0, 8, 8, 0.5, 0]] * 2)
    assert (found[:, 1:, 5] == -1).all()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("centroids")
    tree = squares(folder / "voc", {"train": 16, "val": 6, "test": 6})
    words = [f"data.spec=voc:{tree}", *SMALL, "detect.head=centroid", "optim.epochs=2"]
    return fit.fit(configs.load(None, words), folder / "run")


@pytest.mark.long
def test_a_run_is_measured_by_f1_and_by_no_average_precision(finished):
    config, metrics = finished.config(), finished.metrics()
    assert (config.task, config.detect.strides) == ("centroids", [8])
    assert 0.01 <= config.detect.score <= 0.99
    assert config == configs.load(finished.config_path)
    for split in ("val", "test"):
        assert not any(key.startswith("ap") for key in metrics[split])
        assert 0 <= metrics[split]["f1"] <= 1
        assert (metrics[split]["images"], metrics[split]["boxes"]) == (6, 12)
        assert list(metrics[split]["per_class"]) == list(COLORS)
    assert {"val_f1", "val_recall", "val_loss"} <= set(finished.history()[0])
    assert keras.saving.load_model(finished.model_path).output_shape == (None, 8, 8, 4)
    task = tasks.of(config, list(COLORS))
    assert "F1 of centres" in task.line(finished.folder, metrics)
    assert figures.of(config.task).main.key == "f1"


def test_perfect_cells_have_an_f1_of_1(finished):
    config = finished.config()
    task = tasks.of(config, list(COLORS))
    truth = [boxes.Box(0, (4, 4, 20, 20)), boxes.Box(2, (40, 8, 52, 30)), boxes.Box(2, (8, 40, 30, 60))]
    samples = Samples.of(np.zeros((1, SIDE, SIDE, 3), np.uint8), boxes.pack([truth]))
    logits = np.zeros((1, CELLS, CELLS, 4), np.float32)
    logits[..., 0] = 9
    for box in truth:
        x, y = (box.corners[0] + box.corners[2]) / 2, (box.corners[1] + box.corners[3]) / 2
        logits[0, int(y // 8), int(x // 8), 1 + box.label] = 20
    kept = task.keep(tf.constant(logits)).numpy()
    result = task.evaluate(kept, samples)
    assert (result["f1"], result["recall"], result["count_error"]) == (1, 1, 0)
    assert [row["f1"] for row in result["per_class"].values()] == [1, None, 1]
    assert task.measure(kept, samples) == 1


def cell(column, row, score, label):
    return [8 * column, 8 * row, 8 * column + 8, 8 * row + 8, score, label]


def test_the_report_counts_by_closeness_of_centres():
    """The diagonal of a cell of 8 pixels is 11.3: a centre 8 pixels aside finds an object, one 16 pixels aside not."""
    truth = [boxes.Box(0, (0, 0, 8, 8)), boxes.Box(0, (40, 40, 64, 64)), boxes.Box(1, (8, 48, 16, 56))]
    found = [
        cell(1, 0, 0.9, 0),  # 8 pixels beside the first object
        cell(0, 1, 0.8, 0),  # likewise, but it is found already
        cell(6, 4, 0.7, 0),  # 16 pixels above the second one
        cell(1, 6, 0.6, 2),  # on the third one, of another class
        cell(3, 3, 0.2, 0),  # below the threshold
    ]
    section = report.section({"int8": np.float32([found])}, boxes.pack([truth]), list("abc"), 0.5)
    assert {name: counts["int8"] for name, counts in section.errors.items()} == {
        "missed": 2, "background": 1, "badly_placed": 0, "confusions": 1, "duplicates": 1
    }  # fmt: skip
    assert section.matrices["int8"].tolist() == [[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0], [2, 0, 0, 0]]
    assert section.total.figures["precision"]["int8"] == pytest.approx(1 / 4)
    assert section.total.figures["recall"]["int8"] == pytest.approx(1 / 3)
    assert {row.name: row.figures["f1"]["int8"] for row in section.classes} == {"b": 0, "a": pytest.approx(2 / 5)}
    assert section.count_error["int8"] == 1 + 1 + 1  # one "a" too many, one "b" too few, one "c" too many
    assert section.pictures[0].text["int8"] == "2 missed, 1 on background, 1 of another class, 1 found twice"


def test_the_report_of_a_run_says_what_metrics_json_says(finished):
    (subject,) = runs.read([finished.folder])
    section, test = mistakes_section.section(subject, 1), finished.metrics()["test"]
    assert section.look.title == "Centres on the test images"
    assert "8 × 8 pixels" in section.look.rule
    assert section.sizes == []
    figures = {key: each["float"] for key, each in section.total.figures.items()}
    assert figures == {key: pytest.approx(test[key]) for key in ("f1", "precision", "recall")}
    assert section.count_error["float"] == pytest.approx(test["count_error"])
    for row in section.classes:
        expected = test["per_class"][row.name]
        assert row.boxes == expected["boxes"]
        assert {key: each["float"] for key, each in row.figures.items()} == {
            key: expected[key] for key in ("f1", "precision", "recall")
        }
    assert [chart.alt for chart in section.charts if "F1 of centres against the threshold" in chart.alt]
    assert sum(view.text != "all right" for image in section.worst for view in image.views) == len(section.worst)


def test_closeness_is_that_of_the_networks_pixels_for_evaluate_and_bench_alike(finished):
    """A picture of 640x320 is squeezed to 64x64: 10.5 px of the input beside the object, where the diagonal is 11.3.

    In the picture these are 105 px, and the diagonal of the cell is 89.
    """
    config = dataclasses.replace(finished.config(), detect=dataclasses.replace(finished.config().detect, score=0.5))
    task, transforms = tasks.of(config, list(COLORS)), np.float32([[0.1, 0.2, 0, 0]])
    annotations = boxes.pack([[boxes.Box(1, (155, 130, 355, 230))]])  # its centre at (25.5, 36) of the input
    values = np.full((1, CELLS, CELLS, 4), -128, np.int8)
    values[..., 0], values[0, 4, 4] = 0, [-128, -128, 127, -128]
    grid = Grid(stride=8, rows=CELLS, columns=CELLS, scale=0.1, zero_point=0)
    decoder = CellDecoder(side=SIDE, classes=3, score=0.5, output=grid)
    kept = task.keep(tf.constant(np.float32(0.1 * values))).numpy()
    samples = Samples(np.zeros((1, SIDE, SIDE, 3), np.uint8), annotations, transforms)
    exported = SimpleNamespace(decoder=decoder, annotations=boxes.transformed(annotations, transforms))
    assert box_answers.measured([values], [0], exported) == 1
    assert task.evaluate(kept, samples)["f1"] == task.measure(kept, samples) == 1
    assert task.evaluate(decoder.measured([values]), samples)["f1"] == 1
    config.detect.score, kept[0, 0, 4] = "auto", 0.4
    assert task.settled(kept, samples) == {"detect.score": 0.2}  # half way below the only hit; 0.5 without one


def test_a_head_with_sizes_is_refused(tmp_path):
    tree = squares(tmp_path / "voc", {"train": 4, "val": 2, "test": 2})
    words = [f"data.spec=voc:{tree}", *SMALL, "task=centroids", "detect.head=yolo3_lite"]
    with pytest.raises(UserError, match=r"finds no sizes: expected detect.head=centroid, received yolo3_lite"):
        fit.fit(configs.load(None, words), tmp_path / "run")
