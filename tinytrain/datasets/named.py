"""The papers' datasets by name, checked: `cifar10`, `birdsnap:PATH`, `imagenet100:LIST` (config/dataset_catalog.py).

The images come from tensorflow-datasets, or from PATH: class folders, or for boxes the files as they are published.
The numbers of classes, and of images in each official split, must be those of the dataset.
"""

import dataclasses
from pathlib import Path

from tinytrain.config.dataset_catalog import ROWS, Row, usage
from tinytrain.config.schema import Data
from tinytrain.data.source import Dataset
from tinytrain.datasets import coco, folder, tfds, voc
from tinytrain.errors import UserError, unknown

FORMATS = {"voc": voc, "coco": coco}


def load(argument: str, data: Data) -> Dataset:
    """Returns the dataset NAME[:PATH|:LIST] of the catalog.

    Raises:
        UserError: the name is unknown, or the numbers of classes or images are wrong.
    """
    name, _, path = argument.partition(":")
    if name not in ROWS:
        raise unknown("dataset", name, ROWS)
    row = ROWS[name]
    if row.subset:
        dataset = tfds.load_parts(row.tfds, row.splits, row.label, only=_class_list(name, path, row))
    elif row.boxes:
        dataset = _with_boxes(row, path, data)
    elif path:
        dataset = folder.load(path, data)
    elif row.tfds:
        dataset = tfds.load_parts(row.tfds, row.splits, row.label, without=row.without)
    else:
        raise UserError(
            f"'{name}' is not in tensorflow-datasets: say where its class folders are with data.spec={usage(name)}"
        )
    _check_counts(name, row, dataset)
    return dataclasses.replace(dataset, split=row.split, paper=row.paper)


def _with_boxes(row: Row, path: str, data: Data) -> Dataset:
    """Returns a dataset for object detection, from its files in `path` or else through tensorflow-datasets."""
    if not path:
        return tfds.load_boxes(row.parts)
    dataset = FORMATS[row.boxes].load(path, data)
    if "val" in row.parts or "val" not in dataset.image_sets:
        return dataset
    image_sets = {"train": dataset.image_sets["train"], "test": dataset.image_sets["val"]}
    return dataclasses.replace(dataset, image_sets=image_sets)


def _class_list(name: str, path: str, row: Row) -> list[str]:
    """Returns the class names in the text file `path`, the first word of each line."""
    try:
        classes = [line.split()[0] for line in Path(path).expanduser().read_text().splitlines() if line.split()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot read the class list '{path}' ({reason}): data.spec={usage(name)} needs a text file with the "
            f"names of {row.classes} classes, one per line, such as n02869837"
        ) from None
    if len(set(classes)) != row.classes or len(classes) != row.classes:
        raise UserError(
            f"'{path}' names {len(set(classes))} different classes in {len(classes)} lines: {name} needs "
            f"{row.classes}, each once"
        )
    return classes


def _check_counts(name: str, row: Row, dataset: Dataset) -> None:
    """Raises UserError unless a dataset has the numbers of classes and images that the catalog gives."""
    if len(dataset.classes) != row.classes:
        holder = f"the {row.boxes} files of all splits" if row.boxes else "one folder for each class"
        raise UserError(
            f"'{name}' has {row.classes:,} classes, {len(dataset.classes):,} were found: name the folder that holds "
            f"{holder}"
        )
    if any(finding.severe for finding in dataset.findings):
        return  # the unreadable files are reported instead
    wrong = [
        f"{split} {len(dataset.image_sets[split].annotations):,} instead of {count:,}"
        for split, count in row.images.items()
        if split in dataset.image_sets and len(dataset.image_sets[split].annotations) != count
    ]
    if wrong:
        raise UserError(
            f"this is not the whole of '{name}': images in {', '.join(wrong)}; add the missing ones, or train on "
            f"what is there with data.spec={row.boxes or 'folder'}:PATH or tfds:NAME"
        )
