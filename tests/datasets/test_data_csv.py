"""Tables of images, and class folders that hold folders."""

import numpy as np
import pytest
from PIL import Image

from tinytrain.config.schema import Data
from tinytrain.data import file_table, splits
from tinytrain.datasets import csv, folder
from tinytrain.errors import UserError


def table(tmp_path, text):
    (tmp_path / "table.csv").write_text(text)
    return str(tmp_path / "table.csv")


def test_a_table_names_its_images(image_folder, tmp_path):
    image_folder(count=3)
    lines = ["path,label", "images/red/001.png,warm", "images/blue/002.png,cold", "images/blue/000.png,cold"]
    source = csv.load(table(tmp_path, "\n".join(lines)), Data())
    pool = source.image_sets["all"]
    assert (source.classes, source.side, source.channels) == (["cold", "warm"], 16, 3)
    assert pool.names == ["images/red/001.png", "images/blue/002.png", "images/blue/000.png"]
    assert pool.annotations.tolist() == [1, 0, 0]
    first = next(pool.images(np.asarray))
    np.testing.assert_array_equal(first, np.asarray(Image.open(tmp_path / "images/red/001.png")))


def test_the_split_column_is_official(image_folder, tmp_path):
    image_folder(count=9)
    words = ["train"] * 6 + ["validation", "test", "test"]
    rows = [f"images/{name}/{n:03d}.png,{name},{words[n]}" for name in ("red", "blue") for n in range(9)]
    source = csv.load(table(tmp_path, "\ufeffpath,label,split\n" + "\n".join(rows)), Data())
    parts = splits.draw(source, Data(), 0)
    assert {name: len(part.indices) for name, part in parts.items()} == {"train": 12, "val": 2, "test": 4}
    names = splits.as_names(source, parts)  # a draw of as many images would take others
    assert sorted(names["val"]) == ["images/blue/006.png", "images/red/006.png"]
    assert sorted(names["test"]) == [f"images/{name}/00{n}.png" for name in ("blue", "red") for n in (7, 8)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot read"),
        ("", "lacks the columns path and label: its first line names none"),
        ("file,class\n", "its first line names file, class"),
        ("path,label\n", "names no image"),
        ("path,label\nimages/red/000.png\n", "line 2: path and label must both be filled in"),
        ("path,label\nimages/red/000.png,a\nno.png,b\n", "names 1 file that cannot be found"),
        ("path,label\nimages/red/000.png,a\nno.png,b\n", "\n  line 3: no.png"),
        ("path,label\nimages/red/000.png,a\n", "fewer than two classes (a)"),
        ("path,label,split\nimages/red/000.png,a,train\nimages/red/001.png,b,later\n", "line 3: split is 'later'"),
        ("path,label,split\nimages/red/000.png,a,val\nimages/red/001.png,b,test\n", "has no train image"),
    ],
)
def test_a_table_that_cannot_be_trained_on_is_refused(image_folder, tmp_path, text, sentence):
    image_folder(count=2)
    path = str(tmp_path / "none.csv") if text is None else table(tmp_path, text)
    with pytest.raises(UserError) as error:
        csv.load(path, Data())
    assert sentence in str(error.value)


def test_a_class_folder_may_hold_folders(image_folder):
    image_folder("images/red", classes=("day", "night"), count=2)
    image_folder("images/blue", classes=("day", ".hidden"), count=2)
    source = folder.load(str(image_folder(classes=("green",), count=2)), Data())
    assert source.classes == ["blue", "green", "red"]
    names = source.image_sets["all"].names
    assert names[:3] == ["blue/day/000.png", "blue/day/001.png", "green/000.png"]
    assert names[4:] == ["red/day/000.png", "red/day/001.png", "red/night/000.png", "red/night/001.png"]


def test_unchanged_files_are_not_opened_again(image_folder, monkeypatch):
    root = image_folder()
    (root / "red/notes.txt").write_text("no image")
    first = folder.load(str(root), Data(skip_bad=True))
    opened = []
    scan_file = file_table._scan_file
    monkeypatch.setattr(file_table, "_scan_file", lambda path: opened.append(path.name) or scan_file(path))
    again = folder.load(str(root), Data(skip_bad=True))
    assert opened == []
    assert again.image_sets["all"].infos == first.image_sets["all"].infos
    assert again.findings == first.findings
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(root / "blue/003.png")
    changed = folder.load(str(root), Data(skip_bad=True))
    assert opened == ["003.png"]
    assert changed.image_sets["all"].infos[3] != first.image_sets["all"].infos[3]
