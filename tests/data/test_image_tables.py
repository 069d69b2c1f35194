"""The names and the facts of images are kept as arrays, and read as the lists that they stand for."""

import dataclasses

import numpy as np
import pytest

from tinytrain.data import facts, names, reading, recorded_names
from tinytrain.data.facts import Facts, ImageInfo
from tinytrain.data.file_table import FileTable, scan
from tinytrain.data.names import Names
from tinytrain.data.source import Dataset, ImageSet

TEXTS = ["red/äöü.png", "", "blue/1.jpg", "a\udce9b", "red/äöü.png", "🐝"]  # a name that is not UTF-8 on the disk


def test_names_are_the_texts_that_they_were_made_of(monkeypatch):
    monkeypatch.setattr(names, "CHUNK", 2)
    made = Names.of(iter(TEXTS))
    assert list(made) == [made[n] for n in range(len(TEXTS))] == TEXTS
    assert (made == TEXTS, made == TEXTS[1:], made == [*TEXTS[:-1], "x"]) == (True, False, False)
    assert (made[-1], made[1:4], len(made)) == (TEXTS[-1], TEXTS[1:4], 6)
    index = np.array([4, 4, 0, 5, 1])
    assert made.take(index) == [TEXTS[n] for n in index]
    assert Names.join([made, Names.of([]), made.take(index)]) == [*TEXTS, *(TEXTS[n] for n in index)]
    assert (made.contain("blue/"), made.contain("green")) == (True, False)
    with pytest.raises(IndexError):
        made[6]


def test_names_take_eight_bytes_beside_their_letters():
    made = Names.of(f"class{n % 100:03d}/{n:08d}.jpg" for n in range(10_000))
    assert made.letters.nbytes + made.ends.nbytes <= 10_000 * (21 + 8) + 8


def some_infos():
    random = np.random.default_rng(0)
    infos = []
    for number in range(5):
        means = [tuple(random.random(3).astype(np.float32).tolist()) for _ in range(2)]
        digest = random.bytes(14).hex() + "0000" if number else ""  # ends in zeros, which NumPy's bytes leave out
        infos.append(ImageInfo((7 + number, 9), ["L", "I;16B"][number % 2], digest, *means, number == 2, number + 1))
    return infos


def test_facts_are_the_infos_that_they_were_made_of(monkeypatch, tmp_path):
    monkeypatch.setattr(facts, "CHUNK", 2)
    infos = some_infos()
    made = Facts.of(iter(infos))
    assert list(made) == [made[n] for n in range(5)] == infos
    assert (made == infos, made == infos[1:], made[1:3] == infos[1:3]) == (True, False, True)
    assert Facts.join([made, made.take(np.array([3, 1]))]) == [*infos, infos[3], infos[1]]
    assert made.modes == {"L", "I;16B"}
    assert made.hex_digests == [info.digest for info in infos]
    assert [Facts.unpacked(made.packed(name), name)[1] for name in ("size", "mode")] == ["8x9", "I;16B"]
    assert made.rows.dtype.itemsize <= 58
    facts.write(tmp_path / "a.npy", made.rows)
    np.testing.assert_array_equal(facts.read(tmp_path / "a.npy", facts.ROW), made.rows)


def dataset(**sets):
    made = {name: ImageSet(np.zeros(len(own), int), own, name, lambda *_: iter(())) for name, own in sets.items()}
    return Dataset(["a"], made, 3, 8)


@pytest.mark.parametrize(
    ("recorded", "now", "left_out", "indices", "changes"),
    [
        ({"train": "ab", "val": "cd"}, {"train": "ab", "val": "cd"}, 0, {"train": [0, 1], "val": [0, 1]}, []),
        ({"train": "ca", "val": "b"}, {"all": "abc"}, 0, {"train": [2, 0], "val": [1]}, []),
        ({"train": "aba", "val": "a"}, {"all": "aaba"}, 0, {"train": [0, 2, 1], "val": [3]}, []),
        ({"train": "ab"}, {"all": "abc"}, 1, {"train": [0, 1]}, []),
        ({"train": "ab"}, {"all": "abc"}, None, {"train": [0, 1]}, []),
        ({"train": "ab"}, {"all": "abc"}, 0, {"train": [0, 1]}, ["1 image added: c"]),
        ({"train": "ab"}, {"all": "abcd"}, 1, {"train": [0, 1]}, ["2 images besides the recorded ones, not 1"]),
        ({"train": "abc"}, {"all": "ac"}, 0, {"train": [0, 1]}, ["1 image removed: b"]),
        ({"train": "aa"}, {"all": "a"}, 0, {"train": [0]}, ["1 image removed: a"]),
        (
            {"train": "ab", "val": "c"},
            {"train": "a", "val": "cb"},
            0,
            {"train": [0], "val": [0]},
            ["1 image in another split: b (train, now val)"],
        ),
        ({"train": "ab", "val": ""}, {"all": "ba"}, 0, {"train": [1, 0], "val": []}, []),
    ],
)
def test_recorded_images_are_found_by_their_names(recorded, now, left_out, indices, changes):
    wanted = {split: Names.of(own) for split, own in recorded.items()}
    subsets, told = recorded_names.find(wanted, dataset(**now), left_out)
    assert {split: part.indices.tolist() for split, part in subsets.items()} == indices
    assert told == changes


def test_a_scan_that_is_killed_goes_on_where_it_was_saved(image_folder, tmp_path, monkeypatch):
    from tinytrain.data import file_table

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(file_table, "SAVED_FILES", 4)
    monkeypatch.setattr(reading, "PREFETCH", 2)
    (image_folder(count=3) / "blue/001.png").write_text("no image")
    table = FileTable.of(sorted((tmp_path / "images").rglob("*.png")), tmp_path / "images")
    opened, scan_file = [], file_table._scan_file

    def killed(path):
        if path.name == "002.png" and path.parent.name == "green":
            raise KeyboardInterrupt
        return scan_file(path)

    with monkeypatch.context() as patched:
        patched.setattr(file_table, "_scan_file", killed)
        with pytest.raises(KeyboardInterrupt):
            scan(table)
    monkeypatch.setattr(file_table, "_scan_file", lambda path: opened.append(path.name) or scan_file(path))
    found = scan(table)
    assert len(opened) == 5  # of nine the first four were saved
    assert [file.path.name for file in found.bad] == ["001.png"]
    assert list(found.facts.take(found.good)) == [file.info for file in found if not file.problem]


def test_an_image_set_keeps_arrays_whatever_it_is_given():
    image_set = ImageSet(np.zeros(5, int), [str(n) for n in range(5)], "key", lambda *_: iter(()), some_infos())
    assert isinstance(image_set.names, Names)
    assert isinstance(image_set.infos, Facts)
    assert isinstance(dataclasses.replace(image_set, infos=None).names, Names)
