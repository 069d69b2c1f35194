"""voc:PATH: conventions, splits, layouts, every finding with file and line, hostile files."""

from pathlib import Path

import box_trees
import pytest
from box_trees import kinds, severe, voc_xml

from tinytrain.config import load as configs
from tinytrain.config.schema import Data
from tinytrain.data.boxes import DIFFICULT, FLAG
from tinytrain.data.load import load_dataset
from tinytrain.datasets import voc
from tinytrain.errors import UserError

BOX = ("cat", 5, 6, 20, 30)
GOOD = voc_xml([BOX])


def tree(root, **files):
    """Writes XML files, {stem: text}, and a picture of 40x32 for each and for good.xml."""
    files = {"good": GOOD} | files
    box_trees.write_pictures(root, {name: ((40, 32), []) for name in files})
    for name, text in files.items():
        (root / f"{name}.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def load(root, **keys):
    return voc.load(str(root), Data(**keys))


def corners(source):
    return {name: [row[1:] for row in rows] for name, rows in box_trees.found(source).items()}


def test_boxes_count_from_one_and_both_corners_are_inside(tmp_path):
    source = load(tree(tmp_path, other=voc_xml([("cat", 1, 1, 40, 32), ("cat", 2.5, 3.25, 7.5, 8, 1)])))
    assert corners(source) == {"good": [(4, 5, 20, 30)], "other": [(0, 0, 40, 32), (1.5, 2.25, 7.5, 8)]}
    assert source.image_sets["all"].annotations[1, :, FLAG].tolist() == [0, DIFFICULT]
    assert source.findings == ()


@pytest.mark.parametrize(
    ("text", "difficult"),
    [("True", True), ("true", True), ("1", True), (" 1 ", True), ("0", False), ("False", False), ("", False)],
)
def test_difficult_is_read_as_programs_write_it(tmp_path, text, difficult):
    source = load(tree(tmp_path, good=voc_xml([(*BOX, text)])))
    assert source.image_sets["all"].annotations[0, :, FLAG].tolist() == [DIFFICULT if difficult else 0]
    assert source.findings == ()


def test_another_word_for_difficult_is_severe(tmp_path):
    source = load(tree(tmp_path, other=voc_xml([(*BOX, "maybe")])))
    assert kinds(source) == {"malformed box": ["other.xml, line 6: difficult is 'maybe': expected 0 or 1"]}
    assert severe(source) == {"malformed box"}


def test_a_box_at_zero_makes_the_whole_set_count_from_zero(tmp_path):
    source = load(tree(tmp_path, other=voc_xml([("cat", 0, 3, 40, 32)])))
    assert corners(source) == {"good": [(5, 6, 20, 30)], "other": [(0, 3, 40, 32)]}
    assert kinds(source) == {"zero-based": ["other.xml, line 6"]}


def test_a_box_without_area_at_zero_tells_nothing(tmp_path):
    source = load(tree(tmp_path, other=voc_xml([("cat", 0, 0, 0, 0), ("cat", 7, 8, 7, 9), ("cat", 9, 9, 5, 12)])))
    assert corners(source)["good"] == [(4, 5, 20, 30)]
    lines = kinds(source)["no area"]
    assert [line.partition(":")[0] for line in lines] == [f"other.xml, line {n}" for n in (6, 10)]
    assert [line.partition(":")[0] for line in kinds(source)["swapped"]] == ["other.xml, line 14"]
    assert kinds(source)["emptied"] == ["other.png"]


def test_official_lists_are_the_splits(tmp_path):
    pictures = {name: ((40, 32), [("cat", 1, 2, 9, 8)]) for name in ("a", "b b", "ü", "d", "e")}
    root = box_trees.write_voc(tmp_path, pictures)
    main = root / "ImageSets/Main"
    main.mkdir(parents=True)
    for name, text in {"train": "a\nb b\n", "val": "ü  1\n\n", "trainval": "a\nb b\nü\n", "test": "d\nnone\n"}.items():
        (main / f"{name}.txt").write_text(text, encoding="utf-8")
    (main / "cat_train.txt").write_text("a -1\ne 1\n")
    source = load(root)
    assert {name: pool.names for name, pool in source.image_sets.items()} == {
        "train": ["JPEGImages/a.png", "JPEGImages/b b.png"],
        "val": ["JPEGImages/ü.png"],
        "test": ["JPEGImages/d.png"],
    }
    assert kinds(source)["no split"] == [str(root / "JPEGImages/e.png")]
    assert kinds(source)["no picture"] == [f"ImageSets/Main/test.txt, line 2: no picture 'none' in '{root}'"]
    (main / "train.txt").unlink()
    (main / "val.txt").unlink()
    source = load(root, skip_bad=True)
    assert {name: len(pool.names) for name, pool in source.image_sets.items()} == {"train": 3, "test": 1}
    assert severe(source) == set()


def test_the_folders_of_several_years_are_joined(tmp_path):
    for year, splits in {"VOC2007": ("train", "val", "test"), "VOC2012": ("train", "val")}.items():
        names = [f"{year}_{split}" for split in splits]
        root = box_trees.write_voc(tmp_path / year, {name: ((40, 32), [("cat", 1, 2, 9, 8)]) for name in names})
        box_trees.write_pictures(root / "SegmentationClass", {names[0]: ((40, 32), [])})
        (root / "ImageSets/Main").mkdir(parents=True)
        for split in splits:
            (root / f"ImageSets/Main/{split}.txt").write_text(f"{year}_{split}\n")
    source = load(tmp_path)
    assert {name: len(pool.names) for name, pool in source.image_sets.items()} == {"train": 2, "val": 2, "test": 1}
    assert source.findings == ()


@pytest.mark.parametrize("layout", ["parts above", "parts below", "beside", "annots and images"])
def test_other_layouts(tmp_path, layout):
    folders = {
        "parts above": [("train/annots", "train/images"), ("valid/annots", "valid/images")],
        "parts below": [("annots/train", "images/train"), ("annots/valid", "images/valid")],
        "beside": [("train", "train"), ("valid", "valid")],
        "annots and images": [("annots", "images")],
    }[layout]
    for xmls, images in folders:  # the same names in both splits
        box_trees.write_voc(tmp_path, xmls=xmls, images=images)
    source = load(tmp_path)
    expected = {"train", "val"} if len(folders) == 2 else {"all"}
    assert set(source.image_sets) == expected
    assert [len(pool.names) for pool in source.image_sets.values()] == [3] * len(folders)
    for name, pool in source.image_sets.items():
        assert {image.split("/")[0 if layout != "parts below" else 1] for image in pool.names} == {
            {"train": "train", "val": "valid", "all": "images"}[name]
        }
    assert box_trees.found(source) == box_trees.EXPECTED


def test_a_mask_of_the_same_name_is_not_the_picture(tmp_path):
    """As in Oxford Pets: annotations/xmls/*.xml, annotations/trimaps/*.png and images/*.jpg."""
    box_trees.write_voc(tmp_path, xmls="annotations/xmls", images="images")
    box_trees.write_pictures(tmp_path / "annotations/trimaps")
    source = load(tmp_path)
    assert {name.split("/")[0] for name in source.image_sets["all"].names} == {"images"}
    assert box_trees.found(source) == box_trees.EXPECTED


def test_the_name_in_the_file_is_taken_where_its_own_is_no_picture(tmp_path):
    root = tree(tmp_path, other=voc_xml([BOX], filename="photo.PNG"))
    (root / "other.png").rename(root / "photo.png")
    assert corners(load(root)) == {"good": [(4, 5, 20, 30)], "photo": [(4, 5, 20, 30)]}


def test_every_problem_is_told_at_once_with_file_and_line(tmp_path):
    root = tree(
        tmp_path,
        cut=GOOD[:-20],
        nan=voc_xml([("cat", "nan", 1, 5, 5)]),
        word=voc_xml([BOX, ("cat", 1, "x", 5, 5)]),
        infinite=voc_xml([("cat", 1, 1, "1e999", 5)]),
        nameless=voc_xml([(" ", 1, 1, 5, 5)]),
        boxless=GOOD.replace("bndbox", "robndbox"),
        alone=GOOD,
        double=GOOD,
        small=voc_xml([BOX], size=(20, 16)),
        large=voc_xml([BOX], size=(80, 64)),
        zero=voc_xml([BOX], size=(0, 0)),
        outside=voc_xml([("cat", 60, 1, 70, 9), ("cat", 30, 1, 49, 9), BOX, BOX, ("cat", 30, 2, 5000, 9)]),
    )
    (root / "alone.png").unlink()
    box_trees.write_pictures(root, {"double": ((40, 32), []), "empty": ((40, 32), [])}, suffix=".jpg")
    (root / "bad.png").write_bytes(b"none")
    (root / "bad.xml").write_text(GOOD)
    (root / "pom.xml").write_text("<project/>")
    source = load(root)
    found = kinds(source)
    assert found.pop("unreadable") == [f"{root / 'bad.png'}: {image_problem()}"]
    assert found == {
        "unreadable annotation": ["cut.xml: line 8: unclosed token"],
        "malformed box": [
            "boxless.xml, line 5: no xmin, ymin, xmax, ymax",
            "infinite.xml, line 6: xmax is '1e999', not a finite number",
            "nameless.xml, line 6: the class is '': expected a name",
            "nan.xml, line 6: xmin is 'nan', not a finite number",
            "word.xml, line 10: ymin is 'x', not a number",
        ],
        "no picture": [f"alone.xml: no picture 'alone' in '{root}'"],
        "two pictures": ["double.xml: double.jpg and double.png"],
        "size": [
            "large.xml: the file says 80x64, the picture has 40x32",
            "small.xml: the file says 20x16, the picture has 40x32",
        ],
        "outside": ["outside.xml, line 6: xmin 60, ymin 1, xmax 70, ymax 9, the picture has 40x32"],
        "clipped": ["outside.xml, line 10: xmin 30, ymin 1, xmax 49, ymax 9, the picture has 40x32"],
        "far beyond": ["outside.xml, line 22: xmin 30, ymin 2, xmax 5000, ymax 9, the picture has 40x32"],
        "same box": ["outside.xml, line 18: as outside.xml, line 14"],
        "background": ["double.jpg", "double.png", "empty.jpg"],
        "left out": ["pom.xml: no <annotation>"],
    }
    assert severe(source) == {"unreadable", "unreadable annotation", "malformed box", "no picture", "two pictures"}
    with pytest.raises(UserError, match="5 things are wrong"):
        load_dataset(configs.load(None, [f"data.spec=voc:{root}"]))


def image_problem():
    from tinytrain.data.reading import FORMATS

    return f"not an image in a supported format ({FORMATS})"


def test_skip_bad_leaves_out_what_cannot_be_read_with_its_picture(tmp_path):
    root = tree(tmp_path, cut=GOOD[:-20], nan=voc_xml([BOX, ("cat", "nan", 1, 5, 5)]), alone=GOOD, bad=GOOD)
    (root / "alone.png").unlink()
    (root / "bad.png").write_bytes(b"none")
    source = load(root, skip_bad=True)
    assert severe(source) == set()
    assert source.image_sets["all"].names == ["good.png"]
    assert "background" not in kinds(source)


def test_two_annotations_of_a_picture_are_severe(tmp_path):
    root = box_trees.write_voc(tmp_path, xmls="new", images="images")
    box_trees.write_voc(tmp_path, xmls="old", images="images")
    found = load(root)
    assert kinds(found)["two annotations"][0] == "images/first.png: new/first.xml and old/first.xml"
    assert "two annotations" in severe(found)


LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha">{}]>'.format(
    "".join(f'<!ENTITY b{n} "{f"&b{n - 1};" * 10}">' for n in range(1, 12)).replace("&b0;", "&b;")
)
HOSTILE = {
    "laughs": (LAUGHS + GOOD.replace("Unknown", "&b11;"), "line 1: it declares a DTD"),
    "outside": (
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + GOOD.replace("cat", "&x;"),
        "declares a DTD",
    ),
    "entity": (GOOD.replace("cat", "&x;"), "line 5: undefined entity"),
    "deep": ("<annotation>" + "<a>" * 100_000, "more than 100 nested elements"),
    "bytes": (b"\xff\xfe\x00\x01" * 20, "cannot be read"),
    "encoding": (b'<?xml version="1.0" encoding="gb2312"?><annotation/>', "multi-byte encodings are not supported"),
    "no encoding": (b'<?xml version="1.0" encoding="none"?><annotation/>', "unknown encoding"),
    "empty": (b"", "no element found"),
    "large": (b"<annotation>" + b" " * 17_000_000, "more than 16,000,000 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line_of_a_finding(name, tmp_path):
    text, reason = HOSTILE[name]
    source = load(tree(tmp_path, evil=text))
    lines = kinds(source)["unreadable annotation"]
    assert len(lines) == 1
    assert lines[0].startswith("evil.xml: ")
    assert name == "bytes" or reason in lines[0]
    assert corners(source) == {"good": [(4, 5, 20, 30)]}


def test_other_encodings_are_read(tmp_path):
    text = '<?xml version="1.0" encoding="{}"?>' + voc_xml([("Kätzchen", 5, 6, 20, 30)])
    files = {name: text.format(name).encode(name) for name in ("latin1", "utf-16", "cp1252")}
    assert load(tree(tmp_path, **files)).classes == ["Kätzchen", "cat"]


@pytest.mark.parametrize(("xmls", "images"), [("Annotations", "JPEGImages"), (".", ".")])
def test_a_file_without_its_picture_is_not_put_on_one_of_another_folder(tmp_path, xmls, images):
    box_trees.write_voc(tmp_path / "a", xmls=xmls, images=images)
    (tmp_path / "b" / xmls).mkdir(parents=True)
    (tmp_path / "b" / xmls / "third.xml").write_text(GOOD)
    source = load(tmp_path)
    assert box_trees.found(source) == box_trees.EXPECTED  # third has no boxes
    file, picture = Path("b") / xmls / "third.xml", Path("a") / images / "third.png"
    assert kinds(source)["no picture"] == [f"{file}: no picture of that name near it, only {picture}"]
    assert severe(source) == {"no picture"}


def test_one_file_beside_its_picture_does_not_keep_others_from_theirs(tmp_path):
    root = box_trees.write_voc(tmp_path)
    (root / "JPEGImages/third.xml").write_text(voc_xml([("apple", 3, 4, 9, 9)]))
    source = load(root)
    assert box_trees.found(source) == box_trees.EXPECTED | {"third": [("apple", 2, 3, 9, 9)]}
    assert source.findings == ()


def test_a_list_that_names_a_missing_folder_takes_no_picture_of_another_one(tmp_path):
    root = box_trees.write_voc(tmp_path, images="JPEGImages/x")
    (root / "ImageSets/Main").mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("x/first\nx/third\ny/über 2\n", encoding="utf-8")
    source = load(root)
    assert source.image_sets["train"].names == ["JPEGImages/x/first.png", "JPEGImages/x/third.png"]
    assert severe(source) == {"no picture"}
