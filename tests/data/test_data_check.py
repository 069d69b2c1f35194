"""The check of the data, on folders with a known fault each."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow_datasets
from PIL import Image

from tinytrain import progress
from tinytrain.config.schema import Config, Data
from tinytrain.data import boxes, check, image_files, reading, splits
from tinytrain.data.file_table import FileTable
from tinytrain.data.load import read_dataset
from tinytrain.data.source import Dataset, ImageSet
from tinytrain.datasets import digits, folder, tfds
from tinytrain.run import Run


def findings(root, **asked):
    config = Config(data=Data(spec=f"folder:{root}", **asked))
    source = read_dataset(config)
    return {finding.kind: finding for finding in check.findings(source, splits.draw(source, config.data, 0), config)}


@pytest.fixture
def official(image_folder):
    """Returns a folder with train, val and test in which nothing is wrong."""
    random = np.random.default_rng(1)
    for split, count in (("train", 12), ("val", 34), ("test", 3)):
        root = image_folder(f"images/{split}", count=count).parent
        for path in (root / split).rglob("*.png"):
            Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    return root


def test_nothing_is_found_where_nothing_is_wrong(official):
    assert findings(official) == {}


def test_the_size_that_all_images_share_is_told(official):
    def size():
        config = Config(data=Data(spec=f"folder:{official}"))
        source = read_dataset(config)
        return check.common_size(source, splits.draw(source, config.data, 0))

    assert size() == (16, 16)
    Image.new("RGB", (17, 16)).save(official / "val/red/wider.png")
    assert size() is None


def test_names_that_differ_only_in_capital_letters_are_told(official):
    for split in ("train", "val", "test"):
        shutil.copytree(official / split / "red", official / split / "Red")
    found = findings(official)["similar names"]
    assert (found.files, found.severe) == (("Red = red",), False)
    assert found.what == "2 classes whose names differ only in capital letters"


@pytest.mark.parametrize(("count", "is_told"), [(99, True), (100, False)])
def test_a_val_split_that_tells_no_epochs_apart_is_told(count, is_told):
    """Of images, and of boxes: a few images can hold enough of them, and many images too few."""
    labels = np.arange(count) % 2
    rows = boxes.pack([[boxes.Box(0, (1, 1, 9, 9))] * count, [boxes.Box(0, (1, 1, 9, 9), boxes.CROWD)] * 200])
    for task, annotations in (("classify", labels), ("detect", rows)):
        image_set = ImageSet(annotations, [], "", iter)
        source = Dataset(["a", "b"], {"val": image_set}, channels=3, side=8, task=task)
        told = check._small_val(source, {"val": splits.Subset("val", np.arange(len(annotations)))})
        assert [finding.kind for finding in told] == ["small val"] * is_told
        assert all("uncertain by 10 points" in finding.what for finding in told)


def rows_changed(**values):
    """Returns what writes a value into a field of all rows of a scan-*.npy or facts-*.npy."""

    def damage(path):
        rows = np.load(path)
        for name, value in values.items():
            rows[name] = value
        np.save(path, rows)

    return damage


DAMAGES = {
    "empty": lambda path: path.write_text(""),
    "text": lambda path: path.write_text("[1, 2]"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "an archive": lambda path: np.savez(path.open("wb"), rows=np.zeros(6)),
    "objects": lambda path: np.save(path, np.array([{}], object), allow_pickle=True),
    "numbers": lambda path: np.save(path, np.arange(6)),
    "other fields": lambda path: np.save(path, np.load(path)[["size", "digest"]]),
    "no rows": lambda path: np.save(path, np.load(path)[:0]),
    "a table of two dimensions": lambda path: np.save(path, np.load(path)[None]),
    "no digests": rows_changed(digest=b""),
    "no number": rows_changed(mean=np.nan),
    "no orientation": rows_changed(orientation=9),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_was_read_is_read_again_where_its_cache_is_damaged(image_folder, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    table = FileTable.of(sorted(image_folder(count=2).rglob("*.png")), tmp_path / "images")
    expected = list(image_files.scan(table))
    (store,) = (tmp_path / "cache/tinytrain").glob("scan-*.npy")
    written = store.read_bytes()
    damage(store)
    assert list(image_files.scan(table)) == expected
    assert store.read_bytes() == written
    pool = dataclasses.replace(folder.load(str(tmp_path / "images"), Data()).image_sets["all"], infos=None)
    assert check.infos(pool) == [one.info for one in expected]
    (store,) = (tmp_path / "cache/tinytrain").glob("facts-*.npy")
    written = store.read_bytes()
    damage(store)
    assert check.infos(pool) == [one.info for one in expected]
    assert store.read_bytes() == written


def test_facts_of_fewer_images_than_there_are_are_read_again(image_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pool = dataclasses.replace(folder.load(str(image_folder(count=2)), Data()).image_sets["all"], infos=None)
    expected = check.infos(pool)
    (store,) = (tmp_path / "cache/tinytrain").glob("facts-*.npy")
    np.save(store, np.load(store)[1:])
    assert check.infos(pool) == expected


def test_files_that_are_no_images_are_severe_and_first(official):
    (official / "train/red/words.png").write_text("no image")
    whole = (official / "train/red/000.png").read_bytes()
    (official / "train/red/cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("L", (4, 4)).save(official / "train/red/gray.png")
    by_kind = findings(official)
    assert next(iter(by_kind)) == "unreadable"
    assert by_kind["unreadable"].severe
    assert [line.partition("images/")[2].partition(":")[0] for line in by_kind["unreadable"].files] == [
        "train/red/cut.png",
        "train/red/words.png",
    ]


def test_the_same_pixels_are_found_in_other_files_splits_and_classes(official):
    shutil.copy(official / "train/red/000.png", official / "train/red/again.png")
    Image.open(official / "train/red/001.png").save(official / "test/red/leak.bmp")  # another format, the same pixels
    shutil.copy(official / "train/red/002.png", official / "train/blue/wrong.png")
    by_kind = findings(official)
    assert set(by_kind) == {"duplicate", "leak", "conflict"}
    assert by_kind["duplicate"].files == ("train/red/000.png (train) = train/red/again.png (train)",)
    assert by_kind["leak"].files == ("train/red/001.png (train) = test/red/leak.bmp (test)",)
    assert by_kind["conflict"].files == ("train/blue/wrong.png (train) = train/red/002.png (train)",)
    assert by_kind["leak"].what.startswith("1 image in more than one split")


def test_tiny_and_uneven_classes_are_named(official):
    for number in range(3, 12):
        (official / f"train/green/{number:03d}.png").unlink()
    random = np.random.default_rng(2)
    for number in range(12, 20):
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(official / f"train/red/{number}.png")
    by_kind = findings(official)
    assert by_kind["tiny class"].files == ("green: 3",)
    assert "20 training images of red, 3 of green" in by_kind["uneven classes"].what


def test_sizes_and_modes_are_counted_and_the_rare_files_named(official):
    noise = np.random.default_rng(3).integers(0, 256, (20, 30), dtype=np.uint8)
    Image.fromarray(noise).save(official / "val/red/000.png")
    by_kind = findings(official)
    assert "16x16 (146), 30x20 (1)" in by_kind["sizes"].what
    assert by_kind["sizes"].files == ("val/red/000.png: 30x20",)
    assert by_kind["modes"].files == ("val/red/000.png: L",)


def test_what_a_key_answers_is_not_asked_again(official):
    noise = np.random.default_rng(3).integers(0, 256, (20, 30), dtype=np.uint8)
    Image.fromarray(noise).save(official / "val/red/000.png")
    for number in range(3, 12):
        (official / f"train/green/{number:03d}.png").unlink()
    for number in range(12, 20):
        Image.fromarray(noise + np.uint8(number)).convert("RGB").save(official / f"train/red/{number}.png")
    by_kind = findings(official)
    assert set(by_kind) == {"sizes", "modes", "tiny class", "uneven classes"}
    assert by_kind["sizes"].hint == "data.resize=pad brings them to one size, unless you set stretch or crop"
    assert by_kind["modes"].hint == "model.channels=3 is used because some are color, unless you set 1 (gray)"
    assert set(findings(official, resize="crop", balance="class_weights")) == {"modes", "tiny class"}


def test_transparent_images_are_told(official):
    pixels = np.random.default_rng(4).integers(0, 256, (16, 16, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(official / "val/red/000.png")
    pixels[..., 3] = 255
    Image.fromarray(pixels).save(official / "val/red/001.png")
    by_kind = findings(official)
    assert by_kind["transparent"].files == ("val/red/000.png",)
    assert by_kind["transparent"].what == "1 image with transparent parts, which are put on white"


def test_no_file_is_named_where_no_size_is_that_of_most(official):
    random = np.random.default_rng(4)
    for number, path in enumerate(sorted(official.rglob("*.png"))):
        Image.fromarray(random.integers(0, 256, (16 + number, 16, 3), dtype=np.uint8)).save(path)
    assert findings(official)["sizes"].files == ()


def test_what_is_no_file_is_decoded_once(monkeypatch):
    with tensorflow_datasets.testing.mock_data(num_examples=30):
        pool = tfds.load("fashion_mnist", Data()).image_sets["train"]
        first = check.infos(pool)
        monkeypatch.setattr(reading, "info", lambda _: pytest.fail("decoded twice"))
        assert check.infos(pool) == first
    assert {info.size for info in first} == {(28, 28)}


def test_mean_and_deviation_are_those_of_the_pixels(image_folder):
    image_folder(classes=("red", "blue"))
    root = image_folder(classes=("green",), size=(8, 24))
    source = folder.load(str(root), Data(resize="stretch"))
    part = splits.Subset("all", np.arange(30))
    mean, deviation = check.statistics(source, part)
    pixels = [np.asarray(Image.open(root / name)).reshape(-1, 3) / 255 for name in source.image_sets["all"].names[:30]]
    np.testing.assert_allclose(mean, np.concatenate(pixels).mean(axis=0))
    np.testing.assert_allclose(deviation, np.concatenate(pixels).std(axis=0))
    gray = digits.load("", Data())
    assert [len(values) for values in check.statistics(gray, splits.Subset("all", np.arange(5)))] == [1, 1]


@pytest.mark.long
def test_of_images_of_many_sizes_the_command_names_a_few_and_json_all(tmp_path, command_line):
    for number in range(90):  # 50 of one size and 40 of other ones
        path = tmp_path / "cells" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, max(20, number - 29)), (number, 0, 0)).save(path)
    status, out, _ = command_line("data", "folder:cells", "--json")
    assert status == 0
    *text, last = out.splitlines()
    assert sum(": 20x" in line for line in text) == 20
    assert "  … and 20 more" in text
    assert "--json names all files" in text
    assert [len(one["files"]) for one in json.loads(last)["findings"] if one["kind"] == "sizes"] == [40]


def test_long_lists_are_cut():
    duplicates = [check.Finding("duplicate", "7 images twice", "keep one", tuple("abcdefg"))]
    assert check.as_lines(duplicates)[-1] == "  … and 2 more"
    assert len(check.as_lines(duplicates, shown=100)) == 8


def test_the_command_prints_counts_findings_and_a_picture(official, command_line, tmp_path):
    (official / "train/red/words.png").write_text("no image")
    (official / "train/red/Thumbs.db").write_text("no image")
    shutil.copy(official / "train/red/000.png", official / "test/red/copy.png")
    status, stdout, _ = command_line("data", f"folder:{official}", "--out", "look.png", "--json")
    assert status == 1  # as one finding is an error
    result = json.loads(stdout.splitlines()[-1])
    assert result["splits"]["train"] == {"blue": 12, "green": 12, "red": 12}
    assert [finding["kind"] for finding in result["findings"]] == ["unreadable", "left out", "leak"]
    assert result["mean"] == pytest.approx([0.5] * 3, abs=0.02)
    assert "error: 1 of 150 files cannot be read as images" in stdout
    assert "augmented: look-augmented.png; shown at 16 px, as the network sees them" in stdout
    assert result["resolution"] == 16
    assert (tmp_path / "look-augmented.png").stat().st_size > 10_000
    with Image.open(tmp_path / "look.png") as picture:
        assert picture.height == 24 + 3 * 64
        cell = picture.crop((160, 24, 224, 88)).resize((16, 16), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(np.asarray(cell), np.asarray(Image.open(official / "train/blue/000.png")))


def test_every_part_of_the_command_shows_that_it_goes_on(official, command_line, monkeypatch):
    shown, stage = [], progress.stage
    monkeypatch.setattr(
        progress, "stage", lambda text, *rest, **named: shown.append(text) or stage(text, *rest, **named)
    )
    assert command_line("data", f"folder:{official}", "--out", "look.png")[0] == 0
    parts = [
        "splitting the images",
        "computing the mean and the deviation",
        "checking the images",
        "drawing the images",
    ]
    assert [text for text in shown if text in parts] == parts


def test_data_that_fit_refuses_is_shown_all_the_same(image_folder, command_line):
    image_folder(classes=("red", "blue"))
    (image_folder(classes=("lonely",), count=1) / "empty").mkdir()
    status, stdout, error = command_line("data", "folder:images", "--json")
    assert status == 1
    assert "tinytrain: fit cannot train on 'folder:images' until 2 findings marked error above are solved" in error
    result = json.loads(stdout.splitlines()[-1])
    assert result["splits"] == {"all": {"blue": 12, "empty": 0, "lonely": 1, "red": 12}}
    by_kind = {finding["kind"]: finding for finding in result["findings"]}
    assert {"no split", "missing class", "tiny class"} <= set(by_kind)
    assert "empty (0), lonely (1): every class needs at least 3" in by_kind["no split"]["what"]
    assert by_kind["tiny class"]["files"] == ["lonely: 1"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data"], "data needs one SPEC"),
        (["data", "digits", "--out", "no/where.png"], "there is no folder 'no'"),
        (["data", "folder:nowhere"], "no folder 'nowhere'"),
    ],
)
def test_a_mistake_is_one_sentence(command_line, words, sentence):
    status, _, stderr = command_line(*words)
    assert status == 2
    assert sentence in stderr


@pytest.mark.parametrize("words", [["data", "folder:{}"], ["fit", "--data", "folder:{}"]], ids=["data", "fit"])
def test_a_path_whose_blank_was_not_quoted_is_recognized(command_line, tmp_path, words):
    (tmp_path / "my own images").mkdir()
    status, _, stderr = command_line(*[word.format(tmp_path / "my") for word in words], "own", "images")
    assert status == 2
    assert f"write folder:'{tmp_path}/my own images'" in stderr


def test_fit_tells_findings_once_and_trains(official, command_line, tmp_path):
    shutil.copy(official / "train/red/000.png", official / "test/red/copy.png")
    noise = np.random.default_rng(5).integers(0, 256, (20, 30), dtype=np.uint8)
    Image.fromarray(noise).save(official / "train/blue/gray.png")
    (official / "train/blue/Thumbs.db").write_text("no image")
    words = [
        "fit",
        f"data.spec=folder:{official}",
        "model.width=0.25",
        "optim.epochs=1",
        "optim.batch=16",
        "--out",
        "run",
    ]
    status, _, stderr = command_line(*words)
    assert status == 0
    assert stderr.count("in more than one split") == 1
    assert "train/red/000.png (train) = test/red/copy.png (test)" in stderr
    assert stderr.count("Thumbs.db: not an image") == 1
    assert "data.resize=pad brings them to one size, unless you set stretch or crop" in stderr
    assert "model.channels=3 is used because some are color" in stderr
    config = Run(tmp_path / "run").config()
    assert (config.data.resize, config.model.channels) == ("pad", 3)


def test_images_to_hold_out_of_data_with_a_split_of_its_own_are_told_to_be_unused(command_line, image_folder, tmp_path):
    image_folder("images/train", classes=("blue", "red"))
    image_folder("images/test", classes=("blue", "red"), count=4)
    _, out, _ = command_line("data", "folder:images", "data.test_images=2", "data.val_images=4", "--json")
    told = [row for row in json.loads(out.splitlines()[-1])["findings"] if row["kind"] == "unused key"]
    assert [row["what"] for row in told] == [
        "data.test_images = 2 is not used, because the data has its own test split"
    ]
