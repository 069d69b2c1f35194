"""Folders as people have them: which of them are splits, and that nothing below PATH is left out without its name."""

import gc
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinytrain.config import load as configs
from tinytrain.config.schema import Config, Data
from tinytrain.data import check, decoding, reading, splits
from tinytrain.data.load import read_dataset
from tinytrain.data.source import split_of
from tinytrain.datasets import csv, folder
from tinytrain.errors import UserError
from tinytrain.run import Run


def left_out(source):
    """Returns {name of a file or folder: why it is left out}, from the findings."""
    lines = [line for finding in source.findings for line in finding.files]
    return {line.partition(": ")[0].rpartition("/")[2]: line.partition(": ")[2] for line in lines}


@pytest.mark.parametrize(
    ("train_", "val", "test"),
    [
        ("Training", None, "Testing"),
        ("TRAIN", "VAL", "TEST"),
        ("train_set", "valid_set", "test_set"),
        ("Train Data", "Validation Data", "Test Data"),
        ("train-images", "dev", "eval"),
        ("tr", "val", "te"),
        ("trainset", "validation", "testset"),
        ("train2017", "val2017", "test2017"),
        ("seg_train", None, "Seg_Test"),
        ("my data.train", "my data.valid", "my data.test"),
    ],
)
def test_a_folder_that_a_person_takes_for_a_split_is_one(image_folder, train_, val, test):
    names = {"train": train_, "val": val, "test": test}
    for number, name in enumerate(filter(None, names.values())):
        image_folder(f"images/{name}", count=4 + number)
    source = folder.load(str(image_folder(f"images/{train_}", count=4).parent), Data())
    assert source.classes == ["blue", "green", "red"]
    counts = [4 + number for number, name in enumerate(filter(None, names.values()))]
    assert [len(source.image_sets[split].annotations) for split, name in names.items() if name] == [
        3 * n for n in counts
    ]


@pytest.mark.parametrize("name", ["trains", "tests", "station", "training shoes", "dataset", "images", "valley", "set"])
def test_other_words_are_no_splits(name):
    assert split_of(name) is None


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["val", "test"], "split folders (test, val), but none for train"),
        (["train", "val", "validation"], "more than one folder for val (val, validation)"),
        (["train", "Train"], "more than one folder for train (Train, train)"),
        (["train", "test", "junk"], "split folders (test, train) and others (junk)"),
        (["test", "cat", "dog"], "split folders (test) and others (cat, dog)"),
        (["seg_train", "seg_test", "seg_pred"], "split folders (seg_test, seg_train) and others (seg_pred)"),
        (["train", "bus"], "if train is a class, give its folder another name, such as trains"),
    ],
)
def test_splits_that_can_be_meant_in_two_ways_are_refused_by_name(image_folder, names, sentence):
    for name in names:
        image_folder(f"images/{name}", count=1)
    with pytest.raises(UserError) as error:
        folder.load(str(image_folder(f"images/{names[0]}", count=1).parent), Data())
    assert sentence in str(error.value)


def test_a_class_that_a_split_lacks_is_named_by_its_own_folder(image_folder):
    root = image_folder("images/Training", classes=("blue", "red"), count=3).parent
    image_folder("images/Testing", classes=("blue",), count=3)
    with pytest.raises(UserError, match=r"there is no folder '.*/Testing/red': every split needs every class"):
        folder.load(str(root), Data())


def test_short_words_beside_others_are_classes(image_folder):
    source = folder.load(str(image_folder(classes=("tr", "te", "en"), count=1)), Data())
    assert source.classes == ["en", "te", "tr"]
    vehicles = ("bullet_train", "crash test", "steam_train")
    assert folder.load(str(image_folder("vehicles", classes=vehicles, count=1)), Data()).classes == list(vehicles)


def test_a_folder_around_the_class_folders_is_hinted_at(image_folder):
    root = image_folder("images/flowers", count=1)
    with pytest.raises(UserError, match=f"did you mean folder:{root}"):
        folder.load(str(root.parent), Data())


def test_links_are_followed_but_not_in_circles(image_folder, tmp_path):
    root = image_folder(classes=("blue", "red"), count=2)
    elsewhere = image_folder("elsewhere", classes=("green",), count=3)
    (root / "green").symlink_to(elsewhere / "green")
    (root / "red/more").symlink_to(elsewhere)  # holds green/000.png to 002.png
    (root / "red/circle").symlink_to(root)
    (root / "loop").symlink_to(".")
    (elsewhere / "green/back").symlink_to(tmp_path)
    (root / "blue/gone").symlink_to("nowhere")
    (root / "red/again").symlink_to(elsewhere)
    source = folder.load(str(root), Data())
    assert source.classes == ["blue", "green", "red"]
    assert [path for path in source.image_sets["all"].names if path.startswith("red/")] == [
        "red/000.png",
        "red/001.png",
        "red/again/green/000.png",
        "red/again/green/001.png",
        "red/again/green/002.png",
    ]
    assert np.bincount(source.image_sets["all"].annotations).tolist() == [2, 3, 5]
    assert left_out(source) == {
        "circle": "a link to a folder that holds it",
        "loop": "a link to a folder that holds it",
        "back": "a link to a folder that holds it",
        "gone": "a link to nothing",
        "more": "a link to a folder that is read already",
    }


def test_nothing_is_left_out_without_its_name(image_folder):
    root = image_folder(count=3)
    for name in ("__MACOSX/red", "red/.git", "red/@eaDir", "red/deep/deeper"):
        (root / name).mkdir(parents=True)
    for name in ("red/Thumbs.db", "red/notes.txt", "red/desktop.ini", "red/.DS_Store", "labels.csv", "red/deep/README"):
        (root / name).write_text("no image")
    for name in ("stray.png", "__MACOSX/red/._000.png", "red/deep/deeper/in.png", "red/image_without_suffix"):
        Image.new("RGB", (16, 16)).save(root / name, "PNG")
    os.mkfifo(root / "red/pipe")
    source = folder.load(str(root), Data())
    assert left_out(source) == {
        "stray.png": "",
        "__MACOSX": "a folder of the operating system",
        "@eaDir": "a folder of the operating system",
        ".git": "hidden",
        ".DS_Store": "hidden",
        "pipe": "neither a file nor a folder",
        "labels.csv": "in no class folder",
        "Thumbs.db": "not an image",
        "notes.txt": "not an image",
        "desktop.ini": "not an image",
        "README": "not an image",
    }
    assert not any(finding.severe for finding in source.findings)
    assert {"red/deep/deeper/in.png", "red/image_without_suffix"} <= set(source.image_sets["all"].names)
    assert len(source.image_sets["all"].names) == 11
    stray = next(finding for finding in source.findings if finding.kind == "no class")
    assert stray.what == "1 image beside the class folders, in no class"


def test_a_file_that_is_left_out_is_remembered_as_such(image_folder):
    root = image_folder(count=3)
    (root / "red/Thumbs.db").write_text("no image")
    assert (
        left_out(folder.load(str(root), Data()))
        == left_out(folder.load(str(root), Data()))
        == {"Thumbs.db": "not an image"}
    )


def test_the_same_letters_spelled_in_two_ways_are_one_class(image_folder, tmp_path):
    words = [unicodedata.normalize(form, "Gänseblümchen") for form in ("NFC", "NFD")]
    assert words[0] != words[1]
    image_folder("images/train", classes=(words[0], "Rose"), count=3)
    root = image_folder("images/test", classes=(words[1], "Rose"), count=2).parent
    assert folder.load(str(root), Data()).classes == ["Gänseblümchen", "Rose"]
    table = tmp_path / "images/train/table.csv"
    table.write_text(f"path,label\n{words[0]}/000.png,{words[0]}\nRose/000.png,Rose\nRose/001.png,{words[1]}\n")
    assert csv.load(str(table), Data()).classes == ["Gänseblümchen", "Rose"]
    image_folder("images/train", classes=(words[1],), count=3)
    with pytest.raises(UserError, match=r"there are two folders .* whose letters are encoded in two ways"):
        folder.load(str(root), Data())


def test_blanks_at_the_ends_of_cells_count_for_nothing(image_folder, tmp_path):
    image_folder(count=3)
    rows = ["path , label ,split", "images/red/000.png,warm,train ", "images/red/001.png , warm ,Training"]
    rows += [
        "images/blue/000.png,cold\t,train",
        "images/blue/001.png,cold ,dev",
        "images/red/002.png,warm  , validation",
    ]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    source = csv.load(str(tmp_path / "table.csv"), Data())
    assert source.classes == ["cold", "warm"]
    assert {split: pool.annotations.tolist() for split, pool in source.image_sets.items()} == {
        "train": [1, 1, 0],
        "val": [0, 1],
    }


def test_a_file_of_any_kind_that_cannot_be_decoded_is_named_with_the_reason(image_folder):
    root = image_folder(count=3)
    heic = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64)
    (root / "red/phone.heic").write_bytes(heic)
    (root / "red/renamed.jpg").write_bytes(heic)
    (root / "red/drawing.svg").write_text("<svg/>")
    Image.new("L", (8, 8)).save(root / "red/program.eps")  # Pillow has Ghostscript run it, if that is there
    Image.new("1", (12_000, 12_000)).save(root / "red/bomb.png")
    Image.new("1", (20_000, 20_000)).save(root / "red/bomb2.png")
    whole = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for name in ("cut.avif", "cut.dds", "cut.webp", "cut.tif", "cut.gif"):
        whole.save(root / "red" / name)
        content = (root / "red" / name).read_bytes()
        (root / "red" / name).write_bytes(content[: len(content) // 2])
    dds = bytearray(b"DDS " + (124).to_bytes(4, "little") + bytes(120))
    dds[80:84] = (1 << 20).to_bytes(4, "little")  # a pixel format that is none
    (root / "red/unknown.dds").write_bytes(bytes(dds))
    finding = next(one for one in folder.load(str(root), Data()).findings if one.severe)
    why = {line.partition("/red/")[2].partition(":")[0]: line.partition(": ")[2] for line in finding.files}
    assert "HEIC, which is not supported (only JPEG, PNG" in why.pop("phone.heic")
    assert "HEIC, which is not supported (only JPEG, PNG" in why.pop("renamed.jpg")
    assert "supported format (JPEG, PNG" in why.pop("drawing.svg")
    assert "supported format (JPEG, PNG" in why.pop("program.eps")
    assert (
        why.pop("bomb.png")
        == "too large: 12,000 x 12,000 pixels, at most 128,000,000 pixels are decoded; make it smaller"
    )
    assert "too large: 400000000 pixels, at most 128,000,000" in why.pop("bomb2.png")
    assert sorted(why) == ["cut.avif", "cut.dds", "cut.gif", "cut.tif", "cut.webp", "unknown.dds"]


@pytest.mark.parametrize("error", [ValueError("x"), IndexError("x"), MemoryError(), RuntimeError("x"), EOFError()])
def test_whatever_a_decoder_raises_is_the_problem_of_its_file(image_folder, monkeypatch, error):
    root = image_folder(classes=("blue", "red"), count=2)
    info = reading.info

    def fail(image):
        if image.fp.name.endswith("red/001.png"):
            raise error
        return info(image)

    monkeypatch.setattr(reading, "info", fail)
    [finding] = folder.load(str(root), Data()).findings
    assert finding.severe
    assert [line.partition(": ")[0] for line in finding.files] == [str(root / "red/001.png")]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "I/O error"), MemoryError()])
def test_a_problem_that_may_pass_is_not_remembered(image_folder, monkeypatch, error):
    root = image_folder(classes=("blue", "red"), count=2)
    decoded = reading.decode

    def fail(path, work):
        if path.name == "001.png":
            raise error
        return decoded(path, work)

    with monkeypatch.context() as patched:
        patched.setattr(reading, "decode", fail)
        [finding] = folder.load(str(root), Data()).findings
        assert len(finding.files) == 2
        assert "damaged" not in finding.files[0]
    assert folder.load(str(root), Data()).findings == ()


def test_an_image_that_is_gone_when_it_is_decoded_is_named(image_folder):
    root = image_folder(classes=("blue", "red"), count=2)
    source = folder.load(str(root), Data())
    (root / "red/001.png").unlink()
    with pytest.raises(UserError, match=r"cannot read '.*red/001.png' any more"):
        decoding.decode(source.image_sets["all"], 8, 3, "stretch")


def test_large_images_are_decoded_one_at_a_time(image_folder, tmp_path, monkeypatch):
    """Images of 256 pixels with room for 600: never more than two at once; with room for 100: one."""
    root = image_folder(count=8)
    info, running, most = reading.info, [], {}

    def watched(image):
        running.append(1)
        most[room] = max(most.get(room, 0), len(running))
        found = info(image)
        running.pop()
        return found

    monkeypatch.setattr(reading, "info", watched)
    for room in (600, 100):
        monkeypatch.setattr(reading, "_BUDGET", reading._PixelBudget(room))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache of {room}"))  # so that nothing is known of them
        assert len(folder.load(str(root), Data()).image_sets["all"].names) == 24
    assert most[600] <= 2
    assert most[100] == 1


def test_measuring_large_images_takes_little_memory(tmp_path):
    """Four images of 20 megapixels: Pillow needs 80 MB for each, and each of four threads may keep that much.

    In float64 a single one would be 480 MB.
    """
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    for number in range(4):
        path = tmp_path / "large" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5000, 4000), (number, 0, 0)).save(path, compress_level=1)

    def highest():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))

    gc.collect()
    try:
        reset.write_text("5")  # the highest use so far is forgotten
    except OSError:
        pytest.skip("Linux only")
    before = highest()
    source = folder.load(str(tmp_path / "large"), Data())
    decoding.decode(source.image_sets["all"], 96, 3, "stretch")
    assert highest() - before < 450_000  # kB


def test_upright_sizes_are_compared(image_folder):
    """One image lies on its side: it is 16x24 upright, as the others are."""
    root = image_folder(size=(16, 24), count=3)
    lying = Image.new("RGB", (24, 16))
    lying.getexif()[0x0112] = 6
    lying.save(root / "red/000.png", exif=lying.getexif())
    assert folder.load(str(root), Data()).side == 24
    lying.save(root / "red/000.png", exif=b"")
    assert folder.load(str(root), Data()).side == 0


@pytest.mark.parametrize("name", [b"f\xe4n", b"\xff"])
@pytest.mark.parametrize("place", ["root", "class", "below", "file"])
def test_a_name_that_is_not_utf8_is_refused_at_the_beginning(image_folder, command_line, tmp_path, name, place):
    """An old archive's names: no TOML, JSON, C or HTML file of the run could hold them."""
    root, word = image_folder(count=3), os.fsdecode(name)
    source = {"class": "red", "below": "red/deep", "file": "red/000.png"}.get(place)
    (root / "red/deep").mkdir()
    if source:
        (root / source).rename((root / source).parent / word)
    else:
        root.rename(root.parent / word)
    spec = f"folder:{root.parent / word if place == 'root' else root}"
    for words in (["data", spec], ["fit", "--data", spec, "--out", "run"]):
        status, out, error = command_line(*words)
        assert (status, out, len(error.splitlines())) == (2, "", 1)
        assert "UTF-8" in error
        assert name.decode("utf-8", "backslashreplace") in error
        assert ("images" in error) == (place != "root")
    assert not (tmp_path / "run").exists()


def test_other_words_that_are_not_utf8_are_refused(command_line, tmp_path, monkeypatch):
    word = os.fsdecode(b"r\xfcn")
    for words in (["fit", "--out", word], ["report", word], ["export", f"{word}.tflite", "--mcu", "stm32f746"]):
        status, _, error = command_line(*words)
        assert status == 2
        assert "r\\xfcn" in error
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"the run folder 'r\\xfcn' is not UTF-8"):
        Run.create(Path(word), "name")
    with pytest.raises(UserError, match=r"model.weights = '.*r\\xfcn' is not UTF-8"):
        configs.load(None, [f"model.weights={word}"])
    (tmp_path / word).mkdir()
    monkeypatch.chdir(tmp_path / word)
    (tmp_path / word / "a.keras").touch()
    with pytest.raises(UserError, match=r"r\\xfcn/a.keras' is not UTF-8"):
        configs.load(None, ["model.weights=a.keras"])


def test_what_was_chosen_is_told_even_where_nothing_else_is_looked_for(image_folder):
    image_folder(classes=("red",))
    root = image_folder(classes=("blue",), size=(20, 16), mode="L")
    asked = Config(data=Data(spec=f"folder:{root}", check=False))
    source = read_dataset(asked)
    assert [finding.kind for finding in check.unconditional_findings(source, asked)] == ["sizes", "modes"]
    everything = check.findings(source, splits.draw(source, asked.data, 0), asked)
    assert [finding.kind for finding in everything] == ["small val", "tiny class", "sizes", "modes"]
