"""coco:PATH: ids, crowds, splits, layouts, every finding with its place, hostile files."""

import copy
import json

import box_trees
import pytest
from box_trees import kinds, severe

from tinytrain.config.schema import Data
from tinytrain.data.boxes import AREA, CROWD, FLAG, NORMAL
from tinytrain.datasets import coco
from tinytrain.errors import UserError

NAME = "annotations/instances_default.json"


def load(root, **keys):
    return coco.load(str(root), Data(**keys))


def test_crowds_and_the_area_of_outlines_are_kept(tmp_path):
    file = box_trees.coco()
    file["annotations"][0] |= {"iscrowd": 1, "area": 77.5, "segmentation": {"counts": [1, 2], "size": [32, 40]}}
    file["annotations"][1] |= {"area": None}
    rows = load(box_trees.write_coco(tmp_path, file)).image_sets["all"].annotations[0]
    assert rows[:2, FLAG].tolist() == [CROWD, NORMAL]
    assert rows[:2, AREA].tolist() == [77.5, 30 * 16]


@pytest.mark.parametrize(
    ("value", "flag"), [(1, CROWD), (True, CROWD), ("1", CROWD), (1.0, CROWD), (0, NORMAL), (None, NORMAL)]
)
def test_crowds_are_read_as_programs_write_them(tmp_path, value, flag):
    file = box_trees.coco()
    file["annotations"].append(file["annotations"][0] | {"bbox": [1, 1, 9, 9]})  # of a class of crowds none is kept
    file["annotations"][0]["iscrowd"] = value
    file["annotations"][2]["iscrowd"] = [1]
    source = load(box_trees.write_coco(tmp_path, file))
    assert source.image_sets["all"].annotations[0, 0, FLAG] == flag
    assert kinds(source)["malformed box"] == [f"{NAME}, annotations[2]: iscrowd is [1]: expected 0 or 1"]


@pytest.mark.parametrize("layout", ["coco", "folders", "roboflow"])
def test_a_split_is_told_by_the_file_or_its_folder(tmp_path, layout):
    """The same names of pictures in both splits; train has the class that val lacks, its ids differ."""
    for split, word, classes in (("train", "train2017", ("apple", "pear")), ("val", "val2017", ("pear", "apple"))):
        images = {"coco": word, "folders": f"images/{split}", "roboflow": "valid" if split == "val" else split}[layout]
        name = {"coco": f"annotations/instances_{word}.json", "folders": f"annotations/{split}.json"}.get(layout)
        box_trees.write_pictures(tmp_path / images)
        path = tmp_path / (name or f"{images}/_annotations.coco.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(box_trees.coco(classes=classes)))
    if layout == "coco":
        (tmp_path / "annotations/captions_val2017.json").write_text('{"images": [], "annotations": [{"caption": ""}]}')
    source = load(tmp_path)
    assert source.classes == ["apple", "pear"]
    assert {name: len(pool.names) for name, pool in source.image_sets.items()} == {"train": 3, "val": 3}
    for name, pool in source.image_sets.items():
        assert all({"train": "train", "val": "val"}[name] in image for image in pool.names)
        assert box_trees.found(source) == box_trees.EXPECTED
    assert kinds(source).keys() == {"background"} | ({"left out"} if layout == "coco" else set())


def test_a_json_file_can_be_named(tmp_path):
    root = box_trees.write_coco(tmp_path)
    (root / "annotations/instances_other.json").write_text("no JSON")
    source = load(root / NAME)
    assert box_trees.found(source) == box_trees.EXPECTED
    assert box_trees.severe(source) == set()


def test_every_problem_is_told_at_once_with_its_place(tmp_path):
    file = box_trees.coco()
    box = file["annotations"][0]
    file["annotations"] += [
        box | {"bbox": [1, 2, float("nan"), 4]},
        box | {"bbox": [1, 2, float("inf"), 4]},
        box | {"bbox": [1, 2, 3]},
        box | {"bbox": "1 2 3 4"},
        box | {"bbox": [1, 2, True, 10**400]},
        box | {"category_id": -3},
        box | {"category_id": [1]},
        box | {"image_id": 4},
        box | {"image_id": {}},
        box | {"bbox": [1, 2, 0, 4]},
        box | {"bbox": [1, 2, -3, 4]},
        box | {"bbox": [-9, 2, 12, 4]},
        box | {"bbox": [60, 2, 12, 4]},
        box,
        17,
    ]
    file["images"] += [
        {"id": 5, "file_name": "../../etc/passwd"},
        {"id": 6, "file_name": 7},
        {"id": 900, "file_name": "third.png"},
        None,
    ]
    file["categories"] += [{"id": 7, "name": "plum"}, {"id": 8}, {"id": 99, "name": "cells"}]
    source = load(box_trees.write_coco(tmp_path, file))
    at = [f"{NAME}, annotations[{n}]: " for n in range(20)]
    found = kinds(source)
    assert found == {
        "malformed box": [
            f"{NAME}, images[4]: file_name is 7",
            f"{NAME}, images[5]: the id 900 is that of another image, too",
            f"{NAME}, images[6]: it is None: expected an object",
            at[5] + "bbox is nan, not a finite number",
            at[6] + "bbox is inf, not a finite number",
            at[7] + "bbox is [1, 2, 3]: expected 4 numbers",
            at[8] + "bbox is '1 2 3 4': expected 4 numbers",
            at[9] + "bbox is True, not a number",
            at[11] + "category_id is [1]",
            at[13] + "image_id is {}",
            at[19] + "it is 17: expected an object",
        ],
        "unknown class": [at[10] + "category_id -3 is not among the categories"],
        "no picture": [
            f"{NAME}, images[3]: no picture '../../etc/passwd' in '{tmp_path}'",
            at[12] + "image_id 4 is not among the images",
        ],
        "class names": [
            f"{NAME}, categories[2]: id 7 is apple, too",
            f"{NAME}, categories[3]: the class is None: expected a name",
        ],
        "unused class": ["cells"],
        "background": ["images/third.png"],
    }
    assert severe(source) == {"malformed box", "unknown class", "no picture", "class names"}
    # the picture of the malformed boxes is left out as a whole; without them, its boxes have their own findings
    file["annotations"] = [one for n, one in enumerate(file["annotations"]) if n not in (5, 6, 7, 8, 9, 11, 13, 19)]
    found = kinds(load(box_trees.write_coco(tmp_path / "again", file)))
    assert [len(found[kind]) for kind in ("no area", "swapped", "clipped", "outside", "same box")] == [1] * 5


def test_two_categories_of_one_name_are_severe_if_both_have_boxes(tmp_path):
    file = box_trees.coco()
    file["categories"] += [{"id": 3, "name": " apple"}]
    without_a_box = load(box_trees.write_coco(tmp_path / "roboflow", file))
    assert kinds(without_a_box) == {"background": ["images/third.png"]}
    assert "apple" in without_a_box.classes
    file["annotations"].append(file["annotations"][0] | {"category_id": 3, "bbox": [1, 1, 9, 9]})
    source = load(box_trees.write_coco(tmp_path / "two", file))
    assert kinds(source) == {
        "class names": [f"{NAME}: classes 3 and 7 are called 'apple'"],
        "background": ["images/third.png"],
    }
    assert severe(source) == {"class names"}


def test_a_box_is_told_with_the_numbers_of_its_file(tmp_path):
    file = box_trees.coco()
    file["annotations"][0]["bbox"] = [4, 8, 16, 0]
    source = load(box_trees.write_coco(tmp_path, file))
    assert kinds(source)["no area"] == [f"{NAME}, annotations[0]: x 4, y 8, width 16, height 0"]


def test_pictures_beside_those_that_are_named_are_left_out(tmp_path):
    root = box_trees.write_coco(tmp_path)
    box_trees.write_pictures(root / "images", {"more": ((8, 8), [])})
    source = load(root)
    assert kinds(source)["left out"] == ["images/more.png: no JSON file names it"]
    assert "images/more.png" not in source.image_sets["all"].names


def test_no_picture_outside_of_the_folder_is_opened(tmp_path):
    box_trees.write_pictures(tmp_path, {"secret": ((40, 32), [])})
    file = box_trees.coco()
    for number, name in enumerate(["../secret.png", str(tmp_path / "secret.png"), "images/../../secret.png"]):
        file["images"][number]["file_name"] = name
    with pytest.raises(UserError, match=r"none of the .* pictures with annotations in .* can be used") as error:
        load(box_trees.write_coco(tmp_path / "data", file))
    assert str(error.value).count("no picture '") == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: Expecting value"),
        ('{\n"images": [', "line 2: Expecting value"),
        ("[1, 2]", "it holds a list: expected an object"),
        ('{"images": {}, "annotations": []}', "images is {}: expected a list"),
        ('{"annotations": []}', "it has no images"),
        ('{"images": [], "annotations": 5}', "annotations is 5: expected a list"),
        ("[" * 200_000, "not JSON (RecursionError)"),
        ('{"images": [], "annotations": [], "categories": [' + "9" * 5000 + "]}", "not JSON (ValueError)"),
        (b"\xff\xfe\xff", "not JSON (UnicodeDecodeError)"),
    ],
)
def test_a_hostile_file_is_one_line_of_a_finding(tmp_path, text, reason):
    root = box_trees.write_coco(tmp_path)
    (root / "annotations/instances_evil.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    source = load(root)
    assert kinds(source)["unreadable annotation"] == [f"annotations/instances_evil.json: {reason}"]
    assert box_trees.found(source) == box_trees.EXPECTED


def test_data_without_a_box_or_a_picture_to_train_on_are_refused(tmp_path):
    file = box_trees.coco()
    empty = copy.deepcopy(file) | {"annotations": []}
    with pytest.raises(UserError, match=r"no box in .* can be used"):
        load(box_trees.write_coco(tmp_path / "a", empty))
    with pytest.raises(UserError, match="has pictures for test, but none for train"):
        load(box_trees.write_coco(tmp_path / "b", file, "annotations/instances_test.json"))


def named(*names):
    """Returns a JSON file of pictures with a box each; the boxes are told apart by their left side."""
    images = [{"id": number, "file_name": name, "width": 40, "height": 32} for number, name in enumerate(names)]
    boxes = [{"image_id": number, "category_id": 1, "bbox": [number, 1, 9, 9]} for number in range(len(names))]
    return {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "apple"}]}


def lefts(source):
    """Returns {name of a picture: left sides of its boxes}."""
    return {
        name: rows[rows[:, 0] >= 0, 1].tolist()
        for pool in source.image_sets.values()
        for name, rows in zip(pool.names, pool.annotations, strict=True)
    }


def pictures_at(root, *names):
    for name in names:
        folder, _, stem = name.rpartition("/")
        box_trees.write_pictures(root / folder, {stem: ((40, 32), [])})


def write_named(root, **files):
    """Writes annotations/instances_NAME.json for each."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        (root / f"annotations/instances_{name}.json").write_text(json.dumps(file))
    return load(root)


def test_boxes_of_a_missing_picture_are_not_put_on_one_of_another_folder(tmp_path):
    pictures_at(tmp_path, "images/x/1")
    source = write_named(tmp_path, all=named("x/1.png", "y/1.png"))
    assert lefts(source) == {"images/x/1.png": [0]}
    assert kinds(source)["no picture"] == [
        f"annotations/instances_all.json, images[1]: no picture 'y/1.png' in '{tmp_path}'"
    ]
    assert severe(source) == {"no picture"}


def test_boxes_of_a_missing_picture_are_not_put_on_one_of_another_split(tmp_path):
    pictures_at(tmp_path, "train2017/0001", "train2017/0002", "val2017/0009")
    source = write_named(tmp_path, train2017=named("0002.png"), val2017=named("0009.png", "0001.png"))
    assert lefts(source) == {"train2017/0002.png": [0], "val2017/0009.png": [0]}
    assert len(kinds(source)["no picture"]) == 1
    assert severe(source) == {"no picture"}


@pytest.mark.parametrize("name", ["0001.png", "train2017/0001.png"])
def test_a_split_may_take_pictures_of_a_folder_called_otherwise(tmp_path, name):
    """Without pictures of its own, or where the name says so."""
    pictures_at(tmp_path, "train2017/0001", "train2017/0002")
    if "/" in name:
        pictures_at(tmp_path, "val2017/0009")
    source = write_named(tmp_path, train2017=named("0002.png"), val2017=named(name))
    assert source.image_sets["val"].names == ["train2017/0001.png"]
    assert severe(source) == set()


def test_moved_pictures_are_found_but_not_by_two_names(tmp_path):
    pictures_at(tmp_path, "images/1", "images/2")
    source = write_named(tmp_path, all=named("x/1.png", "y/z/2.png"))
    assert lefts(source) == {"images/1.png": [0], "images/2.png": [1]}
    assert source.findings == ()
    source = write_named(tmp_path, all=named("x/1.png", "y/z/2.png", "y/1.png"))
    place = "annotations/instances_all.json, images"
    assert kinds(source)["two names"] == [f"images/1.png: 'x/1.png' ({place}[0]) and 'y/1.png' ({place}[2])"]
    assert severe(source) == {"two names"}


def test_two_files_may_not_name_a_picture_in_two_ways(tmp_path):
    pictures_at(tmp_path, "images/1")
    assert severe(write_named(tmp_path, a=named("x/1.png"), b=named("y/1.png"))) == {"two names"}


@pytest.mark.parametrize("prefix", ["/content/data/", "C:\\data\\", "data/fruit/"])
def test_names_may_begin_where_another_computer_has_the_pictures(tmp_path, prefix):
    pictures_at(tmp_path, "x/1", "x/2")
    source = write_named(tmp_path, all=named(f"{prefix}x/1.png", f"{prefix}x/2.png", f"{prefix}y/1.png"))
    assert lefts(source) == {"x/1.png": [0], "x/2.png": [1]}
    assert severe(source) == {"no picture"}


def test_a_class_of_crowds_alone_is_left_out_with_them(tmp_path):
    file = named("a.png", "b.png")
    file["categories"] = [{"id": 2, "name": "crowd"}, {"id": 1, "name": "apple"}, {"id": 3, "name": "pear"}]
    crowds = [(0, 2), (1, 2), (1, 1)]
    file["annotations"] = [{"image_id": 0, "category_id": 3, "bbox": [7, 1, 9, 9]}]
    file["annotations"] += [
        {"image_id": image, "category_id": category, "bbox": [1, 1, 20, 20], "iscrowd": 1}
        for image, category in [*crowds, (0, 3)]
    ]
    pictures_at(tmp_path, "images/a", "images/b")
    source = write_named(tmp_path, all=file)
    assert source.classes == ["pear"]
    assert source.image_sets["all"].annotations[..., [0, 1, FLAG]].tolist() == [
        [[0, 7, NORMAL], [0, 1, CROWD]],
        [[-1, 0, 0], [-1, 0, 0]],
    ]
    assert source.image_sets["all"].written_at == [
        [f"annotations/instances_all.json, annotations[{number}]" for number in (0, 4)],
        [],
    ]
    assert kinds(source) == {"unused class": ["apple", "crowd"], "background": ["images/b.png"]}


def test_crowds_alone_are_nothing_to_learn_from(tmp_path):
    file = named("a.png")
    file["annotations"][0]["iscrowd"] = 1
    pictures_at(tmp_path, "images/a")
    with pytest.raises(UserError, match=r"no box in .* can be used"):
        write_named(tmp_path, all=file)
