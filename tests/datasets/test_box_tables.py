"""Boxes in csv:FILE, labelme:PATH and tfrecord:PATH: what each takes, and what is wrong with it."""

import json

import box_trees
import numpy as np
import pytest
from box_trees import example, kinds, severe
from PIL import Image

from tinytrain.config.schema import Data
from tinytrain.data.boxes import CROWD, DIFFICULT, FLAG, NORMAL
from tinytrain.datasets import csv, labelme, tfrecord
from tinytrain.errors import UserError

HEADER = "path,label,xmin,ymin,xmax,ymax"


def table(tmp_path, *lines, header=HEADER):
    names = ("a", "b", "c", "d")
    box_trees.write_pictures(tmp_path, {name: ((40, 32), []) for name in names})
    (tmp_path / "table.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    return csv.load(str(tmp_path / "table.csv"), Data())


def test_a_table_has_splits_sizes_and_pictures_without_a_box(tmp_path):
    header = f"{HEADER},split,width,height"
    rows = [
        "a.png,cat,1,2,9,8,train,40,32",
        "a.png,dog,3,3,4,4,train,40,32",
        "b.png,,,,,,train,40,32",
        "c.png,cat,1,2,9,8,val,80,64",
    ]
    source = table(tmp_path, *rows, header=header)
    assert {name: pool.names for name, pool in source.image_sets.items()} == {
        "train": ["a.png", "b.png"],
        "val": ["c.png"],
    }
    assert box_trees.found(source)["a"] == [("cat", 1, 2, 9, 8), ("dog", 3, 3, 4, 4)]
    assert source.image_sets["train"].written_at == [["table.csv, line 2", "table.csv, line 3"], []]
    assert kinds(source) == {
        "background": ["b.png"],
        "size": ["table.csv, line 5: the file says 80x64, the picture has 40x32"],
    }


def test_groups_of_open_images_are_crowds(tmp_path):
    header = "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf"
    source = table(tmp_path, "a,/m/01,0.25,0.5,0,1,1", "a,/m/01,0.25,0.75,0,1,0", header=header)
    assert source.image_sets["all"].annotations[0, :, 1:6].tolist() == [[10, 0, 20, 32, CROWD], [10, 0, 30, 32, NORMAL]]


def test_groups_are_read_as_programs_write_them(tmp_path):
    words = ["1", "True", "1.0", "0", "false", "-1", ""]
    rows = [f"a,cat,0.0{place},0.5,0,1,{word}" for place, word in enumerate(words)]
    source = table(tmp_path, *rows, "b,cat,0,1,0,1,some", header="ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf")
    assert source.image_sets["all"].annotations[0, :, FLAG].tolist() == [CROWD] * 3 + [NORMAL] * 4
    assert kinds(source)["malformed box"] == ["table.csv, line 9: IsGroupOf is 'some': expected 0 or 1"]


def test_every_problem_of_a_table_is_told_at_once(tmp_path):
    source = table(
        tmp_path,
        "a.png,cat,1,2,9,8",
        "b.png,cat,1,2,x,8",
        "b.png,cat,1,2,,8",
        "c.png,,1,2,9,8",
        "no.png,cat,1,2,9,8",
        "d.png,cat,nan,2,9,8",
    )
    assert kinds(source) == {
        "malformed box": [
            "table.csv, line 3: xmax is 'x', not a number",
            "table.csv, line 4: xmax is '', not a number",
            "table.csv, line 5: the class is '': expected a name",
            "table.csv, line 7: xmin is 'nan', not a finite number",
        ],
        "no picture": [f"table.csv, line 6: no picture 'no.png' in '{tmp_path}'"],
    }
    assert severe(source) == {"malformed box", "no picture"}


def test_shares_in_place_of_pixels_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no coordinate above 1: expected pixels, or the columns ImageID"):
        table(tmp_path, "a.png,cat,0.1,0.2,0.9,1")


def test_rows_of_a_missing_picture_are_not_put_on_one_of_another_folder(tmp_path):
    box_trees.write_pictures(tmp_path / "x", {"1": ((40, 32), [])})
    source = table(tmp_path, "x/1.png,cat,1,2,9,8", "y/1.png,cat,3,2,9,8")
    assert box_trees.found(source) == {"1": [("cat", 1, 2, 9, 8)]}
    assert kinds(source)["no picture"] == [f"table.csv, line 3: no picture 'y/1.png' in '{tmp_path}'"]
    assert severe(source) == {"no picture"}


def test_paths_of_one_file_are_one_picture(tmp_path):
    box_trees.write_pictures(tmp_path / "x", {"1": ((40, 32), [])})
    paths = ["x/1.png", "./x/1.png", "none/../x/1.png", str(tmp_path / "x/1.png"), f"../{tmp_path.name}/x//1.png"]
    source = table(tmp_path, *[f"{path},cat,{left},2,9,8" for left, path in enumerate(paths)])
    assert source.image_sets["all"].names == ["x/1.png"]
    assert box_trees.found(source) == {"1": [("cat", left, 2, 9, 8) for left in range(5)]}
    assert source.findings == ()


def shape(label, points, kind="rectangle"):
    return {"label": label, "points": points, "shape_type": kind}


def test_shapes_of_labelme(tmp_path):
    root = box_trees.write_labelme(tmp_path)
    shapes = [
        shape("apple", [[5, 6], [9, 4], [7, 12]], "polygon"),
        shape("pear", [[20, 20], [23, 24]], "circle"),
        shape("pear", [[1, 1]], "point"),
        shape("pear", [[1, 1], [9, 9]], "line"),
    ]
    (root / "third.json").write_text(json.dumps({"imagePath": "third.png", "shapes": shapes}))
    source = labelme.load(str(root), Data())
    assert box_trees.found(source)["third"] == [("apple", 5, 4, 9, 12), ("pear", 15, 15, 25, 25)]
    assert kinds(source) == {
        "polygon": ["third.json, shapes[0]", "third.json, shapes[1]"],
        "no area": ["third.json, shapes[2]: 1, 1, 1, 1", "third.json, shapes[3]: 1, 1, 1, 1"],
    }


def test_every_problem_of_labelme_is_told_at_once(tmp_path):
    root = box_trees.write_labelme(tmp_path)
    shapes = [
        shape("apple", [[5, 6], [9, "4"], [7, None]]),
        shape("apple", [[5, 6], [9, float("nan")]]),
        shape("apple", []),
        shape("apple", 7),
        shape(None, [[5, 6], [9, 4]]),
        shape("apple", [[5, 6], [9, 4]], "star"),
        None,
    ]
    (root / "third.json").write_text(json.dumps({"imagePath": 5, "shapes": shapes}))
    (root / "gone.json").write_text(json.dumps({"imagePath": "../gone.png", "shapes": []}))
    (root / "cut.json").write_text('{"shapes": [')
    (root / "other.json").write_text('{"version": 1}')
    source = labelme.load(str(root), Data())
    assert kinds(source) == {
        "unreadable annotation": ["cut.json: line 1: Expecting value"],
        "malformed box": [
            "third.json, shapes[0]: a point is None, not a number",
            "third.json, shapes[1]: a point is nan, not a finite number",
            "third.json, shapes[2]: a shape without points",
            "third.json, shapes[3]: points is 7: expected a list",
            "third.json, shapes[4]: the class is None: expected a name",
            "third.json, shapes[5]: shape_type is 'star': expected rectangle, polygon or circle",
            "third.json, shapes[6]: the class is None: expected a name",
        ],
        "no picture": [f"gone.json: no picture 'gone' in '{root}'"],
        "left out": ["other.json: no shapes"],
    }
    assert severe(source) == {"unreadable annotation", "malformed box", "no picture"}


@pytest.mark.parametrize("path", ["../y/1.png", "1.png"])
def test_shapes_of_a_missing_picture_are_not_put_on_one_of_another_folder(tmp_path, path):
    box = shape("cat", [[1, 2], [9, 8]])
    box_trees.write_pictures(tmp_path / "x", {name: ((40, 32), []) for name in ("1", "2")})
    (tmp_path / "y").mkdir()
    for name, given in {"x/2": "../x/2.png" if "/" in path else "2.png", "y/1": path}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"imagePath": given, "shapes": [box]}))
    source = labelme.load(str(tmp_path), Data())
    assert box_trees.found(source) == {"1": [], "2": [("cat", 1, 2, 9, 8)]}
    assert severe(source) == {"no picture"}


def records(path, *rows):
    import tensorflow as tf

    path.parent.mkdir(exist_ok=True, parents=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in rows:
            writer.write(row if isinstance(row, bytes) else example(row))


def record(picture, sides=(), **features):
    names = ("xmin", "ymin", "xmax", "ymax")
    row = {f"image/object/bbox/{name}": [float(box[n]) for box in sides] for n, name in enumerate(names)}
    return {"image/filename": [picture.encode()]} | row | {f"image/{key}": value for key, value in features.items()}


def test_records_have_splits_flags_and_a_label_map(tmp_path):
    box_trees.write_pictures(tmp_path / "images", {name: ((40, 32), []) for name in ("a", "b")})
    (tmp_path / "map.pbtxt").write_text("item {\n  id: 3\n  name: 'cat'\n}\nitem { name: \"dog\" id: 7 }")
    box = (0.25, 0, 0.5, 1)
    features = {"object/class/label": [7, 3], "object/difficult": [1, 0], "object/is_crowd": [0, 1]}
    records(tmp_path / "train.record-00000-of-00002", record("a.png", [box, box], **features))
    records(tmp_path / "valid/fruit.tfrecord", record("b.png", [box], **{"object/class/text": [b"cat"]}))
    source = tfrecord.load(str(tmp_path), Data())
    assert source.classes == ["cat", "dog"]
    assert {name: pool.names for name, pool in source.image_sets.items()} == {
        "train": ["images/a.png"],
        "val": ["images/b.png"],
    }
    rows = source.image_sets["train"].annotations[0]
    assert rows[:, :6].tolist() == [[1, 10, 0, 20, 32, DIFFICULT], [0, 10, 0, 20, 32, CROWD]]
    assert rows[:, FLAG].tolist() == [DIFFICULT, CROWD]


@pytest.mark.parametrize(
    ("values", "flags"), [([1, 0], [DIFFICULT, NORMAL]), ([0.0, 1.0], [NORMAL, DIFFICULT]), ([b"0", b"True"], [0, 1])]
)
def test_flags_of_records_are_read_as_programs_write_them(tmp_path, values, flags):
    box_trees.write_pictures(tmp_path, {"a": ((40, 32), [])})
    boxes, classes = [(0, 0, 1, 1), (0, 0, 1, 0.5)], {"object/class/text": [b"cat"] * 2}
    records(tmp_path / "a.record", record("a.png", boxes, **classes, **{"object/difficult": values}))
    source = tfrecord.load(str(tmp_path), Data())
    assert source.image_sets["all"].annotations[0, :, FLAG].tolist() == flags


def test_a_number_with_two_names_in_label_maps_is_severe(tmp_path):
    root = box_trees.write_records(tmp_path, encoded=False)
    (root / "a.pbtxt").write_text("item { id: 1 name: 'cat' } item { id: 2 name: 'cat' }")
    (root / "b.pbtxt").write_text("item { id: 2 name: 'dog' }")
    source = tfrecord.load(str(root), Data())
    assert kinds(source)["class names"] == [
        "b.pbtxt: class 2 is cat, too",
        "a.pbtxt and b.pbtxt: classes 1 and 2 are called 'cat'",
    ]
    assert "class names" in severe(source)


def test_pictures_in_records_are_unpacked_anew_when_the_file_changes(tmp_path):
    for seed in (0, 1):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "x.png")
        encoded = (tmp_path / "x.png").read_bytes()
        row = record("../../../evil/x.png", [(0, 0, 1, 1)], **{"object/class/text": [b"cat"], "encoded": [encoded]})
        records(tmp_path / "data/all.tfrecord", row)
        pool = tfrecord.load(str(tmp_path / "data/all.tfrecord"), Data()).image_sets["all"]
        assert pool.names == ["all.tfrecord/0000000-x.png"]
        np.testing.assert_array_equal(next(pool.images(np.asarray)), pixels)
    assert not list(tmp_path.rglob("evil"))


def test_damaged_records_are_findings(tmp_path):
    root = box_trees.write_records(tmp_path, encoded=False)
    (root / "cut.record").write_bytes((root / "data.record").read_bytes()[:-9])
    records(root / "text.record", b"\xff\xff image/ no example")
    box = (0, 0, 1, 1)
    records(
        root / "odd.record",
        record("first.png", [box], **{"object/class/text": []}),
        record("first.png", [(0, float("nan"), 1, 1)], **{"object/class/text": [b"pear"]}),
        record("gone.png", [box], **{"object/class/text": [b"pear"]}),
        record("first.png", [box], **{"object/bbox/xmin": [b"a"], "object/class/text": [b"pear"]}),
    )
    source = tfrecord.load(str(root), Data())
    found = kinds(source)
    assert [line.partition(":")[0] for line in found["unreadable annotation"]] == ["cut.record", "text.record"]
    assert found["malformed box"] == [
        "odd.record, record 0: 0 classes, and 1, 1, 1, 1 sides of boxes",
        "odd.record, record 1: a side is nan, not a finite number",
        "odd.record, record 3: a side is b'a', not a number",
    ]
    assert found["no picture"] == [f"odd.record, record 2: no picture 'gone.png' in '{root}'"]
    assert severe(source) == {"unreadable annotation", "malformed box", "no picture"}


def test_records_of_a_missing_picture_are_not_put_on_one_of_another_folder(tmp_path):
    box_trees.write_pictures(tmp_path / "x", {"1": ((40, 32), [])})
    rows = [record(f"{folder}/1.png", [(0, 0, 1, 1)], **{"object/class/text": [b"cat"]}) for folder in "xy"]
    records(tmp_path / "all.record", *rows)
    source = tfrecord.load(str(tmp_path), Data())
    assert box_trees.found(source) == {"1": [("cat", 0, 0, 40, 32)]}
    assert kinds(source)["no picture"] == [f"all.record, record 1: no picture 'y/1.png' in '{tmp_path}'"]
