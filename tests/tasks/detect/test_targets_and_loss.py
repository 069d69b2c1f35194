"""Assignment, loss and decoding of boxes against slow references: loops over positions and boxes, in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tinytrain.config import load as configs
from tinytrain.data import boxes
from tinytrain.data.images import Samples
from tinytrain.tasks.detect import decode
from tinytrain.tasks.detect import loss as yolo_loss
from tinytrain.tasks.detect.grid import Grid
from tinytrain.train import task as tasks

SIDE, CLASSES, GAIN = 96, ["cat", "dog", "owl"], 4.0
# Of YOLOv3 at 416, scaled to 96: two of them overlap many boxes alike.
ANCHORS = {32: [(27, 21), (36, 46), (86, 75)], 16: [(7, 14), (14, 10), (14, 27)], 8: [(2, 3), (4, 7), (8, 5)]}
GRID = Grid(SIDE, {stride: np.float64(sizes) for stride, sizes in ANCHORS.items()}, len(CLASSES))
FLAT = [number for stride in sorted(ANCHORS) for size in ANCHORS[stride] for number in size]
IMAGES, ROWS = 100, 12


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def cross_entropy(wanted, logit):
    """-[y ln σ + (1 - y) ln(1 - σ)], without the logarithm of 0."""
    return max(logit, 0) - logit * wanted + math.log1p(math.exp(-abs(logit)))


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def places():
    """Every (output, row, column, anchor, stride, width, height), in the order of the outputs."""
    for output, (stride, sizes) in enumerate(ANCHORS.items()):
        for row in range(SIDE // stride):
            for column in range(SIDE // stride):
                for number, (width, height) in enumerate(sizes):
                    yield output, row, column, number, stride, width, height


def decoded(channels, row, column, stride, width, height):
    """The box at a position whose outputs are `channels`; no side is more than 16 times that of its anchor."""
    x, y = (sigmoid(channels[0]) + column) * stride, (sigmoid(channels[1]) + row) * stride
    w, h = (side * min(math.exp(size), 16) for side, size in ((width, channels[2]), (height, channels[3])))
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def owner(box):
    """(output, row, column, anchor) that learns a box: of all anchors the first that overlaps it most, centred."""
    width, height = max(box[2] - box[0], 1), max(box[3] - box[1], 1)
    best, most = None, -1.0
    for output, (stride, sizes) in enumerate(ANCHORS.items()):
        for number, (w, h) in enumerate(sizes):
            overlap = iou((-width / 2, -height / 2, width / 2, height / 2), (-w / 2, -h / 2, w / 2, h / 2))
            if overlap > most:
                row, column = int((box[1] + box[3]) / 2 // stride), int((box[0] + box[2]) / 2 // stride)
                best, most = (output, row, column, number), overlap
    return best


def channels_of(outputs, image, output, row, column, number):
    """The channels of one anchor, tx to the last class."""
    channels = 5 + len(CLASSES)
    return [float(each) for each in outputs[output][image, row, column, number * channels : (number + 1) * channels]]


def slow_loss(targets, outputs, smoothing=0.0, ignore_iou=0.7, gain=GAIN):
    """(objectness, box, classes) of one image after the other: the sums of all, divided by the number of images."""
    totals = np.zeros(3)
    for image, rows in enumerate(np.float64(targets)):
        truths = [row for row in rows if row[0] >= 0]
        learnt = {owner(row[1:5]): row for row in truths}  # a later box takes the place of an earlier one
        for output, row, column, number, stride, width, height in places():
            values = channels_of(outputs, image, output, row, column, number)
            truth = learnt.get((output, row, column, number))
            if truth is None:
                box = decoded(values, row, column, stride, width, height)
                if all(iou(box, other[1:5]) <= ignore_iou for other in truths):
                    totals[0] += cross_entropy(0, gain * values[4])
                continue
            label, x0, y0, x1, y1, share = truth
            weight = share * (2 - max(x1 - x0, 1) * max(y1 - y0, 1) / SIDE**2)
            totals[0] += share * cross_entropy(1, gain * values[4])
            totals[1] += weight * cross_entropy((x0 + x1) / 2 / stride - column, values[0])
            totals[1] += weight * cross_entropy((y0 + y1) / 2 / stride - row, values[1])
            totals[1] += weight * abs(values[2] - math.log(max(x1 - x0, 1) / width))
            totals[1] += weight * abs(values[3] - math.log(max(y1 - y0, 1) / height))
            for other in range(len(CLASSES)):
                wanted = 1 - smoothing if other == label else smoothing
                totals[2] += share * cross_entropy(wanted, gain * values[5 + other])
    return totals / len(targets)


def random_box(random):
    """Corners in the image: of any size from half a pixel, some at a border, some with a centre between two cells."""
    width, height = np.exp(random.uniform(math.log(0.5), math.log(SIDE), 2))
    x, y = random.uniform(0, SIDE - width), random.uniform(0, SIDE - height)
    kind = random.integers(5)
    if kind == 0:
        x, y = random.choice([0, SIDE - width]), random.choice([y, SIDE - height])
    elif kind == 1:  # on whole pixels, the centre at a corner of cells
        half = random.integers(1, 9, 2)
        centre = 16 * random.integers(1, SIDE // 16, 2)
        return [*(centre - half), *(centre + half)]
    return [x, y, x + width, y + height]


def random_targets(random, images=IMAGES, weights=False):
    """(images, ROWS, 6): 0 to ROWS boxes, wherever in the rows, some of them beside an earlier one."""
    targets = np.zeros((images, ROWS, 6))
    targets[..., 0] = -1
    targets[..., 1:5] = random.uniform(-50, 150, targets[..., 1:5].shape)  # what stands in a row without a box
    for rows in targets:
        chosen, box = random.choice(ROWS, random.integers(ROWS + 1), replace=False), None
        for number in sorted(chosen):
            same = box is not None and random.random() < 0.3
            box = [*(np.float64(box) + random.uniform(0, 0.2, 4))] if same else random_box(random)
            box = np.clip(box, 0, SIDE - 1e-3)
            rows[number] = [random.integers(len(CLASSES)), *box, random.uniform(0.1, 1) if weights else 1]
    return np.float32(targets)


def random_outputs(random, images=IMAGES, spread=1.0):
    channels = 3 * (5 + len(CLASSES))
    sides = [SIDE // stride for stride in ANCHORS]
    return [np.float32(random.normal(0, spread, (images, side, side, channels))) for side in sides]


def put(outputs, image, place, values):
    output, row, column, number = place
    channels = 5 + len(CLASSES)
    outputs[output][image, row, column, number * channels : (number + 1) * channels] = values


def near_truth(random, targets, outputs):
    """Puts for half of the boxes almost the right box at its position and one beside it, which is then ignored."""
    strides = list(ANCHORS)
    for image, rows in enumerate(targets):
        for label, x0, y0, x1, y1, _ in rows:
            if label < 0 or random.random() < 0.5:
                continue
            output, row, column, _ = owner((x0, y0, x1, y1))
            for other in range(3):
                width, height = ANCHORS[strides[output]][other]
                tx, ty = ((x0 + x1) / 2 / strides[output] - column, (y0 + y1) / 2 / strides[output] - row)
                logits = [math.log(t / (1 - t)) for t in np.clip([tx, ty], 0.02, 0.98)]
                sizes = [math.log(max(x1 - x0, 1) / width), math.log(max(y1 - y0, 1) / height)]
                noise = random.normal(0, 0.03, 4 + 1 + len(CLASSES))
                values = np.add([*logits, *sizes, 0.3, 0, 0, 0], noise)
                put(outputs, image, (output, row, column, other), values)
    return outputs


@pytest.fixture(scope="module")
def pictures():
    random = np.random.default_rng(0)
    targets = random_targets(random, weights=True)
    return targets, near_truth(random, targets, random_outputs(random))


def test_a_box_whose_centre_a_crop_has_cut_off_is_not_learnt_and_one_at_its_edge_is_cut():
    """As slow_loss of the same boxes without the first, the second ending at the edge."""
    cut_off, at_edge, cut = ([1, -40, 10, 8, 40, 1], [2, 60, 30, 120, 60, 1], [2, 60, 30, SIDE, 60, 1])
    outputs = random_outputs(np.random.default_rng(5), 1)
    found = fast_loss(np.float32([[cut_off, at_edge]]), outputs)
    np.testing.assert_allclose(found, slow_loss([[cut]], outputs), rtol=1e-4)


def fast_loss(targets, outputs, **options):
    options = {"gain": GAIN, "ignore_iou": 0.7} | options
    return yolo_loss.parts(tf.constant(targets), [tf.constant(each) for each in outputs], GRID, **options)


@pytest.mark.parametrize("smoothing", [0.0, 0.025])
def test_the_loss_of_100_random_pictures_is_that_of_the_loops(pictures, smoothing):
    targets, outputs = pictures
    np.testing.assert_allclose(
        fast_loss(targets, outputs, smoothing=smoothing), slow_loss(targets, outputs, smoothing), rtol=1e-4
    )


def test_the_loss_of_each_picture_is_that_of_the_loops_whatever_the_batch(pictures):
    targets, outputs = pictures
    for number in range(0, IMAGES, 5):
        alone = [each[number : number + 1] for each in (targets, *outputs)]
        np.testing.assert_allclose(fast_loss(alone[0], alone[1:]), slow_loss(alone[0], alone[1:]), rtol=1e-4)


def test_the_random_pictures_have_all_that_matters(pictures):
    targets, outputs = pictures
    truths = [[row for row in rows if row[0] >= 0] for rows in targets]
    owners = [[owner(np.float64(row[1:5])) for row in rows] for rows in truths]
    assert sum(len(each) - len({*each}) for each in owners) >= 5  # two boxes of a picture at one position
    assert {place[0] for each in owners for place in each} == {0, 1, 2}
    assert any(not each for each in truths)
    assert any(len(each) > 8 for each in truths)
    without = slow_loss(targets[:20], [each[:20] for each in outputs], ignore_iou=1.1)
    assert without[0] > slow_loss(targets[:20], [each[:20] for each in outputs])[0]  # some positions are ignored
    for limit in (0.3, 0.9):
        few = [each[:20] for each in (targets, *outputs)]
        expected = slow_loss(few[0], few[1:], ignore_iou=limit)
        np.testing.assert_allclose(fast_loss(few[0], few[1:], ignore_iou=limit), expected, rtol=1e-4)


def test_the_parts_are_sums_over_positions_divided_by_the_images_alone():
    """No box: ln 2 for each of 567 positions, however many images."""
    outputs = [np.zeros((5, SIDE // stride, SIDE // stride, 24), np.float32) for stride in ANCHORS]
    targets = np.full((5, 4, 6), -1, np.float32)
    positions = sum(3 * (SIDE // stride) ** 2 for stride in ANCHORS)
    assert positions == 567
    np.testing.assert_allclose(fast_loss(targets, outputs), [positions * math.log(2), 0, 0], rtol=1e-6)


def test_the_gain_is_of_objectness_and_classes_alone(pictures):
    targets, outputs = pictures
    scaled = [each.copy() for each in outputs]
    for each in scaled:
        by_anchor = each.reshape(*each.shape[:3], 3, 5 + len(CLASSES))
        by_anchor[..., 4:] *= 4
    np.testing.assert_allclose(fast_loss(targets, scaled, gain=1.0), fast_loss(targets, outputs), rtol=1e-5)


def test_no_gradient_goes_through_what_is_ignored():
    """A box beside the one that learns it: where it lies decides whether it is ignored, and nothing else."""
    targets = np.full((1, 1, 6), -1, np.float32)
    targets[0, 0] = [1, 33, 42.5, 47, 69.5, 1]
    outputs = [np.zeros((1, SIDE // stride, SIDE // stride, 24), np.float32) for stride in ANCHORS]
    place = owner(targets[0, 0, 1:5])
    assert place == (1, 3, 2, 2)
    put(outputs, 0, (1, 3, 2, 1), [0.0, 0.0, 0.0, math.log(2.7), 0.5, 0, 0, 0])  # the same box by another anchor
    variables = [tf.Variable(each) for each in outputs]
    with tf.GradientTape() as tape:
        parts = yolo_loss.parts(tf.constant(targets), variables, GRID, GAIN, 0.7)
    gradient = tape.gradient(parts.objectness, variables)
    gradients = np.concatenate([tf.reshape(each, (-1, 8)) for each in gradient])
    assert np.abs(gradients[:, :4]).max() == 0
    assert np.abs(gradients[:, 5:]).max() == 0
    np.testing.assert_array_equal(tf.reshape(gradient[1], (6, 6, 3, 8))[3, 2, 1], np.zeros(8))  # ignored
    assert float(tf.reshape(gradient[1], (6, 6, 3, 8))[3, 2, 2, 4]) == pytest.approx(-0.5 * GAIN)
    assert float(tf.reshape(gradient[1], (6, 6, 3, 8))[0, 0, 0, 4]) == pytest.approx(0.5 * GAIN)


def test_rows_that_pad_may_hold_anything():
    random = np.random.default_rng(1)
    targets, outputs = random_targets(random, 3), random_outputs(random, 3)
    other = targets.copy()
    other[targets[..., 0] < 0, 1:] = [1e5, -1e5, 0, 0, 1e5]
    other[0, targets[0, :, 0] < 0, 1:] = 0
    variables = [tf.Variable(each) for each in outputs]
    with tf.GradientTape() as tape:
        loss = sum(yolo_loss.parts(tf.constant(other), variables, GRID, GAIN, 0.7))
    assert float(loss) == pytest.approx(slow_loss(targets, outputs).sum(), rel=1e-4)
    assert all(np.isfinite(each).all() for each in tape.gradient(loss, variables))


def slow_distillation(student, teacher, temperature):
    """As `loss.distillation` says it, position by position."""
    total, count = 0.0, len(student[0])
    for image in range(count):
        for output, row, column, number, *_ in places():
            own, taught = (channels_of(each, image, output, row, column, number) for each in (student, teacher))
            terms = [
                cross_entropy(sigmoid(GAIN * b / temperature), GAIN * a / temperature)
                for a, b in zip(own[4:], taught[4:], strict=True)
            ]
            boxes_apart = sum(abs(a - b) for a, b in zip(own[:4], taught[:4], strict=True))
            total += terms[0] + sigmoid(GAIN * taught[4]) * (sum(terms[1:]) + boxes_apart / temperature**2)
    return total / count


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_what_a_teacher_adds_is_that_of_the_loops(detection, temperature):
    random = np.random.default_rng(3)
    student, teacher = random_outputs(random, 6), random_outputs(random, 6, spread=2.0)
    found = detection.distillation(student, teacher, temperature)
    assert float(found) == pytest.approx(slow_distillation(student, teacher, temperature), rel=1e-5)


def test_a_student_is_taught_and_its_teacher_is_not(detection):
    """The gradient of objectness at T = 1 is gain · (σ(student) - σ(teacher)); at the teacher's outputs it is 0."""
    random = np.random.default_rng(4)
    teacher = [tf.Variable(each) for each in random_outputs(random, 1)]
    student = [tf.Variable(each) for each in random_outputs(random, 1)]
    with tf.GradientTape() as tape:
        term = detection.distillation(student, teacher, 1.0)
    ours, theirs = tape.gradient(term, [student, teacher])
    assert theirs == [None] * 3
    logits = [np.reshape(each[0].numpy(), (3, 3, 3, 8))[..., 4] for each in (student, teacher)]
    expected = GAIN * (1 / (1 + np.exp(-GAIN * logits[0])) - 1 / (1 + np.exp(-GAIN * logits[1])))
    np.testing.assert_allclose(np.reshape(ours[0].numpy(), (3, 3, 3, 8))[..., 4], expected, atol=1e-5)
    with tf.GradientTape() as tape:
        term = detection.distillation(teacher, [tf.identity(each) for each in teacher], 1.0)
    assert max(np.abs(each).max() for each in tape.gradient(term, teacher)) < 1e-5


def slow_detections(outputs, nms=0.45, most=100):
    """For each image the list of (x0, y0, x1, y1, score, class), best first."""
    for image in range(len(outputs[0])):
        candidates = []
        for output, row, column, number, stride, width, height in places():
            values = channels_of(outputs, image, output, row, column, number)
            box = [min(max(each, 0), SIDE) for each in decoded(values, row, column, stride, width, height)]
            for label in range(len(CLASSES)):
                score = sigmoid(GAIN * values[4]) * sigmoid(GAIN * values[5 + label])
                if score >= 0.01:
                    candidates.append((*box, score, label))
        kept = []
        for candidate in sorted(candidates, key=lambda each: -each[4])[:400]:
            if all(other[5] != candidate[5] or iou(other, candidate) <= nms for other in kept):
                kept.append(candidate)
        yield kept[:most]


@pytest.mark.parametrize(("seed", "spread", "most"), [(0, 0.6, 100), (1, 1.0, 100), (2, 1.0, 7)])
def test_detections_are_those_of_the_loops(seed, spread, most):
    random = np.random.default_rng(seed)
    outputs = random_outputs(random, 12, spread)
    outputs[0][0], outputs[1][0], outputs[2][0] = -9, -9, -9  # nothing in the first
    found = decode.detections([tf.constant(each) for each in outputs], GRID, GAIN, 0.45, most).numpy()
    assert found.shape == (12, most, 6)
    counts = []
    for rows, expected in zip(found, slow_detections(outputs, most=most), strict=True):
        there = rows[rows[:, 5] >= 0]
        assert len(there) == len(expected)
        assert (rows[len(there) :, 5] == -1).all()
        if expected:
            np.testing.assert_allclose(there, expected, rtol=1e-4, atol=1e-3)
        counts.append(len(expected))
    assert counts[0] == 0
    assert max(counts) == most or seed == 0


def perfect_outputs(targets):
    """Outputs that say each box of `targets` where it is learnt, and nothing elsewhere."""
    outputs = [np.full((len(targets), SIDE // s, SIDE // s, 24), 0, np.float32) for s in ANCHORS]
    for each in outputs:
        each.reshape(*each.shape[:3], 3, 8)[..., 4:] = -5
    for image, rows in enumerate(np.float64(targets)):
        for label, x0, y0, x1, y1, _ in rows:
            if label < 0:
                continue
            output, row, column, number = owner((x0, y0, x1, y1))
            stride = list(ANCHORS)[output]
            offset = [(x0 + x1) / 2 / stride - column, (y0 + y1) / 2 / stride - row]
            logits = [math.log(each / (1 - each)) for each in np.clip(offset, 1e-6, 1 - 1e-6)]
            sizes = np.log(np.maximum([x1 - x0, y1 - y0], 1) / ANCHORS[stride][number])
            put(outputs, image, (output, row, column, number), [*logits, *sizes, 5, *(10 * np.eye(3)[int(label)] - 5)])
    return outputs


def test_perfect_outputs_decode_to_the_truth_and_have_no_loss_but_that_of_the_centre():
    """Whose least value is the entropy of the offset, as it is a cross-entropy."""
    random = np.random.default_rng(5)
    targets = random_targets(random, 30)
    for rows in targets:  # one box of a kind is enough: others would be suppressed, or overwritten
        rows[1:, 0] = -1
    outputs = perfect_outputs(targets)
    objectness, box, classes = fast_loss(targets, outputs)
    least = 0.0
    for rows in targets[targets[:, 0, 0] >= 0][:, 0, 1:5]:
        stride = list(ANCHORS)[owner(rows)[0]]
        offsets = [(rows[axis] + rows[axis + 2]) / 2 / stride % 1 for axis in (0, 1)]
        entropy = -sum(p * math.log(p) + (1 - p) * math.log(1 - p) for p in np.clip(offsets, 1e-6, 1 - 1e-6))
        least += entropy * (2 - max(rows[2] - rows[0], 1) * max(rows[3] - rows[1], 1) / SIDE**2)
    assert float(box) == pytest.approx(least / len(targets), rel=1e-3)
    assert float(objectness) < 1e-4
    assert float(classes) < 1e-4
    found = decode.detections([tf.constant(each) for each in outputs], GRID, GAIN, 0.45, 100).numpy()
    for rows, expected in zip(found, targets, strict=True):
        there = rows[rows[:, 5] >= 0]
        assert len(there) == (expected[0, 0] >= 0)
        for row in there:
            assert row[5] == expected[0, 0]
            assert row[4] == pytest.approx(1, abs=1e-6)
            large = np.maximum(expected[0, 3:5] - expected[0, 1:3], 1)
            centre = (expected[0, 1:3] + expected[0, 3:5]) / 2
            truth = np.clip([*(centre - large / 2), *(centre + large / 2)], 0, SIDE)
            np.testing.assert_allclose(row[:4], truth, atol=2e-3)


@pytest.fixture
def detection():
    words = ["task=detect", "model.name=mobilenet_v1", f"model.resolution={SIDE}", f"detect.anchors={FLAT}"]
    words += ["detect.strides=[32,16,8]", "detect.head=yolo3_lite", "optim.label_smoothing=0"]
    return tasks.of(configs.load(None, words), CLASSES)


def test_the_grid_of_a_config_has_its_smallest_anchors_at_the_smallest_stride(detection):
    assert list(detection.grid.anchors) == [32, 16, 8]
    for stride, sizes in ANCHORS.items():
        np.testing.assert_array_equal(detection.grid.anchors[stride], sizes)
    expected = [[column, row, stride, width, height] for _, row, column, _, stride, width, height in places()]
    np.testing.assert_array_equal(detection.grid.positions, expected)


def test_the_task_has_this_loss_with_smoothing_if_the_config_has_any(detection, pictures):
    targets, outputs = pictures[0][:10], [each[:10] for each in pictures[1]]
    assert float(detection.loss(tf.constant(targets), outputs)) == pytest.approx(
        slow_loss(targets, outputs).sum(), rel=1e-4
    )
    detection.config.optim.label_smoothing = 0.1
    assert float(detection.loss(tf.constant(targets), outputs)) == pytest.approx(
        slow_loss(targets, outputs, smoothing=1 / 40).sum(), rel=1e-4
    )


def test_crowds_are_no_boxes_and_difficult_ones_are(detection):
    rows = [
        boxes.Box(0, (10, 10, 30, 40)),
        boxes.Box(1, (0, 0, 192, 96), flag=boxes.CROWD),
        boxes.Box(2, (100, 20, 180, 90), flag=boxes.DIFFICULT),
    ]
    annotations = boxes.pack([rows, [boxes.Box(1, (2, 4, 6, 8))]])
    transforms = np.float32([[0.5, 1.0, 0, 0], [2.0, 2.0, 5, 7]])
    targets = np.asarray(detection.encode(tf.constant(annotations), tf.constant(transforms)))
    assert targets.shape == (2, 3, 6)
    assert targets[..., 0].tolist() == [[0, -1, 2], [1, -1, -1]]
    np.testing.assert_array_equal(targets[0, [0, 2], 1:5], [[5, 10, 15, 40], [50, 20, 90, 90]])
    np.testing.assert_array_equal(targets[1, 0, 1:], [2 * 2 + 5, 2 * 4 + 7, 2 * 6 + 5, 2 * 8 + 7, 1])


def test_boxes_of_a_letterboxed_picture_are_measured_in_the_picture(detection):
    """192 x 120 brought to 96 x 60 with 18 pixels above and below: what is found goes back to where it was."""
    truth = [boxes.Box(0, (20, 10, 100, 60)), boxes.Box(2, (150, 100, 190, 120))]
    annotations, transforms = boxes.pack([truth]), np.float32([[0.5, 0.5, 0, 18]])
    targets = np.asarray(detection.encode(tf.constant(annotations), tf.constant(transforms)))
    np.testing.assert_array_equal(targets[0, :, 1:5], [[10, 23, 50, 48], [75, 68, 95, 78]])
    kept = np.asarray(detection.keep([tf.constant(each) for each in perfect_outputs(targets)]))
    found = decode.in_original(kept, transforms)[0]
    there = sorted(found[found[:, 5] >= 0], key=lambda row: row[5])
    np.testing.assert_allclose([row[:4] for row in there], [box.corners for box in truth], atol=0.01)
    samples = Samples(np.zeros((1, SIDE, SIDE, 3), np.uint8), annotations, transforms)
    assert detection.evaluate(kept, samples)["ap50"] == pytest.approx(1)
    assert detection.measure(kept, samples) == pytest.approx(1)
    assert detection.settled(kept, samples)["detect.score"] <= 0.99


def test_sizes_are_told_for_the_picture_and_for_the_input(detection):
    """80 x 50 and 40 x 20 px are medium and small; at half of that both are small."""
    annotations = boxes.pack([[boxes.Box(0, (20, 10, 100, 60)), boxes.Box(2, (150, 100, 190, 120))]])
    samples = Samples(np.zeros((1, SIDE, SIDE, 3), np.uint8), annotations, np.float32([[0.5, 0.5, 0, 18]]))
    found = np.float32([[[10, 23, 50, 48, 0.9, 0], [75, 68, 95, 78, 0.8, 2]]])
    result = detection.evaluate(found, samples)
    assert [result[f"ap_{size}"] for size in ("small", "medium", "large")] == pytest.approx([1, 1, None])
    assert [result[f"ap_{size}_input"] for size in ("small", "medium", "large")] == pytest.approx([1, None, None])
