"""The integer decoder of anchors: against a literal scan, against real numbers, and on cases worked by hand."""

import dataclasses
import math

import numpy as np
import pytest
from literal_decode import anchor_decoder, cell_decoder, decode_anchors, drawn_outputs, tuples

from tinytrain.deploy.decode.anchors import AnchorDecoder, Output
from tinytrain.deploy.decode.boxes import BOX, as_detections, in_units
from tinytrain.errors import UserError

LN2 = math.log(2)


def output(stride, cells, scale, zero_point, anchors):
    return Output(stride=stride, rows=cells, columns=cells, scale=scale, zero_point=zero_point, anchors=anchors)


def one_output(**changes):
    """A map of 4x4 cells of 8 px, one anchor of 10x6 px, two classes; a step is ln 2 / 16: 16 steps double a side."""
    only = output(8, 4, LN2 / 16, 0, ((in_units(10), in_units(6)),))
    return AnchorDecoder(
        **{"side": 32, "classes": 2, "score": 0.3, "gain": 4, "nms": 0.45, "outputs": (only,)} | changes
    )


def empty(decoder):
    """Outputs without an object."""
    return [np.full(shape, -128, np.int8) for shape in decoder.shapes]


@pytest.mark.parametrize("seed", range(60))
def test_it_equals_the_literal_scan(seed):
    random = np.random.default_rng(seed)
    decoder = anchor_decoder(random, side=int(random.integers(20, 70)))
    outputs = drawn_outputs(decoder, random)
    assert tuples(decoder.decode(outputs)) == decode_anchors(decoder, outputs)


def test_the_literal_scan_sees_full_lists_ties_and_suppression():
    """Else the test above would show little."""
    full = crowded = ties = suppressed = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        decoder = anchor_decoder(random, side=int(random.integers(20, 70)))
        outputs = drawn_outputs(decoder, random)
        wide = dataclasses.replace(decoder, room=400)
        scores = [box[4] for box in decode_anchors(wide, outputs)]
        whole = [box[4] for box in decode_anchors(dataclasses.replace(wide, nms=1.0), outputs)]
        full += len(scores) > decoder.room
        crowded += len(whole) == 400
        ties += len(set(scores)) < len(scores)
        suppressed += len(scores) < len(whole)
    assert min(full, ties, suppressed) > 10
    assert crowded > 2


def test_one_box_worked_by_hand():
    decoder = one_output()
    outputs = empty(decoder)
    outputs[0][1, 2] = [0, 0, 16, -16, 127, -128, 127]
    (box,) = decoder.decode(outputs)
    # The center of cell (2, 1) is (20, 12) px; the anchor is doubled in width and halved in height: 20 x 3 px.
    assert [box[name] / 16 for name in ("x0", "y0", "x1", "y1")] == [10, 10.5, 30, 13.5]
    assert box["label"] == 1
    # The sigmoid of 4 · 127 · ln 2 / 16 = 22.0 is 1 in Q15, which no int16 holds; so is the product.
    assert box["score"] == 32768


def test_a_box_is_cut_at_the_input_and_one_outside_is_none():
    decoder = one_output(side=28)  # the last cells reach out of it
    outputs = empty(decoder)
    outputs[0][3, 3] = [0, 0, -16, -16, 127, 127, -128]  # 5 x 3 px around (28, 28)
    outputs[0][0, 0] = [-127, -127, 64, 64, 127, 127, -128]  # 16 times the anchor
    corners = [tuple(box)[:4] for box in decoder.decode(outputs).tolist()]
    assert corners == [(0, 0, 448, 448), (408, 424, 448, 448)]
    outputs[0][3, 3, :2] = 127  # its center at 32, 32: it begins at 29.5
    assert len(decoder.decode(outputs)) == 1


def test_a_side_is_at_most_16_times_the_anchor():
    decoder = one_output(side=2047)
    outputs = empty(decoder)
    outputs[0][3, 3] = [0, 0, 127, 127, 127, 127, -128]
    (box,) = decoder.decode(outputs)
    assert (box["x1"] - 28 * 16, box["y1"] - 28 * 16) == (16 * 10 * 16 / 2, 16 * 6 * 16 / 2)


@pytest.mark.parametrize(("overlap", "left"), [(3, 2), (4, 1)])
def test_two_boxes_of_a_class_stay_up_to_the_overlap(overlap, left):
    """Two boxes of 8 px side, 8 - overlap px apart: IoU is overlap / (16 - overlap), 0.23 or 0.33."""
    only = output(1, 16, LN2 / 16, 0, ((128, 128),))
    decoder = AnchorDecoder(side=16, classes=2, score=0.3, gain=4, nms=0.3, outputs=(only,))
    outputs = empty(decoder)
    outputs[0][8, 4] = [0, 0, 0, 0, 127, 127, -128]
    outputs[0][8, 12 - overlap] = [0, 0, 0, 0, 127, 127, -128]
    assert len(decoder.decode(outputs)) == left
    outputs[0][8, 4, 5:] = -128, 127  # of another class
    assert len(decoder.decode(outputs)) == 2


def test_exactly_the_overlap_does_not_suppress():
    """8x8 px, 2 px apart: IoU 48 / 80 = 0.6 exactly, which is no number of float64."""
    only = output(1, 16, LN2 / 16, 0, ((128, 128),))
    decoder = AnchorDecoder(side=16, classes=1, score=0.3, gain=4, nms=0.6, outputs=(only,))
    outputs = empty(decoder)
    outputs[0][8, 4] = outputs[0][8, 6] = [0, 0, 0, 0, 127, 127]
    assert len(decoder.decode(outputs)) == 2
    assert len(dataclasses.replace(decoder, nms=0.59).decode(outputs)) == 1


def test_equal_scores_keep_the_order_of_the_scan():
    """The largest stride first, whatever the order of the outputs in the model; then row, column, anchor, class."""
    coarse = output(16, 2, LN2 / 16, 0, ((16, 16), (32, 32)))
    fine = output(8, 4, LN2 / 16, 0, ((16, 16),))
    decoder = AnchorDecoder(side=32, classes=2, score=0.3, gain=4, nms=0.45, outputs=(fine, coarse))
    outputs = empty(decoder)
    outputs[0][0, 1] = outputs[0][1, 0] = [0, 0, 0, 0, 127, -128, 127]
    outputs[1][1, 0, 7:] = [0, 0, 0, 0, 127, 127, 127]  # its second anchor, both classes
    boxes = [(*np.array(box[:2]) / 16 + (box[2] - box[0]) / 32, box[5]) for box in tuples(decoder.decode(outputs))]
    assert boxes == [(8, 24, 0), (8, 24, 1), (12, 4, 1), (4, 12, 1)]
    assert tuples(dataclasses.replace(decoder, room=2).decode(outputs)) == tuples(decoder.decode(outputs))[:2]


def test_a_small_room_is_for_boxes_that_suppression_leaves():
    """Four objects of six candidates each, the best object's first: six candidates would be one object."""
    only = output(16, 10, 0.05, 0, tuple((16 * side, 16 * side) for side in (40, 42, 38)))
    decoder = AnchorDecoder(side=160, classes=1, score=0.3, gain=4, nms=0.45, room=6, outputs=(only,))
    outputs = empty(decoder)
    values = outputs[0].reshape(10, 10, 3, 6)
    values[..., :4] = 0
    for number, (row, column) in enumerate([(2, 2), (2, 7), (7, 2), (7, 7)]):
        for down, place in ((0, 127), (1, -128)):
            values[row + down, column, :, 1] = place
            values[row + down, column, :, 4:] = 80 - 5 * number
    assert len(decoder.decode(outputs)) == 4
    assert tuples(dataclasses.replace(decoder, room=2).decode(outputs)) == tuples(decoder.decode(outputs))[:2]


@pytest.mark.parametrize("make", [anchor_decoder, cell_decoder])
def test_the_boxes_are_those_that_the_figures_have_at_the_threshold(make):
    """What is measured with a low score is, from the threshold on, what the firmware shows: no box more, none less."""
    shown = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        decoder = make(random)
        outputs = [each[None] for each in drawn_outputs(decoder, random)]
        (measured,), (found,) = decoder.measured(outputs), decoder.detections(outputs)
        assert len(measured) == decoder.room
        kept = measured[(measured[:, 4] >= decoder.score) & (measured[:, 5] >= 0)]
        np.testing.assert_array_equal(kept, found[found[:, 5] >= 0])
        shown += len(kept)
    assert shown > 300


def test_a_score_is_at_least_the_threshold_in_integers_as_in_real_numbers():
    """All thresholds of four decimals, as detect.score is stored: where score and threshold are one step apart."""
    decoder = one_output()
    for number in range(100, 9901):
        threshold = round(number / 10_000, 4)
        least = dataclasses.replace(decoder, score=threshold).least_score
        boxes = np.zeros(2, BOX)
        boxes["score"] = least - 1, least
        assert (as_detections(boxes)[:, 4] >= threshold).tolist() == [False, True], threshold


def test_it_is_the_decode_of_real_numbers_within_a_step():
    """YOLOv3's formulas in float64, as a list of boxes without suppression; a corner is cut to 1/16 px twice."""
    random = np.random.default_rng(3)
    only = output(16, 10, 0.024, -3, ((600, 480), (1500, 1111), (2000, 300)))
    decoder = AnchorDecoder(side=160, classes=3, score=0.3, gain=4, nms=1.0, room=400, outputs=(only,))
    values = random.integers(-128, 128, decoder.shapes[0]).astype(np.int8)
    values[random.random(values.shape[:2]) < 0.8] = -128
    real = (values.reshape(10, 10, 3, 8).astype(float) + 3) * 0.024
    sigmoids = 1 / (1 + np.exp(-real))
    scores = 1 / (1 + np.exp(-4 * real[..., 4:5])) / (1 + np.exp(-4 * real[..., 5:]))
    rows, columns = np.mgrid[:10, :10]
    center = np.stack([sigmoids[..., 0] + columns[..., None], sigmoids[..., 1] + rows[..., None]], axis=-1) * 16
    half = np.exp(real[..., 2:4]) * np.array(only.anchors) / 16 / 2
    corners = np.concatenate([center - half, center + half], axis=-1).clip(0, 160)
    expected = [
        (*corners[row, column, anchor], scores[row, column, anchor, label], label)
        for row, column, anchor, label in np.argwhere(scores >= 0.3)
    ]
    expected.sort(key=lambda box: -box[4])
    found = decoder.detections([values[None]])[0]
    found = found[found[:, 5] >= 0]
    assert 20 < len(found) == len(expected)
    # The order of boxes may differ where scores are closer than their rounding.
    assert np.abs(np.array(expected)[:, 4] - found[:, 4]).max() < 1e-4
    for box in expected:
        same = found[found[:, 5] == box[5]]
        assert np.abs(same[:, :5] - np.array(box[:5])).max(axis=1).min() <= 2 / 16 + 1e-3


def test_detections_are_padded():
    decoder = one_output(room=5)
    outputs = [np.stack([empty(decoder)[0]] * 2)]
    outputs[0][1, 1, 2] = [0, 0, 0, 0, 127, 127, -128]
    rows = decoder.detections(outputs)
    assert (rows.shape, rows.dtype) == ((2, 5, 6), np.float32)
    assert rows[0, :, 5].tolist() == [-1] * 5
    assert rows[1, 0].tolist() == [15, 9, 25, 15, 1, 0]
    assert rows[1, 1:, 5].tolist() == [-1] * 4


def test_a_score_that_no_objectness_reaches_gives_no_boxes():
    decoder = one_output(gain=1.0, score=0.999)  # the largest sigmoid is that of 5.5
    assert decoder.tables[0].least_objectness == 128
    assert len(decoder.decode([np.full(decoder.shapes[0], 127, np.int8)])) == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"side": 2048}, "side of a decoder should be 1 to 2,047; received 2048"),
        ({"classes": 0}, "classes of a decoder should be 1 to 255; received 0"),
        ({"score": math.nan}, "score of a decoder should be 0 to 1; received nan"),
        ({"nms": 45}, "nms of a decoder should be 0 to 1; received 45"),
        ({"nms": 0.455}, "nms of a decoder should be in hundredths, as the firmware compares it; received 0.455"),
        ({"room": 0}, "room of a decoder should be 1 to 400; received 0"),
        ({"outputs": ()}, "number of outputs of a decoder should be 1 to 8; received 0"),
    ],
)
def test_what_no_decoder_has_is_refused(changes, sentence):
    with pytest.raises(UserError) as error:
        one_output(**changes)
    assert str(error.value) == sentence


def test_outputs_of_another_size_are_refused():
    decoder = one_output()
    with pytest.raises(UserError, match=r"expects int8 outputs \(\(4, 4, 7\),\); received \[\('int8', 105\)\]"):
        decoder.decode([np.zeros(105, np.int8)])
