"""Copies of an image stay on one side of a split that is drawn; data.seed; nothing is copied into memory."""

import itertools
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from encoding import one_hot
from PIL import Image

from tinytrain.config import load as configs
from tinytrain.config.schema import Config, Data
from tinytrain.data import balance, boxes, copies, splits
from tinytrain.data import batches as pipeline
from tinytrain.data.boxes import Box
from tinytrain.data.facts import ImageInfo
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.datasets import digits, folder
from tinytrain.errors import UserError
from tinytrain.nn.predict import predict
from tinytrain.train.resolve import resolve


def source(contents, labels, pools=("all",)):
    """A source whose images have these contents and classes, the same in each pool."""
    infos, labels = [ImageInfo(digest=f"{content + 1:032x}") for content in contents], np.array(labels, np.int64)
    names = [str(number) for number in range(len(labels))]
    made = {name: ImageSet(labels, names, name, lambda *_: iter(()), infos) for name in pools}
    return Dataset([f"c{label}" for label in np.unique(labels)], made, 3, 8)


def sides(found, contents):
    """The splits that each content stands in."""
    split_names = {}
    for name, part in found.items():
        for index in part.indices:
            split_names.setdefault(contents[index], set()).add(name)
    return split_names


def with_copies(seed):
    """60 images of each of three classes: a third has one to five copies, some of them in another class."""
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], 60)
    contents = np.arange(180)
    for first in random.permutation(180)[:30]:
        contents[random.integers(0, 180, random.integers(1, 6))] = contents[first]
    return contents.tolist(), labels


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("data", [Data(), Data(val_images=17, test_images=31)], ids=["shares", "counts"])
def test_copies_are_never_parted(seed, data):
    contents, labels = with_copies(seed)
    found = splits.draw(source(contents, labels), data, seed)
    assert {len(split_names) for split_names in sides(found, contents).values()} == {1}
    assert sorted(np.concatenate([part.indices for part in found.values()])) == list(range(180))
    for part in found.values():
        assert set(labels[part.indices]) == {0, 1, 2}
    if data.val_images:
        assert (len(found["val"].indices), len(found["test"].indices)) == (17, 31)
    else:
        assert len(found["test"].indices) == pytest.approx(36, abs=3)


def test_the_split_of_data_without_copies_is_the_plain_draw():
    """By hand: the first so many of a permutation of each class, drawn in order from [seed, images]."""
    labels = np.tile([0, 1, 2], 40)
    found = splits.draw(source(range(120), labels), Data(), seed=3)
    left = np.arange(120)
    for name, share in (("test", 0.2), ("val", 0.1)):
        random = np.random.default_rng([3, len(left)])
        members = [left[labels[left] == label] for label in range(3)]
        held = np.concatenate([random.permutation(own)[: round(share * len(own))] for own in members])
        np.testing.assert_array_equal(found[name].indices, np.sort(held))
        left = np.setdiff1d(left, held)
    np.testing.assert_array_equal(found["train"].indices, left)


def test_a_class_of_many_copies_and_few_images_still_stands_in_each_split():
    contents = [*range(100), 100, 101, *[102] * 10]
    found = splits.draw(source(contents, [0] * 100 + [1] * 12), Data(test_fraction=0.5), seed=0)
    assert {len(split_names) for split_names in sides(found, contents).values()} == {1}
    assert all((part.indices >= 100).any() for part in found.values())


def test_a_class_of_copies_only_is_refused_by_name():
    contents = [*range(20), *[20, 21] * 5]
    with pytest.raises(UserError, match=r"too few different images of 'c1': .* at least 3 different ones"):
        splits.draw(source(contents, [0] * 20 + [1] * 10), Data(), seed=0)


def test_official_splits_are_left_as_they_are():
    contents, labels = list(range(30)), np.tile([0, 1, 2], 10)
    found = splits.draw(source(contents, labels, pools=("train", "test")), Data(), seed=0)
    assert len(found["test"].indices) == 30  # though each of them is in train as well
    assert len(found["train"].indices) + len(found["val"].indices) == 30


def test_copies_in_files_stay_together_without_the_check_too(image_folder):
    root = image_folder(count=20)
    for name in ("blue", "green", "red"):
        for number in range(6):
            for copy in range(2):  # losslessly, in another format
                Image.open(root / name / f"{number:03d}.png").save(root / name / f"copy{copy}-{number:03d}.tiff")
    read = folder.load(str(root), Data(check=False))
    names = splits.as_names(read, splits.draw(read, Data(check=False), seed=0))
    split_of = {name: split for split, part in names.items() for name in part}
    for name, number in itertools.product(("blue", "green", "red"), range(6)):
        expected = split_of[f"{name}/{number:03d}.png"]
        assert {split_of[f"{name}/copy{copy}-{number:03d}.tiff"] for copy in range(2)} == {expected}


def test_copies_are_known_where_the_source_does_not_know_its_images():
    """A dataset without infos: its images are decoded once to find what is equal."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    pixels[20:] = pixels[:20]
    pool = ImageSet(
        np.arange(40) % 2,
        [str(n) for n in range(40)],
        "pairs",
        lambda prepare, numbers: map(prepare, map(Image.fromarray, pixels[numbers])),
    )
    found = splits.draw(Dataset(["a", "b"], {"all": pool}, 1, 8), Data(check=False), seed=1)
    assert {len(split_names) for split_names in sides(found, list(range(20)) * 2).values()} == {1}


def test_data_seed_holds_the_split_while_seed_changes_the_rest():
    read = digits.load("", Data())

    def parts(*words):
        config = resolve(configs.load(None, list(words)), read)
        return splits.as_names(read, splits.Splits(read, config).subsets), config.data.seed

    assert parts("seed=1")[1] == 1
    assert parts("seed=1", "data.seed=5")[0] == parts("seed=2", "data.seed=5")[0] == parts("seed=5")[0]
    assert parts("seed=1")[0] != parts("seed=2")[0]
    for word in ("data.seed=-1", "data.seed=4294967296", "data.seed=1.5"):
        with pytest.raises(UserError, match=r"data\.seed"):
            configs.load(None, [word])


SIDE, COUNT = 64, 2000


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A split of 2,000 images, 25 MB, decoded into the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def images(prepare, numbers):
        for number in numbers.tolist():
            yield prepare(Image.new("RGB", (8, 8), (number % 256, number // 256, 7)))

    pool = ImageSet(np.arange(COUNT) % 2, [str(n) for n in range(COUNT)], "large", images)
    read = Dataset(["even", "odd"], {"all": pool}, 3, SIDE)
    config = resolve(configs.load(None, [f"model.resolution={SIDE}"]), read)
    found = splits.Splits(read, config)
    found.arrays("train")
    return found


def peak(run):
    """The most bytes that NumPy and Python hold at once while `run()` runs."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_training_evaluation_and_prediction_never_hold_the_split_in_memory(large):
    import keras

    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.GlobalAveragePooling2D()])
    whole = COUNT * SIDE * SIDE * 3
    step = 32 * SIDE * SIDE * 3

    def batches():
        samples = large.samples("train")
        samples = samples.take(balance.oversample(samples.annotations, seed=0))
        for _ in pipeline.training_batches(samples, one_hot(2), 32, 0, range(20)):
            pass

    assert peak(batches) < whole / 4
    evaluation = lambda: [None for _ in pipeline.evaluation_batches(large.samples("train"), one_hot(2))]  # noqa: E731
    assert peak(evaluation) < whole / 2  # three batches of 256 on their way
    assert peak(lambda: predict(model, large.arrays("train")[0], batch=32)) < 20 * step < whole


def test_a_view_is_the_images_in_the_order_asked_for(large):
    images, labels = large.arrays("test")
    part = large.subsets["test"].indices
    assert images.shape == (len(part), SIDE, SIDE, 3)
    for indices in (slice(3, 7), np.array([5, 2, 2]), slice(None)):
        np.testing.assert_array_equal(images[indices][:, 0, 0, 0], part[indices] % 256)
    assert images[4][0, 0].tolist() == [part[4] % 256, part[4] // 256, 7]
    np.testing.assert_array_equal(np.asarray(images), images[:])
    assert Counter(labels.tolist()) == {0: 200, 1: 200}


def test_the_seed_of_the_split_is_in_the_config_of_a_run():
    assert splits.seed(Config(seed=4)) == 4
    assert splits.seed(Config(seed=4, data=Data(seed=9))) == 9


def with_boxes(classes_of, names=None, contents=None):
    """A detection dataset of images with boxes of these classes, one list for each image."""
    rows = [[Box(label, (0, 0, 4 + n, 4)) for n, label in enumerate(labels)] for labels in classes_of]
    infos = [ImageInfo(digest=f"{content + 1:032x}") for content in contents or range(len(rows))]
    names = names or [f"{number}.jpg" for number in range(len(rows))]
    image_set = ImageSet(boxes.pack(rows), names, "all", lambda *_: iter(()), infos)
    count = 1 + max(label for labels in classes_of for label in labels)
    return Dataset([f"c{label}" for label in range(count)], {"all": image_set}, 3, 8, task="detect")


@pytest.mark.parametrize("data", [Data(), Data(val_images=6, test_images=11)], ids=["shares", "counts"])
def test_images_with_boxes_are_split_by_their_rarest_class(data):
    """Class 0 is never the rarest in an image; 1 stands in every third, 2 in every tenth, a fifth have no box."""
    random = np.random.default_rng(0)
    classes_of = [
        [0] * 3 + [1] * (n % 3 == 0) + [2] * (n % 10 == 0) if random.random() > 0.2 else [] for n in range(90)
    ]
    classes_of = [labels if set(labels) - {0} else [] for labels in classes_of]
    found = splits.draw(with_boxes(classes_of), data, 0)
    assert sorted(np.concatenate([part.indices for part in found.values()])) == list(range(90))
    share = {name: len(part.indices) / 90 for name, part in found.items()}
    for kind in (1, 2, None):
        members = [n for n, labels in enumerate(classes_of) if (max(labels) if labels else None) == kind]
        for name, part in found.items():
            assert len(np.intersect1d(part.indices, members)) == pytest.approx(share[name] * len(members), abs=1.5)
    if data.val_images:
        assert (len(found["val"].indices), len(found["test"].indices)) == (6, 11)


def test_a_class_counts_where_it_stands_not_where_it_is_the_rarest():
    classes_of = [[0, 1]] * 3 + [[0, 2]] * 3 + [[0, 0, 0]] * 2
    found = splits.draw(with_boxes(classes_of), Data(), 0)
    assert len(found["test"].indices) >= 1
    assert len(found["val"].indices) >= 1
    with pytest.raises(UserError, match=r"too few images in the data for c1 \(2\): every class needs at least 3"):
        splits.draw(with_boxes(classes_of[1:]), Data(), 0)


def test_a_single_image_without_boxes_is_drawn_with_the_others():
    for seed in range(5):
        found = splits.draw(with_boxes([[0]] * 6 + [[]]), Data(), seed)
        assert sum(len(part.indices) for part in found.values()) == 7


def test_copies_of_images_with_boxes_stay_on_one_side():
    classes_of = [[n % 2] for n in range(40)] + [[], []]
    contents = [n // 4 for n in range(40)] + [99, 99]
    for seed in range(5):
        found = splits.draw(with_boxes(classes_of, contents=contents), Data(), seed)
        assert {len(names) for names in sides(found, contents).values()} == {1}
        assert all(len(part.indices) for part in found.values())
    with pytest.raises(UserError, match="too few different images of 'c0': the others are copies"):
        splits.draw(with_boxes([[0]] * 9, contents=[1] * 5 + [2] * 4), Data(), 0)


def test_the_variants_that_roboflow_writes_stay_on_one_side():
    originals = [f"photo {n}_jpg" for n in range(20) for _ in range(3)]
    folders = itertools.cycle(["train/images", "train/images", "valid/images"])
    names = [
        f"{folder}/{name}.rf.{n:032x}.jpg" for n, (folder, name) in enumerate(zip(folders, originals, strict=False))
    ]
    found = splits.draw(with_boxes([[n % 2] for n in range(20) for _ in range(3)], names), Data(), 0)
    assert {len(split_names) for split_names in sides(found, originals).values()} == {1}
    assert {name: len(part.indices) % 3 for name, part in found.items()} == {"train": 0, "val": 0, "test": 0}


def test_groups_join_copies_and_variants():
    names = [
        "a.jpg",
        "b_jpg.rf.1.jpg",
        "cat/b_jpg.rf.2.jpg",
        "train/b_jpg.rf.3.jpg",
        "c.jpg",
        "x.rf.jpg",
        "val/b_jpg.rf.4.png",
    ]
    digests = np.array([[7, 0], [7, 1], [2, 9], [3, 9], [3, 9], [5, 9], [7, 0]], np.uint64)
    assert copies.group_copies(digests, names).tolist() == [0, 0, 2, 0, 0, 5, 0]
    assert copies.group_copies(digests).tolist() == [0, 1, 2, 3, 3, 5, 0]


def test_each_class_of_boxes_is_left_to_train_on():
    """Class 0 stands in three images, each the only one of a rarer class: they could all be held out."""
    classes_of = [[0, 1], [0, 2], [0, 3]] + [[4, label] for label in (1, 2, 3) for _ in range(2)] + [[4]] * 4
    for seed in range(60):
        found = splits.draw(with_boxes(classes_of), Data(test_fraction=0.5, val_fraction=0.5), seed)
        kept = {label for index in found["train"].indices for label in classes_of[index]}
        assert kept == {0, 1, 2, 3, 4}
        assert all(len(part.indices) for part in found.values())
    with pytest.raises(UserError, match=r"no image of .* is drawn to train on: raise data\.train_images"):
        splits.draw(with_boxes(classes_of), Data(train_images=2), 0)


def test_few_images_with_all_classes_are_split():
    for seed in range(20):
        found = splits.draw(with_boxes([[0, 1, 2], [1, 2, 0], [2, 0, 1]]), Data(), seed)
        assert [len(part.indices) for part in found.values()] == [1, 1, 1]
