"""Anchors: k-means by IoU, against all partitions of small sets and against cases worked by hand."""

import itertools

import numpy as np
import pytest

from tinytrain.config.schema import Config, Data, Detect, Model
from tinytrain.data import anchors, boxes, size_clusters
from tinytrain.data.boxes import Box
from tinytrain.errors import UserError


def overlap(first, second):
    """The IoU of two sizes, from two boxes around the origin."""
    common = min(first[0], second[0]) * min(first[1], second[1])
    return common / (first[0] * first[1] + second[0] * second[1] - common)


def cost(sizes, centres):
    return sum(1 - max(overlap(size, centre) for centre in centres) for size in sizes)


def best_stable_partition(sizes, count):
    """Returns the least cost of the means of a partition in which each size is nearest to its own mean."""
    costs = []
    for labels in itertools.product(range(count), repeat=len(sizes)):
        if len(set(labels)) == count:
            means = [sizes[np.equal(labels, number)].mean(axis=0) for number in range(count)]
            nearest = [int(np.argmax([overlap(size, mean) for mean in means])) for size in sizes]
            if nearest == list(labels):
                costs.append(cost(sizes, means))
    return min(costs)


def test_the_iou_of_sizes_is_that_of_boxes_with_one_centre():
    # 4x2 and 2x4: 4 in common, 8 + 8 - 4 = 12 in all; 2x1 lies in 4x2: 2 / 8
    got = size_clusters.iou(np.array([[4, 2], [2, 1]]), np.array([[2, 4], [4, 2]]))
    np.testing.assert_allclose(got, [[4 / 12, 1], [2 / 8, 2 / 8]])


def test_clusters_far_apart_get_their_means():
    sizes = np.array([[10, 10], [10, 12], [40, 80], [44, 80], [200, 30], [200, 34]], float)
    got = size_clusters.kmeans(sizes, 3, seed=0)
    np.testing.assert_allclose(got, [[10, 11], [42, 80], [200, 32]])  # by area: 110, 3360, 6400


@pytest.mark.parametrize("seed", range(8))
def test_no_stable_partition_of_a_small_set_is_better(seed):
    sizes = np.round(np.random.default_rng(seed).lognormal(3, 0.7, (7, 2)), 2)
    for count in (2, 3):
        got = size_clusters.kmeans(sizes, count, seed)
        assert got.shape == (count, 2)
        assert cost(sizes, got) == pytest.approx(best_stable_partition(sizes, count))


def test_the_same_seed_gives_the_same_anchors_by_area():
    sizes = np.random.default_rng(1).lognormal(3, 0.7, (500, 2))
    first = size_clusters.kmeans(sizes, 9, seed=3)
    np.testing.assert_array_equal(first, size_clusters.kmeans(sizes, 9, seed=3))
    assert (np.diff(first.prod(axis=1)) > 0).all()
    assert cost(sizes[:100], first) < cost(sizes[:100], sizes[100:109])


def test_more_boxes_than_the_sample_are_sampled(monkeypatch):
    monkeypatch.setattr(size_clusters, "MOST_SIZES", 50)
    sizes = np.concatenate([np.full((300, 2), 10.0), np.full((300, 2), 80.0), np.full((300, 2), 30.0)])
    np.testing.assert_allclose(size_clusters.kmeans(sizes + np.arange(900)[:, None] % 2, 3, 0)[1], [30.5] * 2, atol=0.5)


def test_equal_boxes_stand_in_the_middle_of_steps_of_root_two():
    got = size_clusters.kmeans(np.full((20, 2), [20.0, 40.0]), 5, seed=0)
    np.testing.assert_allclose(got[:, 0], [10, 20 / 2**0.5, 20, 20 * 2**0.5, 40])
    np.testing.assert_allclose(got[:, 1], 2 * got[:, 0])


def test_fewer_sizes_than_anchors_are_all_anchors():
    got = size_clusters.kmeans(np.array([[60, 60], [8, 8], [8, 8]]), 3, seed=0)
    np.testing.assert_allclose(got, [[8, 8], [60, 60], [60 * 2**0.5] * 2])


def test_without_a_box_there_is_a_sentence():
    with pytest.raises(UserError, match="the training images have no boxes"):
        size_clusters.kmeans(np.empty((0, 2)), 3, seed=0)


def config(spec="voc:cells", side=160, strides=(32, 16), per_scale=1, **detect):
    return Config(
        data=Data(spec=spec),
        model=Model(resolution=side),
        detect=Detect(strides=list(strides), anchors_per_scale=per_scale, **detect),
    )


def scaled(scale_x, scale_y, count):
    return np.tile(np.array([scale_x, scale_y, 0, 0], np.float32), (count, 1))


def test_anchors_are_those_of_the_boxes_in_pixels_of_the_input():
    annotations = boxes.pack(
        [
            [Box(0, (0, 0, 40, 20)), Box(1, (10, 10, 50, 30))],
            [Box(0, (0, 0, 300, 200)), Box(0, (0, 0, 600, 400), boxes.CROWD)],  # a crowd is not trained on
            [],
        ]
    )
    flat = anchors.of_annotations(annotations, scaled(0.25, 1 / 3, 3), config())
    assert flat == [10.0, 6.67, 75.0, 66.67]


def test_what_lies_outside_of_the_input_does_not_count():
    annotations = boxes.pack([[Box(0, (150, 0, 190, 20)), Box(0, (170, 0, 190, 20)), Box(0, (0, 0, 40, 40))]])
    flat = anchors.of_annotations(annotations, scaled(1, 1, 1), config())
    assert flat == [10.0, 20.0, 40.0, 40.0]  # the first box is cut at 160, the second is gone


def test_the_papers_datasets_have_the_papers_anchors():
    annotations = boxes.pack([[Box(0, (0, 0, 40, 20))]])
    for spec in ("voc0712", "voc0712:VOCdevkit", "coco2017"):
        of_paper = config(spec, 416, (32, 16, 8), 3)
        flat = anchors.of_annotations(annotations, scaled(1, 1, 1), of_paper)
        assert flat == [10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326]
    half = anchors.of_annotations(annotations, scaled(1, 1, 1), config("voc0712", 208, (32, 16, 8), 3))
    assert half[:4] == [5, 6.5, 8, 15]
    assert half[-1] == 163
    assert len(anchors.of_annotations(annotations, scaled(1, 1, 1), config("voc0712", 160, (16,), 3))) == 6


def test_the_smallest_anchors_are_those_of_the_smallest_stride():
    flat = [30, 30, 10, 10, 99, 99, 60, 60]
    got = anchors.by_stride(flat, [32, 16], 2)
    assert list(got) == [32, 16]
    np.testing.assert_array_equal(got[16], [[10, 10], [30, 30]])
    np.testing.assert_array_equal(got[32], [[60, 60], [99, 99]])
    with pytest.raises(UserError, match="has 8 numbers: expected 12, width and height of 3 anchors"):
        anchors.by_stride(flat, [32, 16], 3)


def test_coverage_counts_the_boxes_of_each_stride_by_hand():
    of_stride = {32: np.array([[40, 40]]), 16: np.array([[10, 10], [20, 10]])}
    sizes = np.array([[40, 20], [40, 19], [10, 10], [19, 10], [10, 4], [400, 400]])
    # 40x20 in 40x40: .5, counts; 40x19: 200 / (760 + 200 - 190) with 20x10 = .247, .475 with 40x40; 10x4: .4
    assert anchors.coverage(sizes, of_stride) == {32: (3, 1), 16: (3, 2)}
    strides, numbers, overlaps = anchors.best(sizes, of_stride)
    assert strides.tolist() == [32, 32, 16, 16, 16, 32]
    assert numbers.tolist() == [0, 0, 0, 1, 0, 0]
    np.testing.assert_allclose(overlaps, [0.5, 0.475, 1, 0.95, 0.4, 0.01])


def test_a_run_has_its_own_anchors_or_those_of_its_boxes():
    annotations, transforms = boxes.pack([[Box(0, (0, 0, 10, 10)), Box(0, (0, 0, 50, 50))]]), scaled(1, 1, 1)
    fitted = anchors.of_config(annotations, transforms, config())
    np.testing.assert_array_equal([fitted[16], fitted[32]], [[[10, 10]], [[50, 50]]])
    given = anchors.of_config(annotations, transforms, config(anchors=[5.0, 6.0, 70.0, 80.0]))
    np.testing.assert_array_equal([given[16], given[32]], [[[5, 6]], [[70, 80]]])
    assert anchors.of_config(annotations, transforms, config(head="centroid")) is None
    assert anchors.of_config(boxes.pack([[]]), transforms, config()) is None
    assert anchors.of_config(annotations, transforms, Config()) is None
