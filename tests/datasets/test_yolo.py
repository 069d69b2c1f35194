"""yolo:PATH: data.yaml, obj.data or folders; polygons; every finding with file and line; hostile files."""

import box_trees
import pytest
from box_trees import kinds, severe

from tinytrain.config.schema import Data
from tinytrain.data import yolo_config
from tinytrain.datasets import yolo
from tinytrain.errors import UserError


def load(root, **keys):
    return yolo.load(str(root), Data(**keys))


def split_tree(root, above, words=("train", "valid")):
    """Writes train/images or images/train, and so on."""
    for word in words:
        images, labels = (f"{word}/images", f"{word}/labels") if above else (f"images/{word}", f"labels/{word}")
        box_trees.write_pictures(root / images)
        (root / labels).mkdir(parents=True)
        for name in box_trees.PICTURES:
            (root / labels / f"{name}.txt").write_text(box_trees.yolo_lines(name))
    return root


NAMES = "names: {0: apple, 1: pear}\n"
YAMLS = {
    "roboflow": (
        True,
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['apple', 'pear']\n",
    ),
    "here": (True, f"train: ./train/images/\nval: valid/images\n{NAMES}"),
    "absolute": (True, f"train: /content/a data set/train/images\nval: C:\\data\\valid\\images\n{NAMES}"),
    "ultralytics": (False, f"path: ../datasets/fruit\ntrain: images/train\nval: images/valid\n{NAMES}"),
    "lists": (False, f"train: [images/train]\nval: val.txt\n{NAMES}"),
    "folders": (False, "names:\n  - apple\n  - pear\n"),
    "folders above": (True, "names: [apple, pear]"),
}


@pytest.mark.parametrize("kind", YAMLS)
def test_the_usual_ways_to_write_data_yaml(tmp_path, kind):
    above, yaml = YAMLS[kind]
    root = split_tree(tmp_path / "fruit", above)
    (root / "data.yaml").write_text(yaml)
    (root / "README.roboflow.txt").write_text("exported\n")
    if kind == "lists":
        lines = [f"./images/valid/{name}.png" for name in box_trees.PICTURES]
        (root / "val.txt").write_text("\n".join(lines), encoding="utf-8")
    for argument in (root, root / "data.yaml"):
        source = load(argument)
        assert {name: len(pool.names) for name, pool in source.image_sets.items()} == {"train": 3, "val": 3}
        assert all(name in image for name, pool in source.image_sets.items() for image in pool.names)
        assert (source.classes, box_trees.found(source)) == (["apple", "pear"], box_trees.EXPECTED)
        assert severe(source) == set()
        assert ("same split" in kinds(source)) == (kind == "roboflow")  # there is no test/images


def test_darknet(tmp_path):
    root = tmp_path
    box_trees.write_pictures(root / "obj_train_data")
    for name in box_trees.PICTURES:
        (root / "obj_train_data" / f"{name}.txt").write_text(box_trees.yolo_lines(name))
    (root / "obj.data").write_text("classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n")
    (root / "obj.names").write_text("apple\npear\n")
    lines = "\n".join(f"data/obj_train_data/{name}.png" for name in [*box_trees.PICTURES, "gone"])
    (root / "train.txt").write_text(lines, encoding="utf-8")
    for argument in (root, root / "obj.data"):
        source = load(argument)
        assert list(source.image_sets) == ["train"]
        assert (source.classes, box_trees.found(source)) == (["apple", "pear"], box_trees.EXPECTED)
        assert kinds(source)["no picture"][0].startswith("train.txt, line 4: no picture 'data/obj_train_data/gone.png'")


@pytest.mark.parametrize("name", ["classes.txt", "labels/classes.txt", "train/_darknet.labels"])
def test_without_a_config_a_file_names_the_classes(tmp_path, name):
    root = box_trees.write_yolo(tmp_path, yaml="")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("apple\npear\n")
    assert box_trees.found(load(root)) == box_trees.EXPECTED


@pytest.mark.parametrize("darknet", [True, False])
def test_a_name_that_stands_twice_in_a_file_of_names_is_severe(tmp_path, darknet):
    root = box_trees.write_yolo(tmp_path, yaml="")
    (root / ("obj.names" if darknet else "classes.txt")).write_text("apple\npear\npear\n")
    if darknet:
        (root / "obj.data").write_text("classes = 3\nnames = obj.names\n")
    name = "obj.data" if darknet else "classes.txt"
    assert kinds(load(root)) == {
        "class names": [f"{name}: classes 1 and 2 are called 'pear'"],
        "background": ["images/third.png"],
    }


@pytest.mark.parametrize(("name", "expected"), [("classes.txt", "the names of the classes"), ("all.txt", "pictures")])
def test_a_file_of_names_that_is_too_large_is_refused_in_one_sentence(tmp_path, monkeypatch, name, expected):
    root = box_trees.write_yolo(tmp_path, yaml="" if name == "classes.txt" else "names: [apple, pear]\ntrain: all.txt")
    (root / name).write_text("apple\npear\n")
    monkeypatch.setattr(yolo_config if name == "classes.txt" else yolo, "MOST_BYTES", 10)
    with pytest.raises(UserError, match=rf"cannot read '.*{name}' \(more than 10 bytes\): expected .*{expected}"):
        load(root)


def test_outlines_and_key_points(tmp_path):
    root = box_trees.write_yolo(tmp_path)
    (root / "labels/third.txt").write_text("1 0.1 0.25 0.5 0.5 0.3 1\n0 0.25 0.25 0.5 0.25 0.5 0.5 0.25 0.5\n")
    source = load(root)
    assert box_trees.found(source)["third"] == [("apple", 10, 8, 20, 16), ("pear", 4, 8, 20, 32)]
    assert kinds(source)["polygon"] == ["labels/third.txt, line 1", "labels/third.txt, line 2"]
    (root / "data.yaml").write_text("names: [apple, pear]\nkpt_shape: [2, 3]\n")
    (root / "labels/third.txt").write_text("1 0.5 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 1\n")
    assert box_trees.found(load(root))["third"] == [("pear", 10, 8, 30, 24)]


def test_every_problem_is_told_at_once_with_file_and_line(tmp_path):
    root = box_trees.write_yolo(tmp_path)
    lines = {
        "number": "1 0.5 0.5 0.2 x",
        "nan": "1 nan 0.5 0.2 0.2",
        "infinite": "\n1 0.5 0.5 inf 0.2",
        "few": "1 0.5 0.5 0.2",
        "confidence": "1 0.5 0.5 0.2 0.2 0.9",
        "half": "0.5 0.5 0.5 0.2 0.2",
        "unknown": "2 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2 0.2\n-1 0.5 0.5 0.2 0.2",
        "rest": "0 0.5 0.5 0 0.2\n0 0.5 0.5 0.2 0.2\n1 0 0.5 0.2 0.2\n1 3 3 0.1 0.1\n0 0.5 0.5 0.2 0.2",
        "binary": "",
    }
    box_trees.write_pictures(root / "images", {name: ((40, 32), []) for name in [*lines, "unlabelled"]})
    for name, text in (lines | {"alone": "0 0.5 0.5 0.2 0.2"}).items():
        (root / f"labels/{name}.txt").write_text(text)
    (root / "labels/binary.txt").write_bytes(b"\xff\xfe\x80")
    source, count = load(root), "numbers after the class: expected 4 for a box, or 6 and more for a polygon"
    assert kinds(source) == {
        "unreadable annotation": ["labels/binary.txt: no text"],
        "malformed box": [
            f"labels/confidence.txt, line 1: 5 {count}",
            f"labels/few.txt, line 1: 3 {count}",
            "labels/half.txt, line 1: the class is 0.5: expected a whole number",
            "labels/infinite.txt, line 2: a number is 'inf', not a finite number",
            "labels/nan.txt, line 1: a number is 'nan', not a finite number",
            "labels/number.txt, line 1: a number is 'x', not a number",
        ],
        "no picture": ["labels/alone.txt: no picture of that name"],
        "unknown class": [
            "labels/unknown.txt, line 1: class 2, but there are names for 0 to 1",
            "labels/unknown.txt, line 3: class -1, but there are names for 0 to 1",
        ],
        "no area": ["labels/rest.txt, line 1: 0.5 0.5 0 0.2"],
        "clipped": ["labels/rest.txt, line 3: 0 0.5 0.2 0.2, the picture has 40x32"],
        "outside": ["labels/rest.txt, line 4: 3 3 0.1 0.1, the picture has 40x32"],
        "same box": ["labels/rest.txt, line 5: as labels/rest.txt, line 2"],
        "background": ["images/third.png", "images/unlabelled.png"],
    }
    assert severe(source) == {"unreadable annotation", "malformed box", "no picture", "unknown class"}


@pytest.mark.parametrize(
    ("yaml", "line"),
    [
        ("names: [apple, pear]\nnc: 3", "data.yaml: nc is '3', but names has 2"),
        ("names: [apple, pear, '']", "data.yaml, names: the class is '': expected a name"),
        ("names: {0: apple, 1: pear, x: plum}", "data.yaml, names: 'x' is not a class number"),
        ("names: [apple, pear, apple]", "data.yaml: classes 0 and 2 are called 'apple'"),
        ("names: {0: pear, 1: ' pear'}", "data.yaml: classes 0 and 1 are called 'pear'"),
        ("names: {0: apple, 1: pear, 01: plum}", "data.yaml, names: class 1 has two names"),
        ("names: {0: apple, 1: pear, 2: [plum]}", "data.yaml, names: the class is ['plum']: expected a name"),
    ],
)
def test_mistakes_in_the_names_are_severe(tmp_path, yaml, line):
    source = load(box_trees.write_yolo(tmp_path, yaml))
    assert kinds(source)["class names"] == [line]
    assert severe(source) == {"class names"}


def test_names_are_texts_whatever_yaml_takes_them_for(tmp_path):
    source = load(box_trees.write_yolo(tmp_path, "names:\n  0: no\n  1: 1e3\n  5: unused\n"))
    assert source.classes == ["no", "1e3"]
    assert kinds(source)["unused class"] == ["unused"]


LAUGHS = "a0: &a0 [ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("yaml", "sentence"),
    [
        ("", "no data.yaml, obj.data or classes.txt"),
        ("nc: 2", "names no classes"),
        ("names: []", "names no classes"),
        ("names: [apple, pear]\ntrain: [", "line 2: "),
        ("names: {0: apple, 1: pear, 1: plum}", "line 1: '1' again"),
        ("names: [apple, pear]\nval: images", "names no pictures for train"),
        ("names: [apple, pear]\ntrain: elsewhere", "names 'elsewhere' for train, which is not in"),
        ("names: [apple, pear]\ntrain: ../../etc", "names '../../etc' for train, which is not in"),
        ("names: [apple, pear]\ntrain: /etc", "names '/etc' for train, which is not in"),
        ("path: /\nnames: [apple, pear]\ntrain: etc", "names 'etc' for train, which is not in"),
        ("names: [apple, pear]\ntrain: {a: b}", "is not a path"),
        ('names: [apple, pear]\ntrain: "a\\0b"', "is not a path"),
        ("names: " + "[" * 5_000, "no YAML"),
        (LAUGHS + "names: *a39", "names no classes"),
        ("names:\n- a\n" + "#" * 11_000_000, "more than 10,000,000 bytes"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_in_one_sentence(tmp_path, yaml, sentence):
    box_trees.write_pictures(tmp_path / "etc")
    root = box_trees.write_yolo(tmp_path / "data/fruit", yaml)
    with pytest.raises(UserError) as error:
        load(root / "data.yaml" if yaml else root)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_an_object_of_python_in_a_config_is_not_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = load(box_trees.write_yolo(tmp_path, "names: !!python/object/apply:os.system ['touch PWNED']"))
    assert source.classes == ["touch PWNED"]
    assert not (tmp_path / "PWNED").exists()


def test_a_split_that_is_train_again_is_left_out(tmp_path):
    source = load(box_trees.write_yolo(tmp_path, f"train: images\nval: images\n{NAMES}"))
    assert list(source.image_sets) == ["train"]
    assert kinds(source)["same split"] == ["data.yaml: val is the same as train"]


def test_several_configs_ask_for_one(tmp_path):
    root = box_trees.write_yolo(tmp_path, yaml="")
    for name in ("a", "b"):
        (root / f"{name}.yaml").write_text(NAMES)
    with pytest.raises(UserError, match=r"holds a\.yaml, b\.yaml: name one of them, as in yolo:"):
        load(root)
    assert box_trees.found(load(root / "b.yaml")) == box_trees.EXPECTED


ONE = {"1": ((40, 32), [("apple", 10, 8, 30, 24)])}


def pictures_in(root, *folders, suffix=".png"):
    """Writes a picture called 1 into folders, and the names of the classes."""
    for folder in folders:
        box_trees.write_pictures(root / folder, ONE, suffix)
    (root / "classes.txt").write_text("apple\npear\n")


def label_in(root, *folders):
    """Writes a label file of picture 1 into folders."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "1.txt").write_text(box_trees.yolo_lines("1", ONE))


def boxes_of(source):
    """Returns {name of a picture: number of its boxes}."""
    return {
        name: int((rows[:, 0] >= 0).sum())
        for pool in source.image_sets.values()
        for name, rows in zip(pool.names, pool.annotations, strict=True)
    }


@pytest.mark.parametrize("layout", ["{}/images {}/labels", "images/{} labels/{}", "{} {}", "{}/photos {}/boxes"])
def test_a_background_gets_no_boxes_of_another_folder(tmp_path, layout):
    images, labels = layout.split()
    pictures_in(tmp_path, images.format("cam1"), images.format("cam2"))
    box_trees.write_pictures(tmp_path / images.format("cam1"), {"2": ((40, 32), [])})
    label_in(tmp_path, labels.format("cam1"))
    if "boxes" in labels:  # found by its name alone: that of the other folder is none
        (tmp_path / labels.format("cam1") / "2.txt").write_text("")
        (tmp_path / images.format("cam2") / "1.png").rename(tmp_path / images.format("cam2") / "3.png")
    source = load(tmp_path)
    found = {name: count for name, count in boxes_of(source).items() if count}
    assert found == {images.format("cam1") + "/1.png": 1}
    assert severe(source) == set()


def test_a_label_whose_picture_is_missing_is_not_put_on_one_of_another_folder(tmp_path):
    pictures_in(tmp_path, "cam1/images", "cam3/images")
    box_trees.write_pictures(tmp_path / "cam2/images", {"2": ((40, 32), [])})
    label_in(tmp_path, "cam1/labels", "cam3/labels")
    (tmp_path / "cam3/labels/2.txt").write_text(box_trees.yolo_lines("1", ONE))
    source = load(tmp_path)
    assert boxes_of(source) == {"cam1/images/1.png": 1, "cam2/images/2.png": 0, "cam3/images/1.png": 1}
    line = "cam3/labels/2.txt: no picture of that name near it, only cam2/images/2.png"
    assert kinds(source)["no picture"] == [line]
    assert "no picture" in severe(source)


@pytest.mark.parametrize("labels", ["labels", "boxes"])
def test_one_label_file_of_two_pictures_is_severe(tmp_path, labels):
    pictures_in(tmp_path, "images")
    pictures_in(tmp_path, "images", suffix=".jpg")
    box_trees.write_pictures(tmp_path / "images", {"2": ((40, 32), [])})
    label_in(tmp_path, labels)
    (tmp_path / labels / "2.txt").write_text(box_trees.yolo_lines("1", ONE))
    source = load(tmp_path)
    assert kinds(source)["two pictures"] == [f"{labels}/1.txt: images/1.jpg and images/1.png"]
    assert severe(source) == {"two pictures"}
    assert boxes_of(source) == {"images/1.jpg": 0, "images/1.png": 0, "images/2.png": 1}


def test_labels_are_found_by_their_names_alone_where_folders_are_called_otherwise(tmp_path):
    pictures_in(tmp_path, "photos/a")
    box_trees.write_pictures(tmp_path / "photos/b", {"2": ((40, 32), [])})
    label_in(tmp_path, "boxes")
    (tmp_path / "boxes/2.txt").write_text(box_trees.yolo_lines("1", ONE))
    source = load(tmp_path)
    assert boxes_of(source) == {"photos/a/1.png": 1, "photos/b/2.png": 1}
    assert kinds(source).keys() == {"unused class"}


def test_a_box_in_pixels_is_refused_as_what_it_is(tmp_path):
    root = box_trees.write_yolo(tmp_path)
    label = next(path for path in sorted(root.rglob("*.txt")) if path.read_text().strip())
    label.write_text("0 120 80 50 60\n")
    source = load(root)
    (line,) = kinds(source)["malformed box"]
    assert line.endswith("120 80 50 60 look like pixels: expected shares of the picture, 0 to 1")
    assert "malformed box" in severe(source)
