"""The papers' datasets by name: one row each, with its classes, images and the split a paper uses.

A SPEC is NAME (through tensorflow-datasets), NAME:PATH (class folders, or the files of the dataset with boxes, that are
checked against the row) or, for a subset, NAME:LIST, a text file with one class name a line. Nothing here imports
TensorFlow.

Sources: methods.md C.10 (Table 1 of the adaptive pipeline), A.8 (NetAug's transfer), D.1, D.2; the counts of
the official splits are those that the datasets' authors give.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

TRAIN_TEST = {"train": "train", "test": "test"}
ALL_THREE = {"train": "train", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Row:
    """One dataset.

    meaning: what `tinytrain list datasets` says; classes: how many there must be; tfds: its name in tensorflow-datasets
    ("": only as a folder); splits: our split -> its name there; images: official split -> how many it must have;
    split: what data.split = "auto" means; paper: test images of data.split = "paper", held out of all images (0: the
    paper uses the official split); label: the feature that is the class; without: a class that is left out; subset:
    whether the argument is a list of classes; boxes: of a dataset for object detection, the format of its files, a name
    in tinytrain/datasets; parts: its split -> "NAME/CONFIG:SPLIT" in tensorflow-datasets, joined in order.
    """

    meaning: str
    classes: int
    tfds: str = ""
    splits: Mapping[str, str] = field(default_factory=lambda: TRAIN_TEST)
    images: Mapping[str, int] = field(default_factory=dict)
    split: str = "official"
    paper: int = 0
    label: str = "label"
    without: str = ""
    subset: bool = False
    boxes: str = ""
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _counts(train: int, test: int, val: int = 0) -> dict[str, int]:
    return {"train": train, "test": test} | ({"val": val} if val else {})


IMAGENET = {
    "train": "train",
    "test": "validation",
}  # the papers test on the validation images; those of test have no labels
ROWS: dict[str, Row] = {
    "cifar10": Row("CIFAR-10, 32x32", 10, "cifar10", images=_counts(50_000, 10_000)),
    "cifar100": Row("CIFAR-100, 32x32", 100, "cifar100", images=_counts(50_000, 10_000)),
    "fashion_mnist": Row("Fashion-MNIST, gray 28x28", 10, "fashion_mnist", images=_counts(60_000, 10_000)),
    "svhn": Row("SVHN cropped digits, without its extra images", 10, "svhn_cropped", images=_counts(73_257, 26_032)),
    "oxford_iiit_pet": Row("Oxford-IIIT Pets", 37, "oxford_iiit_pet", images=_counts(3_680, 3_669)),
    "dtd": Row("Describable Textures, fold 1", 47, "dtd", ALL_THREE, _counts(1_880, 1_880, 1_880), paper=814),
    "oxford_flowers102": Row(
        "Oxford Flowers-102", 102, "oxford_flowers102", ALL_THREE, _counts(1_020, 6_149, 1_020), paper=1_575
    ),
    "caltech101": Row(
        "Caltech-101 without its background class",
        101,
        "caltech101",
        images=_counts(3_030, 5_647),
        split="paper",
        paper=1_736,
        without="background_google",
    ),
    "cars196": Row("Stanford Cars", 196, "cars196", images=_counts(8_144, 8_041)),
    "sun397": Row(
        "SUN397", 397, "sun397/tfds", ALL_THREE, _counts(76_128, 21_750, 10_875), split="paper", paper=16_314
    ),
    "food101": Row(
        "Food-101", 101, "food101", {"train": "train", "test": "validation"}, images=_counts(75_750, 25_250)
    ),
    "caltech_birds2011": Row("CUB-200-2011", 200, "caltech_birds2011", images=_counts(5_994, 5_794)),
    "imagenet2012": Row("ImageNet", 1000, "imagenet2012", IMAGENET, _counts(1_281_167, 50_000)),
    "imagenet100": Row(
        "100 classes of ImageNet, LIST names them", 100, "imagenet2012", IMAGENET, {"test": 5_000}, subset=True
    ),
    "wake_vision": Row(
        "Wake Vision, the quality training images",
        2,
        "wake_vision",
        {"train": "train_quality", "val": "validation", "test": "test"},
        {"val": 18_582},
        label="person",
    ),
    "wake_vision_large": Row(
        "Wake Vision, the large training images",
        2,
        "wake_vision",
        {"train": "train_large", "val": "validation", "test": "test"},
        {"val": 18_582},
        label="person",
    ),
    "visual_wake_words": Row("Visual Wake Words, a folder", 2),
    "birdsnap": Row("Birdsnap, a folder", 500, paper=2_443),
    "imagenet21k": Row("ImageNet-21K-P (winter 21), a folder", 10_450),
    "voc0712": Row(
        "Pascal VOC, boxes: 2007 and 2012 trainval, tested on 2007",
        20,
        images=_counts(8_218, 4_952, 8_333),
        split="trainval",
        boxes="voc",
        parts={
            "train": ("voc/2007:train", "voc/2012:train"),
            "val": ("voc/2007:validation", "voc/2012:validation"),
            "test": ("voc/2007:test",),
        },
    ),
    "coco2017": Row(  # the papers test on the validation images; those of test have no boxes
        "COCO 2017, boxes",
        80,
        images=_counts(118_287, 5_000),
        boxes="coco",
        parts={"train": ("coco/2017:train",), "test": ("coco/2017:validation",)},
    ),
}


def usage(name: str) -> str:
    """Returns how the SPEC of a dataset is written."""
    row = ROWS[name]
    return f"{name}:LIST" if row.subset else f"{name}[:PATH]" if row.tfds or row.parts else f"{name}:PATH"
