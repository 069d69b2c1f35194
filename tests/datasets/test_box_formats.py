"""The same three pictures in every format give the same boxes; a wrong SPEC is answered with the right one."""

import box_trees
import numpy as np
import pytest
from PIL import Image

from tinytrain.config import box_formats
from tinytrain.config import load as configs
from tinytrain.config.schema import Data
from tinytrain.data import boxes
from tinytrain.data.load import load_dataset
from tinytrain.datasets import coco, csv, folder, labelme, tfrecord, voc, yolo
from tinytrain.errors import UserError

WRITERS = {
    "voc": (voc, box_trees.write_voc),
    "coco": (coco, box_trees.write_coco),
    "yolo": (yolo, box_trees.write_yolo),
    "csv": (csv, box_trees.write_csv),
    "open images": (csv, box_trees.write_open_images),
    "labelme": (labelme, box_trees.write_labelme),
    "records": (tfrecord, box_trees.write_records),
    "records without pictures": (tfrecord, lambda root: box_trees.write_records(root, encoded=False)),
}
FOLDERS = ("voc", "coco", "yolo", "labelme", "records without pictures")


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_of_the_same_pictures_gives_the_same_boxes(kind, tmp_path):
    module, write = WRITERS[kind]
    source = module.load(str(write(tmp_path / "tree" if kind != "csv" else tmp_path)), Data())
    assert (source.classes, source.task, source.channels, source.flip) == (list(box_trees.CLASSES), "detect", 3, True)
    found = box_trees.found(source)
    if kind == "records":  # the pictures are named by their records
        found = {name.partition("-")[2].replace("_", " "): rows for name, rows in found.items()}
        assert set(found) == set(box_trees.PICTURES)
    assert found == box_trees.EXPECTED
    pool = source.image_sets["all"]
    assert (pool.annotations.shape, pool.annotations.dtype) == ((3, 3, boxes.FIELDS), np.float32)
    assert [len(places) for places in pool.written_at] == [(rows[:, 0] >= 0).sum() for rows in pool.annotations]
    corners = pool.annotations[..., boxes.CORNERS]
    areas = (corners[..., 2] - corners[..., 0]) * (corners[..., 3] - corners[..., 1])
    np.testing.assert_allclose(pool.annotations[..., boxes.AREA], areas, rtol=1e-5)
    assert [info.size for info in pool.infos] == [image.size for image in images(pool)]
    assert box_trees.severe(source) == set()
    assert box_trees.kinds(source).keys() == {"background"}


def images(pool):
    return [Image.fromarray(pixels) for pixels in pool.images(np.asarray)]


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_of_boxes_is_answered_with_its_spec(kind, tmp_path):
    module, write = WRITERS[kind]
    root = write(tmp_path / "my data")
    right = f"'{module.__name__.rpartition('.')[2]}:{root}'"
    for call in (
        lambda: configs.parse_spec(str(root)),
        lambda: folder.load(str(root), Data()),
        *[
            lambda other=other: other.load(str(root), Data())
            for other in (voc, coco, yolo, labelme)
            if other is not module
        ],
    ):
        with pytest.raises(UserError) as error:
            call()
        assert right in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("layout", ["voc parts", "devkit", "yolo splits", "coco splits"])
def test_other_layouts_are_no_class_folders_either(layout, tmp_path):
    if layout == "voc parts":
        for split in ("train", "valid"):
            box_trees.write_voc(tmp_path / split, xmls=".", images=".")
    elif layout == "devkit":
        for year in ("VOC2007", "VOC2012"):
            box_trees.write_voc(tmp_path / year)
    elif layout == "yolo splits":
        for split in ("train", "val"):
            box_trees.write_yolo(tmp_path / split)
    else:
        for split in ("train", "val"):
            box_trees.write_pictures(tmp_path / f"{split}2017")
        box_trees.write_coco(tmp_path)
    with pytest.raises(UserError, match="holds boxes, not a folder for each class: give it as "):
        folder.load(str(tmp_path), Data())


def test_class_folders_with_other_files_stay_class_folders(image_folder):
    root = image_folder()
    (root / "data.yaml").write_text("names: [blue, green, red]\n")
    (root / "red/000.xml").write_text(box_trees.voc_xml([("red", 1, 1, 5, 5)]))
    assert box_formats.kind_of(root) == "voc"
    assert folder.load(str(root), Data()).classes == ["blue", "green", "red"]


@pytest.mark.parametrize("module", [voc, coco, yolo, labelme, tfrecord])
@pytest.mark.parametrize("what", ["nothing", "empty", "images"])
def test_what_holds_no_boxes_is_refused_in_one_sentence(module, what, tmp_path, image_folder):
    path = tmp_path / "none"
    if what == "empty":
        path.mkdir()
    elif what == "images":
        path = image_folder(count=2)
    with pytest.raises(UserError) as error:
        module.load(str(path), Data())
    assert "no folder" in str(error.value) if what == "nothing" else "annotations: data.spec=" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_link_to_pictures_is_followed_and_a_loop_is_not(tmp_path):
    root = box_trees.write_voc(tmp_path / "tree", images="elsewhere")
    (root / "elsewhere").rename(tmp_path / "pictures")
    (root / "JPEGImages").symlink_to(tmp_path / "pictures")
    (root / "loop").symlink_to(root)
    assert box_trees.found(voc.load(str(root), Data())) == box_trees.EXPECTED


def test_a_spec_reaches_the_reader(tmp_path):
    root = box_trees.write_voc(tmp_path / "tree")
    source = load_dataset(configs.load(None, [f"data.spec=voc:{root}"]))
    assert box_trees.found(source) == box_trees.EXPECTED
    assert source.resize == "pad"  # the sizes differ
