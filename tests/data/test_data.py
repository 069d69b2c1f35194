"""Folders, splits and batches, against Pillow and by hand."""

from collections import Counter

import numpy as np
import pytest
from encoding import one_hot
from PIL import Image

from tinytrain.config.schema import Config, Data
from tinytrain.data import batches as pipeline
from tinytrain.data import decoding, resizing, shuffled, splits
from tinytrain.data.images import Samples
from tinytrain.data.load import load_dataset
from tinytrain.datasets import digits, folder, tfds
from tinytrain.errors import UserError
from tinytrain.train.resolve import resolve


def test_a_folder_gives_its_images_in_order(image_folder):
    root = image_folder(count=3)
    source = folder.load(str(root), Data())
    pool = source.image_sets["all"]
    assert source.classes == ["blue", "green", "red"]
    assert pool.names[:4] == ["blue/000.png", "blue/001.png", "blue/002.png", "green/000.png"]
    assert pool.annotations.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    arrays = list(pool.images(lambda image: np.asarray(image)))
    np.testing.assert_array_equal(arrays[3], np.asarray(Image.open(root / "green/000.png")))
    assert (source.side, source.channels) == (16, 3)


def test_official_splits_are_kept(image_folder):
    for split, count in (("train", 10), ("valid", 3), ("test", 4)):
        image_folder(f"images/{split}", count=count)
    source = folder.load(str(image_folder("images/test", count=4).parent), Data())
    parts = splits.draw(source, Data(), seed=0)
    assert {name: (part.image_set, len(part.indices)) for name, part in parts.items()} == {
        "train": ("train", 30),
        "val": ("val", 9),
        "test": ("test", 12),
    }


def test_bad_files_are_all_listed_at_once_or_skipped(image_folder):
    root = image_folder()
    (root / "red/words.png").write_text("no image")
    (root / "blue/empty.png").touch()
    whole = (root / "green/000.png").read_bytes()
    (root / "green/cut.png").write_bytes(whole[: len(whole) // 2])
    spec = f"folder:{root}"
    with pytest.raises(UserError) as error:
        load_dataset(Config(data=Data(spec=spec)))
    assert "3 of 39 files" in str(error.value)
    for name in ("words.png: not an image in a supported format (JPEG", "empty.png: empty file", "cut.png: damaged"):
        assert name in str(error.value)
    assert "data.skip_bad=true" in str(error.value)
    assert len(load_dataset(Config(data=Data(spec=spec, skip_bad=True))).image_sets["all"].annotations) == 36


def test_images_of_several_sizes_are_padded_unless_data_resize_says_how(image_folder):
    image_folder(classes=("red",))
    root = image_folder(classes=("blue",), size=(20, 16))
    source = folder.load(str(root), Data())
    assert (source.side, source.resize) == (0, "pad")
    asked = [Config(data=Data(spec=f"folder:{root}", resize=how)) for how in ("auto", "crop")]
    assert [resolve(config, source).data.resize for config in asked] == ["pad", "crop"]


@pytest.mark.parametrize(
    ("first", "other", "channels"),
    [("RGB", "L", 3), ("RGB", "RGBA", 3), ("RGB", "P", 3), ("L", "LA", 1), ("L", "1", 1), ("LA", "LA", 1)],
)
def test_the_network_sees_color_if_any_image_is(image_folder, first, other, channels):
    image_folder(classes=("red",), mode=first)
    source = folder.load(str(image_folder(classes=("blue",), mode=other)), Data())
    assert source.channels == channels
    assert resolve(Config(), source).model.channels == channels


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda root: None, "no folder"),
        (lambda root: root.write_text(""), "is a file"),
        (lambda root: root.mkdir(), "fewer than two class folders (none)"),
        (lambda root: (root / "cat").mkdir(parents=True), "fewer than two class folders (cat)"),
        (lambda root: [(root / name).mkdir(parents=True) for name in ("cat", "dog")], "none of its 0 files"),
        (lambda root: [(root / f"train/{n}").mkdir(parents=True) for n in "ab"] + [(root / "junk").mkdir()], "junk"),
        (
            lambda root: [(root / name).mkdir(parents=True) for name in ("train/a", "train/b", "test/a")],
            "/test/b': every split needs every class",
        ),
    ],
)
def test_a_folder_that_cannot_be_trained_on_is_refused_in_one_sentence(tmp_path, make, sentence):
    make(tmp_path / "images")
    with pytest.raises(UserError) as error:
        folder.load(str(tmp_path / "images"), Data())
    assert sentence in str(error.value)


def test_a_class_with_one_image_is_named(image_folder):
    image_folder(classes=("red", "blue"))
    source = folder.load(str(image_folder(classes=("lonely",), count=1)), Data())
    with pytest.raises(UserError, match=r"lonely \(1\): every class needs at least 3"):
        splits.draw(source, Data(), seed=0)


def test_the_split_is_stratified_seeded_and_disjoint():
    source = digits.load("", Data())
    first, again, other = (splits.draw(source, Data(), seed) for seed in (1, 1, 2))
    labels = source.image_sets["all"].annotations
    everything = np.concatenate([part.indices for part in first.values()])
    assert sorted(everything) == list(range(1797))
    for name, share in (("test", 0.2), ("val", 0.8 * 0.1)):
        for digit in range(10):
            expected = share * (labels == digit).sum()
            assert abs((labels[first[name].indices] == digit).sum() - expected) <= 1
    for name in first:
        np.testing.assert_array_equal(first[name].indices, again[name].indices)
        assert not np.array_equal(first[name].indices, other[name].indices)


def test_a_shuffled_split_is_the_start_of_a_random_order_whatever_the_class():
    """Digits have 1,797 images, none twice: 20 % for test, then 300 for val, classes as chance has it."""
    source = splits.arrange(digits.load("", Data()), "shuffled")
    first, again, other = (splits.draw(source, Data(val_images=300), seed) for seed in (1, 1, 2))
    labels = source.image_sets["all"].annotations
    order = np.random.default_rng([1, 1797]).permutation(1797)
    np.testing.assert_array_equal(first["test"].indices, np.sort(order[:359]))
    assert [len(first[name].indices) for name in ("train", "val", "test")] == [1138, 300, 359]
    assert sorted(np.concatenate([part.indices for part in first.values()])) == list(range(1797))
    counts = np.array([np.bincount(labels[splits.draw(source, Data(), seed)["test"].indices]) for seed in range(20)])
    # hypergeometric: of 359 among 1797 each tenth has a deviation of √(359·0.1·0.9·0.8) = 5.1
    assert 4 < counts.std() < 6.5
    for name in first:
        np.testing.assert_array_equal(first[name].indices, again[name].indices)
        assert not np.array_equal(first[name].indices, other[name].indices)


def test_a_shuffled_split_keeps_copies_together_and_names_what_cannot_be_drawn():
    units = np.array([0, 1, 2, 2, 2, 5, 6, 6, 8, 9])
    for seed in range(30):
        kept, held = shuffled.hold_out(np.arange(10), units, 4, seed, "val")
        assert not set(units[kept]) & set(units[held])
        assert 3 <= len(held) <= 4
    with pytest.raises(UserError, match="cannot hold out 10 images for val: expected 1 to 9, so that one is left"):
        shuffled.hold_out(np.arange(10), units, 10, 0, "val")


def test_a_shuffled_split_without_a_class_to_train_on_is_refused(image_folder):
    source = folder.load(str(image_folder(classes=("red", "blue", "green"), count=3)), Data())
    source = splits.arrange(source, "shuffled")
    with pytest.raises(UserError, match=r"no image of \w+, \w+ is drawn to train on"):
        splits.draw(source, Data(train_images=1), 0)


def test_train_images_keeps_so_many_of_what_is_left_and_moves_nothing_else():
    source = digits.load("", Data())
    whole, part = (splits.draw(source, Data(train_images=count), 3) for count in (0, 200))
    chosen = part["train"].indices
    assert len(chosen) == 200
    assert set(chosen) < set(whole["train"].indices)
    for name in ("val", "test"):
        np.testing.assert_array_equal(part[name].indices, whole[name].indices)
    counts = np.bincount(source.image_sets["all"].annotations[chosen])
    assert counts.min() >= 19  # there are 174 to 183 images of a digit
    assert counts.max() <= 21
    more = splits.draw(source, Data(train_images=5000), 3)
    np.testing.assert_array_equal(more["train"].indices, whole["train"].indices)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_prepare_is_pillow(resize):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8))
    box = {"stretch": None, "crop": (10, 0, 40, 30), "pad": None}[resize]
    ours, _ = resizing.prepare(image, 24, 3, resize)
    if resize == "pad":
        assert (ours[:4] == 0).all()
        assert (ours[-4:] == 0).all()
        np.testing.assert_array_equal(ours[5:19], np.asarray(image.resize((24, 14), Image.Resampling.BILINEAR)))
    else:
        np.testing.assert_array_equal(ours, np.asarray(image.resize((24, 24), Image.Resampling.BILINEAR, box)))


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (301, 211), (240, 240)])
def test_the_transform_of_an_image_leads_to_where_a_place_in_it_is_found(size, resize):
    """A bright spot at known pixels of the source is looked for in the result."""
    width, height = size
    x, y = width // 2 + 31, height // 2 - 43
    pixels = np.zeros((height, width), np.uint8)
    pixels[y - 10 : y + 10, x - 10 : x + 10] = 255
    result, transform = resizing.prepare(Image.fromarray(pixels), 96, 1, resize)
    weights = result[..., 0].astype(float)
    rows, columns = np.arange(96) + 0.5, np.arange(96) + 0.5
    found = (weights.sum(axis=0) @ columns / weights.sum(), weights.sum(axis=1) @ rows / weights.sum())
    expected = (transform.scale_x * x + transform.offset_x, transform.scale_y * y + transform.offset_y)
    assert found == pytest.approx(expected, abs=0.1)


def test_batches_hand_the_transforms_of_their_images_to_the_task():
    images = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    rows = np.arange(20)[:, None] * np.ones((1, 4), np.float32)
    samples = Samples(images, np.arange(20), rows.astype(np.float32))
    for x, (labels, transforms) in pipeline.training_batches(samples, lambda *both: both, 5, 0, range(4)):
        numbers = x.numpy()[:, 0, 0, 0] * 128 + 128
        np.testing.assert_array_equal(labels, numbers)
        np.testing.assert_array_equal(transforms, numbers[:, None] * np.ones((1, 4)))


def test_sixteen_bit_gray_is_scaled_not_clipped():
    image = Image.fromarray(np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16))
    np.testing.assert_array_equal(resizing.prepare(image, 2, 1, "stretch")[0][..., 0], [[0, 100], [200, 255]])


def test_normalized_pixels_are_int8_over_128():
    pixels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(pipeline.normalize(pixels).numpy() * 128, pixels.astype(int) - 128)


def batches(steps, seed=0, count=50, batch=8):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    data = pipeline.training_batches(Samples.of(images, np.arange(count) % 5), one_hot(5), batch, seed, steps)
    return [((x.numpy()[:, 0, 0, 0] * 128 + 128).astype(int), y.numpy()) for x, y in data]


def test_an_epoch_shows_every_image_at_most_once_with_its_label():
    epoch = batches(range(0, 6))  # 50 // 8 = 6 whole batches
    seen = Counter(np.concatenate([numbers for numbers, _ in epoch]).tolist())
    assert len(seen) == 48
    assert set(seen.values()) == {1}
    for numbers, y in epoch:
        np.testing.assert_array_equal(y.argmax(1), numbers % 5)
        np.testing.assert_array_equal(y.sum(1), 1)


def test_a_batch_depends_on_seed_and_step_only():
    whole, tail, other = batches(range(0, 18)), batches(range(11, 18)), batches(range(0, 18), seed=1)
    for (a, _), (b, _) in zip(whole[11:], tail, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for (a, _), (b, _) in zip(whole, other, strict=True))
    assert not np.array_equal(np.concatenate([a for a, _ in whole[:6]]), np.concatenate([a for a, _ in whole[6:12]]))


def test_evaluation_batches_hold_everything_in_order():
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    data = pipeline.evaluation_batches(Samples.of(images, np.arange(20) % 3), one_hot(3), batch=8)
    x = np.concatenate([x for x, _ in data])
    np.testing.assert_array_equal(x, pipeline.normalize(images).numpy())
    assert len(data) == 3


def test_tfds_keeps_the_official_splits(tmp_path):
    import tensorflow_datasets

    with tensorflow_datasets.testing.mock_data(num_examples=12):
        source = tfds.load("cifar10", Data())
        images, _ = decoding.decode(source.image_sets["test"], 16, 3, "stretch")
    assert sorted(source.image_sets) == ["test", "train"]
    assert (len(source.classes), source.side, images.shape) == (10, 32, (12, 16, 16, 3))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cifar11", "is not a dataset of tensorflow-datasets; did you mean 'cifar1"),
        ("cifar10/nothing", "has no such configuration"),
        ("ag_news_subset", "not an image classification dataset"),
    ],
)
def test_a_tfds_mistake_is_named(name, sentence):
    with pytest.raises(UserError) as error:
        tfds.load(name, Data())
    assert sentence in str(error.value)


def test_a_tfds_dataset_that_cannot_be_downloaded_says_where_it_belongs(tmp_path, monkeypatch):
    import tensorflow_datasets

    monkeypatch.setattr(
        tensorflow_datasets.core.DatasetBuilder, "download_and_prepare", lambda *_: (_ for _ in ()).throw(OSError())
    )
    with pytest.raises(UserError, match=r"'tfds:cifar10' is not in .* and could not be downloaded \(OSError\)"):
        tfds.load("cifar10", Data())


def test_no_thread_tunes_a_pipeline_whose_parallelism_is_fixed():
    """Who is done with an iterator waits for that thread, which sleeps up to a minute (benchmarks/train_end.py)."""
    samples = Samples.of(np.zeros((8, 4, 4, 1), np.uint8), np.arange(8) % 2)
    pipelines = (
        pipeline.training_batches(samples, one_hot(2), 4, 0, range(2)),
        pipeline.evaluation_batches(samples, one_hot(2)),
    )
    assert [data.take(1).options().autotune.enabled for data in pipelines] == [False, False]
