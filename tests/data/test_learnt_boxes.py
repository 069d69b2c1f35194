"""What counts as a box to learn from: no padding and no crowd, wherever boxes and classes are counted."""

import numpy as np
import pytest
from box_datasets import dataset, noise

from tinytrain.config.schema import Data
from tinytrain.data import boxes, source, splits
from tinytrain.data.boxes import CROWD, DIFFICULT, NO_BOX, Box
from tinytrain.errors import UserError

SQUARE = (0, 0, 10, 10)
IMAGES = [
    [Box(0, SQUARE), Box(1, SQUARE, CROWD)],
    [Box(0, SQUARE), Box(1, SQUARE, DIFFICULT), Box(0, SQUARE)],
    [Box(1, SQUARE, CROWD), Box(1, SQUARE, CROWD), Box(0, SQUARE, CROWD)],
    [],
]


def test_crowds_and_padding_are_not_learnt():
    learnt = boxes.learnt(boxes.pack(IMAGES))
    assert learnt.tolist() == [[True, False, False], [True, True, True], [False] * 3, [False] * 3]


def test_a_class_stands_where_it_has_a_box_that_is_no_crowd():
    annotations = boxes.pack(IMAGES)
    assert np.transpose(boxes.classes_present(annotations)).tolist() == [[0, 0], [1, 0], [1, 1]]
    assert source.class_counts(annotations, 2).tolist() == [2, 1]
    assert boxes.rarest(annotations).tolist() == [0, 1, NO_BOX, NO_BOX]


def test_crowds_do_not_make_a_class_common():
    """Two crowds of class 1 and one box of it, two boxes of class 0: 1 is the rarest."""
    annotations = boxes.pack([[Box(0, SQUARE), Box(1, SQUARE)], [Box(0, SQUARE), *[Box(1, SQUARE, CROWD)] * 2]])
    assert boxes.rarest(annotations).tolist() == [1, 0]


def test_a_class_of_crowds_alone_cannot_be_trained(tmp_path):
    images = [(noise(number), [Box(0, SQUARE), Box(1, SQUARE, CROWD)]) for number in range(4)]
    with pytest.raises(UserError, match=r"too few images in train for dot \(0\)"):
        splits.draw(dataset(tmp_path, dict.fromkeys(("train", "val", "test"), images)), Data(), 0)


def test_a_class_whose_boxes_are_not_drawn_is_lost_whatever_crowds_are(tmp_path):
    rows = [Box(0, SQUARE), Box(1, (20, 20, 30, 30), CROWD)]
    images = [(noise(number), rows) for number in range(20)] + [(noise(20), [*rows, Box(1, SQUARE)])]
    parts = dataset(tmp_path, dict.fromkeys(("train", "val", "test"), images))
    for seed in range(20):
        try:
            part = splits.draw(parts, Data(train_images=2), seed)["train"]
        except UserError as error:
            assert "no image of dot is drawn to train on" in str(error)  # noqa: PT017
        else:
            assert 20 in part.indices
