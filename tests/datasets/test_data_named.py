"""The papers' datasets by name, without a network: tensorflow-datasets mocked, folders made here."""

import dataclasses
import hashlib
import json
from pathlib import Path

import box_trees
import numpy as np
import pytest
import tensorflow_datasets

from tinytrain.config import dataset_catalog
from tinytrain.config import load as configs
from tinytrain.config.schema import Data
from tinytrain.data import decoding, resizing, splits
from tinytrain.data.boxes import CROWD, DIFFICULT
from tinytrain.data.facts import ImageInfo
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.datasets import named, tfds
from tinytrain.errors import UserError
from tinytrain.train.resolve import resolve

ROWS = dataset_catalog.ROWS
THROUGH_TFDS = [name for name, row in ROWS.items() if row.tfds]
FOLDERS = [name for name, row in ROWS.items() if not row.tfds and not row.boxes]


@pytest.fixture
def any_count(monkeypatch):
    """Mocked datasets have another number of images than the real ones."""
    for name, row in ROWS.items():
        monkeypatch.setitem(ROWS, name, dataclasses.replace(row, images={}))


def spec_of(name, tmp_path):
    if not ROWS[name].subset:
        return name
    names = tensorflow_datasets.builder(ROWS[name].tfds).info.features["label"].names
    (tmp_path / "list.txt").write_text("\n".join(names[5:905:9]))
    return f"{name}:{tmp_path / 'list.txt'}"


@pytest.mark.parametrize("name", THROUGH_TFDS)
def test_every_dataset_by_name(name, tmp_path, any_count):
    row = ROWS[name]
    with tensorflow_datasets.testing.mock_data(num_examples=40):
        source = named.load(spec_of(name, tmp_path), Data())
        pool = source.image_sets["train"]
        images = list(pool.images(lambda image: resizing.prepare(image, 8, source.channels, "stretch")[0]))
    assert len(source.classes) == row.classes
    assert row.without not in source.classes
    assert set(source.image_sets) <= set(row.splits)
    assert len(images) == len(pool.annotations) == len(pool.names) == len(set(pool.names))
    assert all(image.shape == (8, 8, source.channels) for image in images)
    assert 0 <= pool.annotations.min() <= pool.annotations.max() < row.classes
    assert (source.split, source.paper) == (row.split, row.paper)


def test_a_class_left_out_takes_its_images_along(any_count):
    with tensorflow_datasets.testing.mock_data(num_examples=600):
        whole, ours = tfds.load("caltech101", Data()), named.load("caltech101", Data())
        first = next(whole.image_sets["train"].images(np.asarray))
        ours_first = next(ours.image_sets["train"].images(np.asarray))
    theirs = [whole.classes[label] for label in whole.image_sets["train"].annotations]
    kept = [name for name in theirs if name != "background_google"]
    assert len(kept) < len(theirs)
    assert [ours.classes[label] for label in ours.image_sets["train"].annotations] == kept
    if theirs[0] != "background_google":
        np.testing.assert_array_equal(first, ours_first)


def test_a_dataset_that_is_not_whole_is_refused():
    with (
        tensorflow_datasets.testing.mock_data(num_examples=12),
        pytest.raises(
            UserError, match="not the whole of 'cifar10': images in train 12 instead of 50,000, test 12 inst"
        ),
    ):
        named.load("cifar10", Data())


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_with_other_classes_is_refused(name, image_folder):
    root = image_folder()
    with pytest.raises(UserError, match=rf"'{name}' has {ROWS[name].classes:,} classes, 3 were found"):
        named.load(f"{name}:{root}", Data())
    with pytest.raises(UserError, match=rf"data.spec={name}:PATH"):
        named.load(name, Data())


def test_a_folder_with_its_classes_is_taken(image_folder):
    root = image_folder(classes=("no_person", "person"))
    assert named.load(f"visual_wake_words:{root}", Data()).classes == ["no_person", "person"]
    many = image_folder("birds", classes=[f"bird{n:03d}" for n in range(500)], count=3, size=(2, 2))
    assert len(named.load(f"birdsnap:{many}", Data()).image_sets["all"].annotations) == 1500


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot read the class list"),
        ("n01440764\nn01440764\n", "names 1 different classes in 2 lines: imagenet100 needs 100"),
        ("\n".join(f"n{n}" for n in range(100)), "has no class n0, n1"),
    ],
)
def test_a_class_list_that_is_none_is_refused(tmp_path, text, sentence):
    if text:
        (tmp_path / "list").write_text(text)
    with tensorflow_datasets.testing.mock_data(num_examples=12), pytest.raises(UserError) as error:
        named.load(f"imagenet100:{tmp_path / 'list'}", Data())
    assert sentence in str(error.value)


def test_a_name_is_a_word_of_a_config():
    assert configs.parse_spec("cifar10") == ("named", "cifar10")
    assert configs.parse_spec("birdsnap:a:b") == ("named", "birdsnap:a:b")
    assert configs.parse_spec("tfds:cifar10") == ("tfds", "cifar10")
    with pytest.raises(UserError, match="did you mean 'cifar100'"):
        configs.load(None, ["data.spec=cifar1000"])


def test_what_is_not_there_and_cannot_be_brought_is_one_sentence(command_line, tmp_path, monkeypatch):
    def no_network(*_):
        raise OSError

    monkeypatch.setattr(tensorflow_datasets.core.DatasetBuilder, "download_and_prepare", no_network)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    status, _, stderr = command_line("fit", "data.spec=cifar10")
    assert status == 2
    assert "could not be downloaded (OSError)" in stderr
    assert stderr.count("\n") == 1


def test_what_must_be_downloaded_by_hand_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError, match=r"'tfds:imagenet2012' is not in .* by hand: .*imagenet2012 .*downloads/manual"):
        named.load("imagenet2012", Data())


def source_of(counts, classes, **hints):
    """Returns a source with so many images in each official split, whose classes differ in size."""
    random = np.random.default_rng(0)
    share = random.uniform(1, 2, classes)
    pools = {}
    for name, count in counts.items():
        labels = np.concatenate([np.arange(classes), random.choice(classes, count - classes, p=share / share.sum())])
        names = [f"{name}-{n}" for n in range(count)]
        infos = [ImageInfo(digest=hashlib.md5(text.encode()).hexdigest()) for text in names]
        pools[name] = ImageSet(labels, names, name, lambda *_: iter(()), infos)
    return Dataset([str(n) for n in range(classes)], pools, channels=3, side=0, **hints)


def sizes(source, data, seed=0):
    source = splits.arrange(source, data.split)
    parts = splits.draw(source, data, seed)
    names = splits.as_names(source, parts)
    everything = [name for part in names.values() for name in part]
    assert len(everything) == len(set(everything)) == sum(len(pool.names) for pool in source.image_sets.values())
    return {name: len(part.indices) for name, part in parts.items()}


@pytest.mark.parametrize(
    ("name", "train_images", "test_images"),  # Table 1, methods.md C.10; tensorflow-datasets lacks 1 image of SUN397
    [("dtd", 4826, 814), ("oxford_flowers102", 6614, 1575), ("caltech101", 6941, 1736), ("sun397", 92_439, 16_314)],
)
def test_the_papers_own_splits(name, train_images, test_images):
    row = ROWS[name]
    source = source_of(row.images, row.classes, paper=row.paper)
    counts = sizes(source, Data(split="paper"))
    assert (counts["train"] + counts["val"], counts["test"]) == (train_images, test_images)


@pytest.mark.parametrize(
    ("name", "counts"),  # the same table: what the papers take as it comes
    [
        ("oxford_iiit_pet", (3680, 3669)),
        ("cars196", (8144, 8041)),
        ("cifar100", (50_000, 10_000)),
        ("fashion_mnist", (60_000, 10_000)),
        ("svhn", (73_257, 26_032)),
        ("food101", (75_750, 25_250)),
    ],
)
def test_the_official_splits_have_the_papers_counts(name, counts):
    assert (ROWS[name].images["train"], ROWS[name].images["test"]) == counts
    assert ROWS[name].split == "official"


def test_forty_thousand_and_ten_thousand_of_cifar100():
    source = source_of(ROWS["cifar100"].images, 100)
    assert sizes(source, Data(val_images=10_000)) == {"train": 40_000, "val": 10_000, "test": 10_000}


def test_flowers_with_its_val_images_in_train():
    row = ROWS["oxford_flowers102"]
    counts = sizes(source_of(row.images, row.classes), Data(split="trainval"))
    assert (counts["train"] + counts["val"], counts["test"]) == (2040, 6149)


def test_a_random_split_joins_what_was_official_and_depends_on_the_seed():
    source = source_of({"train": 300, "val": 30, "test": 70}, 10)
    assert sizes(source, Data(split="random", test_images=50, val_images=40)) == {"train": 310, "val": 40, "test": 50}
    joined = splits.arrange(source, "random")
    parts = [splits.draw(joined, Data(), seed)["test"].indices.tolist() for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]
    labels = joined.image_sets["all"].annotations
    shares = np.bincount(labels[parts[0]], minlength=10) / np.bincount(labels, minlength=10)
    assert abs(shares - 0.2).max() < 0.03


def test_a_joined_pool_serves_the_images_of_all(image_folder):
    for split, count in (("train", 6), ("test", 4)):
        root = image_folder(f"images/{split}", count=count).parent
    config = configs.load(None, [f"data.spec=folder:{root}", "data.split=random", "model.resolution=16"])
    source = load_dataset(config)
    config = resolve(config, source)
    data = splits.Splits(source, config)
    assert config.data.split == "random"
    total = {name: data.arrays(name)[0] for name in data.subsets}
    assert sum(map(len, total.values())) == 30
    names = splits.as_names(source, data.subsets)
    assert {name.partition("/")[0] for part in names.values() for name in part} == {"train", "test"}
    json.dumps(names)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (Data(split="paper"), "the papers use the official split"),
        (Data(split="random", test_images=7), "cannot hold out 7 images for test: expected 10 to 390"),
        (Data(split="random", test_images=391), "expected 10 to 390"),
    ],
)
def test_a_split_that_cannot_be_is_refused(data, sentence):
    with pytest.raises(UserError) as error:
        sizes(source_of({"train": 330, "test": 70}, 10), data)
    assert sentence in str(error.value)


class Written(tensorflow_datasets.core.GeneratorBasedBuilder):
    """Three classes, written to the disk as tensorflow-datasets does; the test labels are unknown, as ImageNet's."""

    pkg_dir_path = Path(__file__).parent
    VERSION = tensorflow_datasets.core.Version("1.0.0")
    PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)

    def _info(self):
        features = {
            "image": tensorflow_datasets.features.Image(encoding_format="png"),
            "label": tensorflow_datasets.features.ClassLabel(names=["cat", "dog", "junk"]),
            "other": tensorflow_datasets.features.Text(),
        }
        features = tensorflow_datasets.features.FeaturesDict(features)
        return tensorflow_datasets.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(12)), "test": self._generate_examples(range(2), -1)}

    def _generate_examples(self, numbers, label=None):
        for n in numbers:
            yield n, {"image": self.PIXELS[n], "label": n % 3 if label is None else label, "other": "text"}


def test_a_dataset_on_the_disk_gives_the_images_of_the_chosen_classes(tmp_path, monkeypatch):
    builder = Written(data_dir=tmp_path)
    builder.download_and_prepare()
    monkeypatch.setattr(tfds, "_builder", lambda *_: builder)
    source = tfds.load_parts("written", without="junk")
    pool = source.image_sets["train"]
    assert (source.classes, sorted(source.image_sets)) == (["cat", "dog"], ["train"])
    found = list(pool.images(np.asarray))
    assert len(found) == len(pool.annotations) == 8
    for image, label in zip(found, pool.annotations, strict=True):
        number = next(n for n in range(12) if np.array_equal(Written.PIXELS[n], image))
        assert number % 3 == label
    assert (
        tfds.load_parts("written", only=["dog", "cat"]).image_sets["train"].annotations.tolist()
        == (1 - pool.annotations).tolist()
    )
    assert len(tfds.load_parts("written").image_sets["train"].annotations) == 12
    with pytest.raises(UserError, match=r"has no val split \(it has "):
        tfds.load_parts("written", {"train": "train", "val": "val"})


def test_a_dataset_on_the_disk_is_decoded_into_shards_like_files(tmp_path, monkeypatch):
    """Some of its images alone, too; and its labels are read once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(decoding, "SHARD_IMAGES", 3)
    builder = Written(data_dir=tmp_path)
    builder.download_and_prepare()
    monkeypatch.setattr(tfds, "_builder", lambda *_: builder)
    first = tfds.load_parts("written", without="junk").image_sets["train"]
    whole = [resizing.prepare(image, 4, 3, "crop")[0] for image in first.images()]
    with monkeypatch.context() as patched:
        patched.setattr(builder, "as_dataset", lambda **_: pytest.fail("read again"))
        pool = tfds.load_parts("written", without="junk").image_sets["train"]
    assert (pool.annotations.tolist(), pool.names) == (first.annotations.tolist(), first.names)
    images, _ = decoding.decode(pool, 4, 3, "crop")
    np.testing.assert_array_equal(images[:], whole)
    some = np.array([1, 2, 6])
    np.testing.assert_array_equal(decoding.decode(pool, 4, 3, "crop", some)[0][:], np.array(whole)[some])
    larger = decoding.decode_larger(pool, 100, 3)[np.arange(8)]  # as they are
    for image, pixels in zip(pool.images(), larger, strict=True):
        np.testing.assert_array_equal(pixels, np.asarray(image))


PIXELS = np.random.default_rng(1).integers(0, 256, (4, 32, 40, 3), dtype=np.uint8)
OBJECTS = ([], [(1, 5, 6, 20, 30)], [(0, 1, 1, 40, 32), (1, 3, 3, 9, 9), (1, 3, 3, 9, 9)], [(0, 2, 2, 2, 8)])


class _WithBoxes(tensorflow_datasets.core.GeneratorBasedBuilder):
    """Four images, their boxes divided by the size as tensorflow-datasets does it."""

    pkg_dir_path = Path(__file__).parent
    VERSION = tensorflow_datasets.core.Version("1.0.0")

    def _info(self):
        features = tensorflow_datasets.features
        kinds = {"label": features.ClassLabel(names=["cat", "dog"]), "bbox": features.BBoxFeature()} | self.MORE
        image = features.Image(encoding_format="png")
        return tensorflow_datasets.core.DatasetInfo(
            builder=self,
            features=features.FeaturesDict({"image": image, "objects": features.Sequence(kinds)}),
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples() for name in ("train", "validation", "test")}

    def _generate_examples(self):
        for number, boxes in enumerate(OBJECTS):
            objects = [
                {"label": label, "bbox": tensorflow_datasets.features.BBox(y0 / 32, x0 / 40, y1 / 32, x1 / 40)}
                | self.values(index)
                for index, (label, x0, y0, x1, y1) in enumerate(boxes)
            ]
            yield number, {"image": PIXELS[number], "objects": objects}


class Voc(_WithBoxes):
    MORE = {"is_difficult": np.bool_}  # noqa: RUF012

    def values(self, index):
        return {"is_difficult": index > 0}


class Coco(_WithBoxes):
    MORE = {"is_crowd": np.bool_, "area": np.int64}  # noqa: RUF012

    def values(self, index):
        return {"is_crowd": index > 0, "area": 7}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """voc0712 and coco2017 are read from datasets that are written here, as tensorflow-datasets writes them."""
    builders = {"voc": Voc(data_dir=tmp_path), "coco": Coco(data_dir=tmp_path)}
    for builder in builders.values():
        builder.download_and_prepare()
    monkeypatch.setattr(tfds, "_builder", lambda _, name: builders[name.partition("/")[0]])
    for name in ("voc0712", "coco2017"):
        monkeypatch.setitem(ROWS, name, dataclasses.replace(ROWS[name], classes=2, images={}))


def by_pixels(pool):
    """Returns {number of an image in PIXELS: its boxes}; also checks that the images come in order."""
    numbers = [next(n for n in range(4) if np.array_equal(PIXELS[n], image)) for image in pool.images(np.asarray)]
    assert len(numbers) == len(pool.names) == len(set(pool.names))
    return {n: rows[rows[:, 0] >= 0].tolist() for n, rows in zip(numbers, pool.annotations, strict=True)}


def test_boxes_of_voc_lie_where_its_pixels_do(written):
    """tensorflow-datasets has xmin / width for a first pixel that VOC calls 1; ours begins at xmin - 1."""
    source = named.load("voc0712", Data())
    assert (source.task, source.classes, source.split) == ("detect", ["cat", "dog"], "trainval")
    assert {name: len(pool.names) for name, pool in source.image_sets.items()} == {"train": 8, "val": 8, "test": 4}
    assert by_pixels(source.image_sets["test"]) == {
        0: [],
        1: [[1, 4, 5, 20, 30, 0, 16 * 25]],
        2: [[0, 0, 0, 40, 32, 0, 40 * 32], [1, 2, 2, 9, 9, DIFFICULT, 49]],
        3: [[0, 1, 1, 2, 8, 0, 7]],
    }
    assert len(box_trees.kinds(source)["same box"]) == 5
    joined = splits.arrange(source, "auto")
    assert {name: len(pool.names) for name, pool in joined.image_sets.items()} == {"train": 16, "test": 4}
    assert len(joined.image_sets["train"].written_at) == 16


def test_boxes_of_coco_with_crowds_and_areas(written):
    source = named.load("coco2017", Data())
    assert {name: pool.names[0] for name, pool in source.image_sets.items()} == {
        "train": "coco-1.0.0-train-000000",
        "test": "coco-1.0.0-validation-000000",
    }
    assert by_pixels(source.image_sets["test"])[2] == [[0, 1, 1, 40, 32, 0, 7], [1, 3, 3, 9, 9, CROWD, 7]]
    assert len(box_trees.kinds(source)["no area"]) == 2
    assert {name: len(part.names) for name, part in tfds.load("coco/2017", Data()).image_sets.items()} == {
        "train": 4,
        "val": 4,
        "test": 4,
    }


def test_the_counts_of_datasets_with_boxes_are_those_of_their_authors():
    """VOC: 2007 has 2,501 + 2,510 and 4,952 images, 2012 has 5,717 + 5,823; together 16,551 to train on."""
    assert ROWS["voc0712"].images == {"train": 2_501 + 5_717, "val": 2_510 + 5_823, "test": 4_952}
    assert ROWS["voc0712"].images["train"] + ROWS["voc0712"].images["val"] == 16_551
    assert ROWS["coco2017"].images == {"train": 118_287, "test": 5_000}


def test_the_files_of_a_dataset_with_boxes_are_checked_too(tmp_path, monkeypatch):
    box_trees.write_pictures(tmp_path / "images")
    for split in ("train2017", "val2017"):
        box_trees.write_coco(tmp_path, name=f"annotations/instances_{split}.json")
    with pytest.raises(
        UserError, match="'coco2017' has 80 classes, 2 were found: name the folder that holds the coco files"
    ):
        named.load(f"coco2017:{tmp_path}", Data())
    monkeypatch.setitem(ROWS, "coco2017", dataclasses.replace(ROWS["coco2017"], classes=2))
    with pytest.raises(
        UserError, match="not the whole of 'coco2017': images in train 3 instead of 118,287, test 3 ins"
    ):
        named.load(f"coco2017:{tmp_path}", Data())
    monkeypatch.setitem(ROWS, "coco2017", dataclasses.replace(ROWS["coco2017"], classes=2, images={}))
    assert set(named.load(f"coco2017:{tmp_path}", Data()).image_sets) == {"train", "test"}
