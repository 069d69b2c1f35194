"""Random detections and true boxes for the tests of detection's figures."""

import numpy as np

from tinytrain.data.boxes import CLASS, CORNERS, CROWD, DIFFICULT, FLAG, NORMAL


def random_boxes(seed, images=25, classes=4, boxes=6, detections=30, levels=20, flags=(0.8, 0.1, 0.1)):
    """Returns detections (N, D, 6) and annotations (N, M, 7).

    Corners lie on a grid of 4 pixels and scores on `levels` values, so that overlaps and scores tie. Most detections
    are true boxes that moved. flags: shares of normal, difficult and crowd boxes.
    """
    random = np.random.default_rng(seed)
    truth = np.zeros((images, boxes, 7), np.float32)
    truth[..., CLASS] = random.integers(-1, classes, (images, boxes))
    low = 4 * random.integers(0, 40, (images, boxes, 2))
    truth[..., CORNERS] = np.concatenate([low, low + 4 * random.integers(1, 40, (images, boxes, 2))], axis=-1)
    truth[..., FLAG] = random.choice([NORMAL, DIFFICULT, CROWD], (images, boxes), p=flags)
    sides = truth[..., 3:5] - truth[..., 1:3]
    truth[..., 6] = np.round(sides.prod(axis=-1) * random.uniform(0.5, 1, (images, boxes)))  # an outline's
    found = np.zeros((images, detections, 6), np.float32)
    source = np.take_along_axis(truth, random.integers(0, boxes, (images, detections))[..., None], axis=1)
    found[..., :4] = source[..., CORNERS] + 4 * random.integers(-2, 3, (images, detections, 4))
    found[..., 2:4] = np.maximum(found[..., 2:4], found[..., :2] + 4)
    found[..., 4] = random.integers(1, levels + 1, (images, detections)) / levels
    other = random.integers(-1, classes, (images, detections))
    found[..., 5] = np.where(random.random((images, detections)) < 0.7, source[..., CLASS], other)
    return found, truth
