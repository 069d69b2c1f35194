"""Every kind of data source keeps what tinytrain/datasets/__init__.py promises, and can be split and decoded.

A new file in tinytrain/datasets needs one line here: how a small example of it is written, in EXAMPLES.
"""

import box_trees
import numpy as np
import pytest
from PIL import Image

from tinytrain.config import load as configs
from tinytrain.config import plugins
from tinytrain.data import boxes, splits
from tinytrain.data.load import load_dataset
from tinytrain.data.source import class_counts
from tinytrain.data.splits import Splits
from tinytrain.train.resolve import resolve

ELSEWHERE = {"named", "tfds"}  # test_data_named.py has the datasets of tensorflow-datasets
CLASSES, PER_CLASS = ("cat", "dog", "eel"), 6


def pixels(seed):
    """Returns the (18, 8, 8, 3) uint8 images of an example; its classes are 0, 0, …, 1, …, 2."""
    return np.random.default_rng(seed).integers(0, 256, (len(CLASSES) * PER_CLASS, 8, 8, 3), dtype=np.uint8)


def folder(root, seed):
    for number, image in enumerate(pixels(seed)):
        path = root / CLASSES[number // PER_CLASS] / f"{number:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return root


def csv(root, seed):
    folder(root, seed)
    lines = [f"{path.relative_to(root)},{path.parent.name}" for path in sorted(root.rglob("*.png"))]
    (root / "table.csv").write_text("\n".join(["path,label", *lines]))
    return root / "table.csv"


def pictures(seed):
    """Returns pictures with boxes as box_trees has them: two classes in each."""
    random = np.random.default_rng(seed)
    starts = random.integers(0, 4, 12).tolist()
    boxes = [[(name, start, row, start + 4, 8) for row, name in enumerate(box_trees.CLASSES)] for start in starts]
    return {f"{seed}-{number}": ((8, 8), rows) for number, rows in enumerate(boxes)}


def with_boxes(write):
    return lambda root, seed: write(root / str(seed), pictures=pictures(seed))


# Of each kind: a function that writes the example of a seed into a folder and returns what follows the colon of a SPEC.
EXAMPLES = {
    "csv": csv,
    "digits": lambda root, seed: "",
    "folder": folder,
    "voc": with_boxes(box_trees.write_voc),
    "coco": with_boxes(box_trees.write_coco),
    "yolo": with_boxes(box_trees.write_yolo),
    "labelme": with_boxes(box_trees.write_labelme),
    "tfrecord": with_boxes(box_trees.write_records),
}
SIDE = 16  # of the decoded images: a multiple of the strides of a detector
FIXED = {"digits"}  # whose images no file holds


def load(kind, root, seed=0):
    argument = str(EXAMPLES[kind](root, seed))
    config = configs.load(None, [f"data.spec={kind}{':' if argument else ''}{argument}", f"model.resolution={SIDE}"])
    return load_dataset(config), config


def decoded(pool):
    return [image.tobytes() for image in pool.images(lambda image: np.asarray(image.convert("RGB")))]


def test_every_kind_has_an_example():
    assert {*plugins.names("datasets")} == {*EXAMPLES, *ELSEWHERE}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_source_keeps_its_promises(kind, tmp_path):
    source, _ = load(kind, tmp_path)
    assert len(source.classes) == len(set(source.classes)) > 1
    assert set(source.image_sets) == {"all"} or "train" in source.image_sets
    assert set(source.image_sets) <= {"all", "train", "val", "test"}
    assert source.channels in (0, 1, 3)
    assert len({pool.key for pool in source.image_sets.values()}) == len(source.image_sets)
    for pool in source.image_sets.values():
        labels = pool.annotations
        if source.task == "detect":
            labels = labels[..., boxes.CLASS][labels[..., boxes.CLASS] != boxes.NO_BOX].astype(np.int64)
            assert (pool.annotations.dtype, pool.annotations.shape[2]) == (np.float32, boxes.FIELDS)
            assert [len(places) for places in pool.written_at] == [2] * len(pool.names)
        assert labels.dtype == np.int64
        assert 0 <= labels.min() <= labels.max() < len(source.classes)
        images = decoded(pool)
        assert len(images) == len(pool.annotations) == len(pool.names) == len(set(pool.names))
        assert images == decoded(pool)  # a second time, and in the same order


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_source_is_split_and_decoded(kind, tmp_path):
    source, config = load(kind, tmp_path)
    config = resolve(config, source)
    data = Splits(source, config)
    for name in ("train", "val", "test"):
        images, labels = data.arrays(name)
        assert images.shape == (len(labels), SIDE, SIDE, int(config.model.channels))
        assert class_counts(labels, len(source.classes)).all()
    parts = [name for names in splits.as_names(source, data.subsets).values() for name in names]
    assert len(parts) == len(set(parts)) == sum(len(pool.annotations) for pool in source.image_sets.values())


@pytest.mark.parametrize("kind", sorted({*EXAMPLES} - FIXED))
def test_other_images_have_another_key(kind, tmp_path):
    """Decoded images are kept under the key: one that stays gives a training the images of before."""
    keys = []
    for seed in (0, 1):
        source, _ = load(kind, tmp_path, seed)
        keys.append({pool.key for pool in source.image_sets.values()})
    assert not keys[0] & keys[1]
