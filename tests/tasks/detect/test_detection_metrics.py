"""The summary of a detector: figures by hand, thresholds by trying all, kinds of errors, centres of objects."""

import json

import numpy as np
import pytest
from random_boxes import random_boxes

from tinytrain.data.boxes import CROWD, DIFFICULT, NORMAL
from tinytrain.tasks.detect import centroids, errors, metrics

KEYS = ["ap50", "ap50_voc07", "ap50_voc10", "ap", "ap75", "ap_small", "ap_medium", "ap_large"]


def images(*rows):
    """Returns arrays of images, each as its detections (corners, score, class) and boxes (corners, class, flag)."""
    most, most_true = max(len(found) for found, _ in rows), max(len(true) for _, true in rows)
    detections = np.full((len(rows), max(most, 1), 6), -1, np.float32)
    annotations = np.full((len(rows), max(most_true, 1), 7), -1, np.float32)
    for image, (found, true) in enumerate(rows):
        for row, (corners, score, label) in enumerate(found):
            detections[image, row] = *corners, score, label
        for row, (corners, label, flag) in enumerate(true):
            area = (corners[2] - corners[0]) * (corners[3] - corners[1])
            annotations[image, row] = label, *corners, flag, area
    return detections, annotations


def at(x, y, side=20):
    return x, y, x + side, y + side


# Two boxes of class 0, one of class 1, none of class 2. By score: hit, hit on class 1, duplicate, box on background.
PLAIN = images(
    ([(at(0, 0), 0.9, 0), (at(1, 0), 0.6, 0)], [(at(0, 0), 0, NORMAL)]),
    ([(at(50, 50, 40), 0.8, 1), (at(200, 0), 0.2, 2)], [(at(50, 50, 40), 1, NORMAL), (at(100, 0), 0, NORMAL)]),
)


def test_figures_by_hand():
    result = metrics.summary(*PLAIN, ["a", "b", "c"], 0.5)
    # Class a: precision 1 up to recall 1/2, nothing beyond: 51 of 101 recalls, 6 of 11, half of the area. b: 1.
    assert result["ap50"] == pytest.approx((51 / 101 + 1) / 2)
    assert result["ap50_voc07"] == pytest.approx((6 / 11 + 1) / 2)
    assert result["ap50_voc10"] == pytest.approx((1 / 2 + 1) / 2)
    assert result["ap"] == result["ap75"] == pytest.approx((51 / 101 + 1) / 2)
    assert (result["ap_small"], result["ap_medium"]) == (pytest.approx(51 / 101), pytest.approx(1))
    assert result["ap_large"] is None
    assert (result["precision"], result["recall"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert result["f1"] == pytest.approx(2 / 3)
    assert result["errors"] == {"duplicates": 1, "confusions": 0, "badly_placed": 0, "background": 0, "missed": 1}
    assert (result["images"], result["boxes"], result["threshold"]) == (2, 3, 0.5)
    assert result["per_class"] == {
        "a": {"ap50": pytest.approx(51 / 101), "boxes": 2, "precision": 0.5, "recall": 0.5},
        "b": {"ap50": pytest.approx(1), "boxes": 1, "precision": 1, "recall": 1},
        "c": {"ap50": None, "boxes": 0, "precision": None, "recall": None},
    }
    assert metrics.ap50(*PLAIN) == result["ap50"]
    json.dumps(result, allow_nan=False)


def test_sizes_in_pixels_of_the_network():
    """A box of 40 pixels is medium; where the network sees a fifth of a side, it is small, and 400 are medium."""
    boxes = images(
        ([(at(0, 0, 40), 0.9, 0)], [(at(0, 0, 40), 0, NORMAL)]),
        ([(at(0, 0, 200), 0.9, 0)], [(at(0, 0, 400), 0, NORMAL)]),
    )
    result = metrics.summary(*boxes, ["a"], 0.5, scales=np.full((2, 2), 0.2, np.float32))
    assert [result[f"ap_{size}"] for size in metrics.SIZES] == [None, 1, 0]
    assert [result[f"ap_{size}_input"] for size in metrics.SIZES] == [1, 0, None]
    assert "ap_small_input" not in metrics.summary(*boxes, ["a"], 0.5)


@pytest.mark.parametrize(
    "boxes",
    [
        images(([], []), ([], [])),
        images(([(at(0, 0), 0.9, 0)], []), ([], [])),
        images(([(at(0, 0), 0.9, 0)], [(at(0, 0), 0, CROWD)]), ([], [(at(0, 0), 1, DIFFICULT)])),
        (np.zeros((0, 1, 6), np.float32), np.zeros((0, 1, 7), np.float32)),
    ],
    ids=["nothing", "no truth", "only ignored", "no images"],
)
def test_without_a_box_to_find_no_figure_is_defined(boxes):
    result = metrics.summary(*boxes, ["a", "b"], 0.5)
    assert [result[key] for key in KEYS] == [None] * len(KEYS)
    assert (result["recall"], result["boxes"]) == (None, 0)
    assert metrics.ap50(*boxes) is None
    assert 0.01 <= metrics.best_threshold(*boxes) <= 0.99
    json.dumps(result, allow_nan=False)


def test_without_detections_all_figures_are_0():
    boxes = images(([], [(at(0, 0), 0, NORMAL)]), ([], []))
    result = metrics.summary(*boxes, ["a"], 0.5)
    assert [result[key] for key in KEYS[:6]] == [0] * 6
    assert (result["precision"], result["recall"], result["f1"]) == (None, 0, 0)
    assert result["errors"]["missed"] == 1


@pytest.mark.parametrize("levels", [3, 256, 100_000])
def test_no_threshold_has_a_larger_f1_than_the_best(levels):
    boxes = random_boxes(5, images=10, levels=levels)
    names = list("abcd")
    best = metrics.best_threshold(*boxes)
    scores = np.unique(np.clip(boxes[0][..., 4], 0.01, 0.99))[:: max(1, levels // 2000)]
    f1 = {float(score): metrics.summary(*boxes, names, float(score))["f1"] for score in scores}
    assert metrics.summary(*boxes, names, best)["f1"] >= max(f1.values())
    assert np.abs(boxes[0][..., 4] - best).min() > 0  # int8 scores would fall on both sides of it


def test_the_threshold_lies_between_the_scores():
    found = [(at(0, 0), 0.8, 0), (at(100, 0), 0.7, 1), (at(200, 0), 0.3, 1)]
    boxes = images((found, [(at(0, 0), 0, NORMAL), (at(100, 0), 1, NORMAL)]))
    assert metrics.best_threshold(*boxes) == pytest.approx(0.5)


TRUTH = [(at(0, 0), 0, NORMAL), (at(100, 0), 1, NORMAL), (at(200, 0), 2, CROWD), (at(300, 0), 1, DIFFICULT)]
KINDS = [
    ((at(1, 0), 0.9, 0), "hit"),
    ((at(0, 1), 0.8, 0), "duplicates"),
    ((at(1, 1), 0.8, 1), "confusions"),  # the box is found, but not as what this one says
    ((at(100, 12), 0.8, 1), "badly_placed"),
    ((at(100, 12), 0.8, 2), "background"),  # neither class nor place
    ((at(500, 0), 0.8, 0), "background"),
    ((at(200, 0, 10), 0.8, 2), "ignored"),
    ((at(300, 0), 0.8, 1), "ignored"),
    ((at(300, 0), 0.7, 1), "duplicates"),
    ((at(300, 0), 0.8, 0), "background"),  # a difficult box of another class is none
    ((at(500, 0), 0.1, 0), None),  # below the threshold
]


def test_each_wrong_detection_has_one_kind():
    boxes = images(([], []), ([found for found, _ in KINDS], TRUTH))
    result = errors.outcome(*boxes, 0.5)
    names = {errors.HIT: "hit", errors.IGNORED: "ignored"} | {number: name for name, number in errors.WRONG.items()}
    shown = [(found, kind) for found, kind in KINDS if kind]
    order = sorted(range(len(shown)), key=lambda number: -shown[number][0][1])
    assert [names[kind] for kind in result.kind] == [shown[number][1] for number in order]
    assert result.counts() == {"duplicates": 2, "confusions": 1, "badly_placed": 1, "background": 3, "missed": 1}
    by_image = result.counts_by_image(2)
    assert {name: counts.tolist() for name, counts in by_image.items()} == {
        name: [0, count] for name, count in result.counts().items()
    }


def test_confusions_go_to_boxes_that_nothing_has_found():
    found = [(at(0, 0), 0.9, 1), (at(0, 0), 0.8, 2), (at(100, 0), 0.9, 1), (at(101, 0), 0.8, 0), (at(400, 0), 0.7, 2)]
    true = [(at(0, 0), 0, NORMAL), (at(100, 0), 1, NORMAL), (at(200, 0), 2, NORMAL), (at(400, 0), 2, DIFFICULT)]
    matrix = errors.confusion_matrix(errors.outcome(*images((found, true)), 0.5), 3)
    assert matrix.tolist() == [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_the_confusion_matrix_has_every_box_and_every_detection(seed):
    boxes = random_boxes(seed)
    result, summary = errors.outcome(*boxes, 0.3), metrics.summary(*boxes, list("abcd"), 0.3)
    matrix = errors.confusion_matrix(result, 4)
    assert matrix[:4].sum(axis=1).tolist() == [row["boxes"] for row in summary["per_class"].values()]
    shown = [np.sum((result.overlaps.detected.label == label) & (result.kind != errors.IGNORED)) for label in range(4)]
    assert matrix[:, :4].sum(axis=0).tolist() == shown
    assert np.diag(matrix)[:4].sum() == (result.kind == errors.HIT).sum()
    assert summary["precision"] == pytest.approx(np.trace(matrix) / sum(shown))
    assert summary["recall"] == pytest.approx(np.trace(matrix) / matrix[:4].sum())
    assert sum(result.counts()[name] for name in errors.WRONG) == sum(shown) - np.trace(matrix)


def cell(x, y):
    return x, y, x + 8, y + 8


def test_centres_of_objects():
    """An object 100 pixels large with its centre at (50, 50); cells of 8 pixels, whose diagonal is 11.3."""
    large = (0, 0, 100, 100)
    found = [(cell(40, 40), 0.9, 0), (cell(48, 48), 0.8, 0), (cell(80, 46), 0.7, 0), (cell(40, 48), 0.7, 1)]
    boxes = images((found, [(large, 0, NORMAL), ((200, 200, 300, 300), 1, NORMAL)]), ([], []))
    result = centroids.centroid_f1(*boxes)  # 8.5 pixels away: hit; nearer, but too late; 34 away; of another class
    assert (result["precision"], result["recall"]) == (1 / 4, 1 / 2)
    assert result["f1"] == pytest.approx(1 / 3)
    assert result["count_error"] == (2 + 0) / 2  # class 0: 3 for 1, class 1: 1 for 1, and an empty image
    assert centroids.centroid_f1(*boxes, threshold=0.85)["precision"] == 1
    assert centroids.centroid_f1(*boxes, distance=8)["recall"] == 1 / 2  # now the second one finds it
    assert centroids.centroid_f1(*boxes, distance=2.5)["recall"] == 0
    assert centroids.best_threshold(*boxes) == pytest.approx(0.85)


def test_centres_in_a_crowd_count_not():
    boxes = images(([(cell(0, 0), 0.9, 0), (cell(80, 80), 0.8, 0)], [((0, 0, 100, 100), 0, CROWD)]), ([], []))
    assert centroids.centroid_f1(*boxes) == {"precision": None, "recall": None, "f1": None, "count_error": 0}


@pytest.mark.parametrize("seed", range(3))
def test_centres_equal_a_slow_matcher(seed):
    detections, annotations = random_boxes(seed, images=8, flags=(1, 0, 0))
    hits, shown = 0, 0
    for found, true in zip(detections.tolist(), annotations.tolist(), strict=True):
        free = [box for box in true if box[0] >= 0]
        for x0, y0, x1, y1, _, label in sorted((row for row in found if row[5] >= 0), key=lambda row: -row[4]):
            shown += 1
            near = [
                (np.hypot(x0 + x1 - box[1] - box[3], y0 + y1 - box[2] - box[4]) / 2, -number)
                for number, box in enumerate(free)
                if box[0] == label
            ]
            away, number = min(near, default=(np.inf, 0))
            if away < 9:
                hits += 1
                del free[-number]
    result = centroids.centroid_f1(detections, annotations, distance=9)
    assert result["precision"] == pytest.approx(hits / shown)
    assert result["recall"] == pytest.approx(hits / (annotations[..., 0] >= 0).sum())


def test_the_order_of_the_images_counts_only_for_equal_scores():
    random = np.random.default_rng(0)
    detections, annotations = random_boxes(1)
    detections[..., 4] = (1 + random.permutation(detections[..., 4].size)).reshape(detections.shape[:2]) / 1000
    order = random.permutation(len(detections))
    before = metrics.summary(detections, annotations, list("abcd"), 0.3)
    assert metrics.summary(detections[order], annotations[order], list("abcd"), 0.3) == before
