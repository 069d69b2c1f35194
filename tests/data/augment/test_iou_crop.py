"""Crops with a least IoU: the constraint by NumPy, and the choice against the loop that GluonCV's text describes."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tinytrain.data.augment import iou_crop
from tinytrain.data.augment.generator import StatelessGenerator

MINIMA = (0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
SIDE = 100.0


def generator(step=0):
    random = StatelessGenerator()
    random.restart(tf.constant([0, step], tf.int64))
    return random


def iou(box, other):
    width, height = (min(box[axis + 2], other[axis + 2]) - max(box[axis], other[axis]) for axis in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (sum((b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)) - common)


def random_targets(count, boxes, seed=0):
    """Returns (count, boxes, 6) with 0 to `boxes` boxes in each image."""
    random = np.random.default_rng(seed)
    corner, targets = random.uniform(0, 70, (count, boxes, 2)), np.ones((count, boxes, 6), np.float32)
    targets[..., 1:3], targets[..., 3:5] = corner, corner + random.uniform(5, 100 - corner)
    targets[..., 0] = np.where(np.arange(boxes) < random.integers(0, boxes + 1, (count, 1)), 1, -1)
    return targets


def regions_of(count):
    return tf.constant([[0.0, 0.0, SIDE, SIDE]] * count)


def test_tries_are_drawn_as_the_paper_says():
    region = tf.constant([[-50.0, 10.0, 150.0, 60.0]] * 4)
    tries = iou_crop.draw(generator(), region).numpy().reshape(-1, 4)
    assert (tries >= [-50.01, 9.99, -50.01, 9.99]).all()
    assert (tries <= [150.01, 60.01, 150.01, 60.01]).all()
    width, height = (tries[:, 2] - tries[:, 0]) / 200, (tries[:, 3] - tries[:, 1]) / 50
    scale, aspect = np.sqrt(width * height), width / height
    assert scipy.stats.kstest(scale, "uniform", (0.3, 0.7)).pvalue > 0.001
    low, high = np.maximum(0.5, scale**2), np.minimum(2, scale**-2)
    assert scipy.stats.kstest((aspect - low) / (high - low), "uniform").pvalue > 0.001
    for place, size, room in ((tries[:, 0] + 50, width, 200), (tries[:, 1] - 10, height, 50)):
        free = size < 0.95  # else the quotient is inexact
        assert scipy.stats.kstest((place / room)[free] / (1 - size[free]), "uniform").pvalue > 0.001


def test_candidates_are_the_first_tries_that_reach_their_least_iou():
    targets = np.tile(random_targets(40, 3), (2, 1, 1))
    targets[40:] = [[1, 5, 10, 80, 90, 1], *[[-1, 0, 0, 0, 0, 1]] * 2]  # one large box: a crop can fit it
    count, regions = len(targets), regions_of(len(targets))
    tries = iou_crop.draw(generator(), regions)
    crops, found = (tensor.numpy() for tensor in iou_crop.candidates(regions, tries, tf.constant(targets)))
    reached = np.zeros(7, int)
    for number in range(count):
        boxes = [row[1:5].astype(float) for row in targets[number] if row[0] >= 0]
        assert found[number, 0]
        np.testing.assert_array_equal(crops[number, 0], [0, 0, SIDE, SIDE])
        for position, minimum in enumerate(MINIMA):
            good = [
                try_
                for try_ in tries[number, position].numpy()
                if boxes and min(iou(b, try_) for b in boxes) >= minimum
            ]
            assert found[number, position + 1] == bool(good)
            if good:
                np.testing.assert_array_equal(crops[number, position + 1], good[0])
                reached[position + 1] += 1
    assert (reached[1:] > 0).all()  # every minimum was reached somewhere


def reference_crop(boxes, random):
    """Returns one crop as GluonCV draws it, with loops."""
    candidates = [(0, 0, SIDE, SIDE)]
    for minimum in MINIMA:
        for _ in range(50):
            scale = random.uniform(0.3, 1)
            aspect = random.uniform(max(0.5, scale**2), min(2, 1 / scale**2))
            width, height = SIDE * scale * aspect**0.5, SIDE * scale / aspect**0.5
            x, y = random.uniform(0, SIDE - width), random.uniform(0, SIDE - height)
            crop = (x, y, x + width, y + height)
            if min(iou(box, crop) for box in boxes) >= minimum:
                candidates.append(crop)
                break
    while True:
        crop = candidates.pop(random.integers(len(candidates)))
        for x0, y0, x1, y1 in boxes:
            if crop[0] <= (x0 + x1) / 2 < crop[2] and crop[1] <= (y0 + y1) / 2 < crop[3]:
                return crop


@pytest.mark.parametrize("boxes", [[(10, 10, 60, 70)], [(5, 5, 15, 15), (80, 60, 90, 75)]])
def test_crops_are_distributed_as_those_of_a_loop(boxes):
    random, count = np.random.default_rng(0), 1500
    expected = np.array([reference_crop(boxes, random) for _ in range(count)])
    targets = tf.constant([[(0, *box, 1) for box in boxes]] * count, tf.float32)
    actual = iou_crop.crop(generator(), regions_of(count), targets, 100).numpy()
    sides = [crops[:, 2:] - crops[:, :2] for crops in (expected, actual)]
    kept = [(side.min(1) > SIDE - 1e-3).sum() for side in sides]
    assert scipy.stats.chi2_contingency([kept, [count - number for number in kept]]).pvalue > 0.001
    for measure in (lambda crops: crops[:, 0], lambda crops: np.prod(crops[:, 2:] - crops[:, :2], axis=1)):
        assert scipy.stats.ks_2samp(measure(expected), np.round(measure(actual), 3)).pvalue > 0.001


def test_a_crop_leaves_a_box_and_an_image_without_boxes_stays_whole():
    targets = random_targets(600, 2)
    targets[:, :, 3:5] = targets[:, :, 1:3] + np.float32([4, 3])  # small: most crops miss them
    crops = iou_crop.crop(generator(1), regions_of(600), tf.constant(targets), 50).numpy()
    cropped = 0
    for rows, crop in zip(targets, crops, strict=True):
        boxes = rows[rows[:, 0] >= 0, 1:5]
        if not len(boxes):
            np.testing.assert_array_equal(crop, [0, 0, SIDE, SIDE])
            continue
        centre = (boxes[:, :2] + boxes[:, 2:]) / 2
        assert ((centre >= crop[:2] - 1e-3) & (centre <= crop[2:] + 1e-3)).all(1).any()
        cropped += crop[2] - crop[0] < SIDE - 1
    assert cropped > 50
