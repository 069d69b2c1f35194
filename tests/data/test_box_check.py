"""The check of boxes, on datasets with one fault each, worked by hand."""

import dataclasses

import numpy as np
import pytest
from box_datasets import dataset, noise

from tinytrain.config import load as configs
from tinytrain.data import box_class_check, box_rows, boxes, check, splits
from tinytrain.data.boxes import Box
from tinytrain.errors import UserError

CELL, DOT = 0, 1
# 16 of one class, 16 of the other in 12 training images; each box is in a cell of its own at 64 px
GOOD = [Box(CELL, (4, 4, 20, 20)), Box(DOT, (36, 36, 60, 56))]
KEYS = ("model.resolution=64", "data.resize=stretch", "detect.strides=[32,16]", "detect.head=yolo3_lite")


def good(train=12, val=3, test=3):
    counts = {"train": train, "val": val, "test": test}
    return {
        split: [(noise(1000 * number + image), list(GOOD)) for image in range(count)]
        for number, (split, count) in enumerate(counts.items())
    }


def findings(folder, parts, *words, **extra):
    """Returns {kind: finding} of the dataset in its official splits, without the one of a small val split."""
    source = dataset(folder, parts, **extra)
    typed, config = configs.load(None, list(words)), configs.load(None, [*KEYS, *words])
    found = {finding.kind: finding for finding in check.findings(source, official(source), typed, config)}
    found.pop("small val", None)
    return found


def official(source):
    return {name: splits.Subset(name, np.arange(len(one.names))) for name, one in source.image_sets.items()}


def test_nothing_is_found_where_nothing_is_wrong(tmp_path):
    assert findings(tmp_path, good()) == {}


def test_boxes_that_are_too_small_are_named_with_the_resolution_that_would_do(tmp_path):
    parts = good()
    parts["train"][0][1].append(Box(DOT, (40, 4, 52, 9)))  # 5 px high at 64: 8 px need 102.4, so 128
    parts["val"][1][1].append(Box(CELL, (40, 4, 40.5, 34)))  # half a pixel: 1 px needs 128
    by_kind = findings(tmp_path, parts)
    assert set(by_kind) == {"small boxes", "lost boxes"}
    lost, small = by_kind["lost boxes"], by_kind["small boxes"]
    assert lost.files == ("val/2.xml, line 3: 0.5x30.0 px",)
    assert lost.what == (
        "1 of 38 boxes with a side below 1 px at model.resolution=64, less than a pixel is left of them: 1 of cell"
    )
    assert lost.hint.startswith("model.resolution=128 makes all sides 1 px or more")
    assert small.files == ("train/1.xml, line 3: 12.0x5.0 px",)
    assert "too small to be learnt: 1 of dot" in small.what
    assert "model.resolution=1024 makes all sides 8 px or more" in small.hint  # for the half pixel, 16 times 64
    assert "lost boxes" not in findings(tmp_path / "larger", parts, "model.resolution=128")
    assert "small boxes" not in findings(tmp_path / "largest", parts, "model.resolution=1024")


def test_the_sentence_names_the_classes_with_most_small_boxes(tmp_path):
    classes = [f"c{number}" for number in range(7)]
    rows = [Box(label, (8 * n, 8 * label, 8 * n + 4, 8 * label + 4)) for label in range(7) for n in range(label + 1)]
    what = findings(tmp_path, {name: [(noise(1), rows)] for name in ("train", "val", "test")}, classes=classes)
    named = what["small boxes"].what.split("learnt: ")[1]
    assert named == "21 of c6, 18 of c5, 15 of c4, 12 of c3, 9 of c2 and of 2 other classes"


def test_a_resolution_for_nearly_all_boxes_is_named_where_few_would_need_more(tmp_path):
    parts = good(train=120)
    parts["train"][0][1].append(Box(DOT, (40, 4, 52, 4.25)))  # one of 253 boxes needs 2,048 px
    parts["train"][1][1].extend(Box(DOT, (2 + 8 * n, 50, 8 + 8 * n, 60)) for n in range(4))  # 6 px: 96
    hint = findings(tmp_path, parts)["small boxes"].hint
    assert hint == "no model.resolution up to 1,024 makes all sides 8 px or more, 96 those of 99 % of the boxes"


def test_the_named_resolution_does_with_borders_of_whole_pixels(tmp_path):
    parts = good()
    parts["train"] = [(noise(number, (97, 61)), rows) for number, (_, rows) in enumerate(parts["train"])]
    parts["train"][0][1].append(Box(DOT, (70, 10, 79, 19)))
    first = findings(tmp_path / "first", parts, "data.resize=pad")["small boxes"]
    resolution = first.hint.split("=")[1].split()[0]
    assert "small boxes" not in findings(tmp_path / "then", parts, "data.resize=pad", f"model.resolution={resolution}")
    smaller = int(resolution) - 32
    assert smaller == 64 or "small boxes" in findings(
        tmp_path / "less", parts, "data.resize=pad", f"model.resolution={smaller}"
    )


def test_two_classes_around_one_object_are_named(tmp_path):
    parts = good()
    parts["test"][0][1].append(Box(DOT, (4, 4, 20, 20.5)))  # 256 of 264 square pixels in common: 0.97
    parts["test"][1][1].append(Box(DOT, (4, 4, 20, 22)))  # 256 of 288: 0.89
    parts["test"][2][1].append(Box(CELL, (4, 4, 20, 20.5)))  # of the same class
    two = findings(tmp_path, parts)["two classes"]
    assert two.files == ("test/1.xml, line 1 (cell) = test/1.xml, line 3 (dot)",)
    assert two.what.startswith("1 pair of boxes of two classes")


def test_boxes_with_a_common_cell_and_anchor_are_named(tmp_path):
    parts = good()
    parts["train"][4][1].append(Box(CELL, (6, 6, 22, 22)))  # its centre 14, 14 is in the cell of 12, 12 at stride 16
    parts["train"][5][1].append(Box(CELL, (12, 12, 28, 28)))  # 20, 20 is not
    same = findings(tmp_path, parts)["same cell"]
    assert same.files == ("train/5.xml, line 1 = train/5.xml, line 3",)
    assert same.what == (
        "1 of 38 boxes shares cell and anchor with another box at model.resolution=64, so only one box of each group "
        "is learnt"
    )


def test_centres_share_a_cell_without_any_anchor(tmp_path):
    parts = good()
    parts["train"][4][1].append(Box(DOT, (10, 10, 13, 13)))  # 11.5 is in the cell of 12 at stride 8, whatever its size
    same = findings(tmp_path, parts, "detect.head=centroid", "detect.strides=8")["same cell"]
    assert same.files == ("train/5.xml, line 1 = train/5.xml, line 3",)
    assert "shares a cell with another box" in same.what


def test_images_with_more_objects_than_are_kept_are_counted(tmp_path):
    parts = good()
    parts["val"][2][1].append(Box(CELL, (40, 4, 60, 20)))
    assert "many boxes" not in findings(tmp_path / "enough", parts, "detect.boxes=3")
    many = findings(tmp_path, parts, "detect.boxes=2")["many boxes"]
    assert many.files == ("val/3.png: 3 boxes",)
    assert many.hint == "detect.boxes=3 keeps all"


@pytest.mark.parametrize(
    ("kept", "hint"), [(100, "detect.boxes=400 is the most"), (400, "no larger detect.boxes is possible")]
)
def test_no_more_boxes_are_advised_than_the_key_takes(tmp_path, kept, hint):
    parts = good()
    parts["val"][2][1].extend(Box(CELL, (n % 20 * 2, n // 20 * 2, n % 20 * 2 + 1, n // 20 * 2 + 1)) for n in range(400))
    key = f"detect.boxes={kept}"
    many = findings(tmp_path, parts, key)["many boxes"]
    assert (many.files, many.hint) == (("val/3.png: 402 boxes",), hint)
    configs.load(None, ["detect.boxes=400"])
    with pytest.raises(UserError):
        configs.load(None, ["detect.boxes=401"])


def test_classes_are_counted_by_their_boxes(tmp_path):
    parts = good()
    for _, rows in parts["train"][:9]:
        del rows[DOT]
    for _, rows in parts["val"]:
        del rows[DOT]
    for _, rows in parts["train"][9:]:
        rows.append(Box(CELL, (4, 40, 20, 56)))
    by_kind = findings(tmp_path, parts)
    assert set(by_kind) == {"missing class", "tiny class", "uneven classes"}
    assert by_kind["missing class"].files == ("dot (val)",)
    assert not by_kind["missing class"].severe
    assert by_kind["tiny class"].files == ("dot: 3",)
    assert "15 training boxes of cell, 3 of dot" in by_kind["uneven classes"].what
    balanced = findings(tmp_path / "balanced", parts, "data.balance=balanced_sampling")
    assert set(balanced) == {"missing class", "tiny class"}


def test_a_class_that_is_never_trained_is_severe(tmp_path):
    parts = good()
    for _, rows in parts["train"]:
        del rows[DOT]
    missing = findings(tmp_path, parts)["missing class"]
    assert missing.severe
    assert missing.files == ("dot (train)",)


def test_crowds_are_no_boxes(tmp_path):
    parts = good()
    parts["train"][0][1].append(Box(CELL, (0, 0, 2, 2), boxes.CROWD))
    source = dataset(tmp_path, parts)
    assert box_class_check.box_counts(source, official(source))["train"] == {"cell": 12, "dot": 12}
    assert findings(tmp_path / "checked", parts) == {}


def test_the_same_picture_is_found_with_other_boxes_and_in_other_splits(tmp_path):
    parts = good()
    parts["train"].append((noise(1000), list(GOOD)))  # val/1
    parts["train"].append((noise(2), [GOOD[1], GOOD[0]]))  # train/3, with the same boxes in another order
    parts["train"].append((noise(3), [*GOOD[:1], Box(DOT, (36, 36, 60, 52))]))  # train/4, with another box
    parts["train"].append((noise(2001), GOOD[:1]))  # test/2, with a box less
    by_kind = findings(tmp_path, parts)
    assert set(by_kind) == {"leak", "duplicate", "conflict"}
    assert next(iter(by_kind)) == "leak"
    assert by_kind["leak"].severe
    assert by_kind["leak"].files == (
        "train/13.png (train) = val/1.png (val)",
        "train/16.png (train) = test/2.png (test)",
    )
    assert by_kind["conflict"].files == (
        "train/16.png (train) = test/2.png (test)",
        "train/4.png (train) = train/15.png (train)",
    )
    assert by_kind["duplicate"].files == ("train/3.png (train) = train/14.png (train)",)


def test_gray_and_other_sizes_are_told_as_for_classification(tmp_path):
    parts = good()
    parts["train"][3] = (noise(3, mode="L"), list(GOOD))
    parts["train"][4] = (noise(4, (80, 64)), list(GOOD))
    by_kind = findings(tmp_path, parts)
    assert set(by_kind) == {"modes", "sizes"}
    assert by_kind["modes"].files == ("train/4.png: L",)
    assert by_kind["sizes"].files == ("train/5.png: 80x64",)


def test_anchors_that_fit_too_few_boxes_are_told_for_each_stride(tmp_path):
    keys = ("detect.anchors=[10,10,200,200]", "detect.anchors_per_scale=1")
    anchors = findings(tmp_path, good(), *keys)["anchors"]
    # 16x16: 100 of 256 = .39; 24x20: 100 of 480 = .21, but .012 with 200x200
    assert anchors.what == (
        "the anchors cover 0.0 % of the training boxes (IoU of at least 0.5 by width and height), below 90 %: "
        "0 of 0 at stride 32, 0 of 24 at stride 16"
    )
    assert anchors.files[0] == "train/1.xml, line 2: 24.0x20.0 px"
    assert len(anchors.files) == 24
    assert "anchors" not in findings(tmp_path / "fit", good(), "detect.anchors=[16,16,24,20]", keys[1])


def test_mostly_empty_images_are_told(tmp_path):
    parts = good()
    parts["train"] += [(noise(500 + number), []) for number in range(12)]
    assert "mostly background" not in findings(tmp_path / "half", parts)
    parts["train"].append((noise(512), []))
    assert findings(tmp_path, parts)["mostly background"].what == "13 of 25 training images (52.0 %) have no box"


def test_what_a_crop_leaves_nothing_of_is_named(tmp_path):
    parts = good()
    parts["train"][0] = (
        noise(0, (128, 64)),
        [Box(CELL, (40, 4, 60, 20)), Box(DOT, (2, 2, 30, 30))],
    )  # x 32..96 is kept
    cut = findings(tmp_path, parts, "data.resize=crop")["cut off"]
    assert cut.files == ("train/1.xml, line 2",)
    assert "cut off" not in findings(tmp_path / "pad", parts, "data.resize=pad")


def test_what_needs_an_unknown_resolution_is_left_out(tmp_path):
    parts = good()
    parts["train"][0][1].append(Box(DOT, (4, 4, 20, 20)))
    source = dataset(tmp_path, parts)
    assert [finding.kind for finding in check.findings(source, official(source))] == ["small val", "two classes"]


def test_boxes_of_unknown_lines_are_named_by_their_image(tmp_path):
    source = dataset(tmp_path, good())
    image_sets = {name: dataclasses.replace(one, written_at=None) for name, one in source.image_sets.items()}
    source = dataclasses.replace(source, image_sets=image_sets)
    infos = {name: check.infos(one) for name, one in image_sets.items()}
    subsets = {"test": splits.Subset("test", np.array([2, 0]))}
    images = box_rows.BoxImages.of(source, subsets, infos)
    where = images.where(box_rows.rows(images.annotations))
    assert where.tolist() == ["test/3.png: box 1", "test/3.png: box 2", "test/1.png: box 1", "test/1.png: box 2"]


@pytest.mark.parametrize("resize", ["stretch", "pad", "crop"])
def test_boxes_at_the_input_are_where_the_decoded_pixels_are(tmp_path, resize):
    """A white box of an image is compared with what the decoder makes of it."""
    image = noise(0, (90, 60)).point(lambda _: 0)
    image.paste((255, 255, 255), (30, 12, 60, 48))
    source = dataset(tmp_path, {"train": [(image, [Box(CELL, (30, 12, 60, 48))])]})
    infos = {"train": check.infos(source.image_sets["train"])}
    images = box_rows.BoxImages.of(source, {"train": splits.Subset("train", np.array([0]))}, infos)
    rows = box_rows.at_input(images.annotations, images.transforms(120, resize), 120)
    pixels = box_rows.resizing.prepare(image, 120, 1, resize)[0][..., 0] > 127
    ys, xs = np.nonzero(pixels)
    np.testing.assert_allclose(rows.corners[0], [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], atol=1)
