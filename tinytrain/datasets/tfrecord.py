"""Boxes of the TensorFlow Object Detection API: `tfrecord:PATH`, a file of records or a folder of such files.

Splits are told by the names of the files (train.record, val-00000-of-00010.tfrecord) or of their folders. Pictures are
those in the records, which are unpacked into the cache folder, or else files of that name below PATH.
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tinytrain import files
from tinytrain.config import box_formats
from tinytrain.config.schema import Data
from tinytrain.data import box_files, box_tree, tf_examples
from tinytrain.data.box_fit import Annotated
from tinytrain.data.box_names import Finder, Named
from tinytrain.data.box_problems import Problems
from tinytrain.data.box_values import Unreadable, content
from tinytrain.data.boxes import CROWD, DIFFICULT, NORMAL, Box, with_names
from tinytrain.data.source import Dataset

NEEDS = "*.tfrecord or *.record files"
SUFFIXES = {".tfrecord", ".record"}
MOST_BYTES = 10_000_000  # of a label map
SIDES = ("xmin", "ymin", "xmax", "ymax")


def load(argument: str, data: Data) -> Dataset:
    """Returns the pictures of records with their boxes.

    Raises:
        UserError: there is no such folder or file, it holds no records, or no picture that can be used.
    """
    path = Path(argument).expanduser()
    root = path.parent if path.is_file() else box_tree.open_folder(argument, "tfrecord", NEEDS)
    tree, problems = box_tree.Tree(root), Problems()
    paths = [path] if path.is_file() else [one for one in tree.files if _is_records(one)]
    if not paths:
        raise box_tree.none_found(root, "tfrecord", NEEDS)
    names: dict[int, str] = {}
    label_maps = tree.with_suffix(".pbtxt")
    for one in label_maps:
        try:
            for number, name in tf_examples.label_map(content(one, MOST_BYTES).decode("utf-8", "replace")):
                if names.setdefault(number, name) != name:
                    raise Unreadable(f"class {number} is {names[number]}, too")
        except Unreadable as error:
            problems.add("class names", f"{tree.name(one)}: {error}")
    problems.add_repeated_names(" and ".join(map(tree.name, label_maps)), names)
    classes: dict[str, int] = {}
    annotated: list[Annotated] = []
    finder = Finder(tree, problems)
    for one in paths:
        annotated += _read(finder, one, names, classes, problems)
    order = sorted(classes)
    by_label = {label: order.index(name) for name, label in classes.items()}
    for row in annotated:
        row.boxes = [dataclasses.replace(box, label=by_label[box.label]) for box in row.boxes]
    unpacked = any(row.picture.is_relative_to(_cache_folder(root)) for row in annotated)
    return box_files.load(_cache_folder(root) if unpacked else root, order, annotated, problems, data)


def _is_records(path: Path) -> bool:
    return Path(box_formats.SHARD.sub("", path.name)).suffix.lower() in SUFFIXES


def _read(
    finder: Finder, path: Path, names: dict[int, str], classes: dict[str, int], problems: Problems
) -> Iterator[Annotated]:
    """Yields the pictures of a file of records; adds its classes to `classes`, {name: label}."""
    tree, split = finder.tree, box_tree.split_of_file(path) or finder.tree.split(path)
    without_picture: list[tuple[Named, tf_examples.Record]] = []

    def annotated(picture: Path, where: str, record: tf_examples.Record) -> Annotated:
        boxes = _boxes(record, where, picture, names, classes, problems)
        return Annotated(picture, boxes, split, record.size, where, shares=True)

    try:
        for index, record in enumerate(tf_examples.read(path)):
            where = f"{tree.name(path)}, record {index}"
            if record.encoded:
                yield annotated(_unpacked(tree, path, index, record), where, record)
            else:
                without_picture.append((Named(record.filename, where, path, split), record))
    except Unreadable as error:
        problems.add("unreadable annotation", f"{tree.name(path)}: {error}")
    found = finder.take([named for named, _ in without_picture])
    for (named, record), picture in zip(without_picture, found, strict=True):
        if picture is not None:
            yield annotated(picture, named.where, record)


def _boxes(
    record: tf_examples.Record,
    where: str,
    picture: Path,
    names: dict[int, str],
    classes: dict[str, int],
    problems: Problems,
) -> list[Box]:
    """Returns the boxes of a record, none if they cannot be read; adds their classes."""
    boxes = []
    try:
        for name, (x0, y0, x1, y1), difficult, crowd in record.objects(names):
            flag = CROWD if crowd else DIFFICULT if difficult else NORMAL
            written = with_names(SIDES, (x0, y0, x1, y1))
            label = classes.setdefault(name, len(classes))
            boxes.append(Box(label, (x0, y0, x1, y1), flag, where=where, written=written))
    except Unreadable as error:
        problems.add("malformed box", f"{where}: {error}", picture)
    return boxes


def _unpacked(tree: box_tree.Tree, path: Path, index: int, record: tf_examples.Record) -> Path:
    """Returns the picture of a record as a file in the cache folder, as new as the file of records."""
    stem = re.sub(r"[^\w-]", "_", Path(record.filename).stem)[:80]
    suffix = ".png" if record.encoded.startswith(b"\x89PNG") else ".jpg"
    picture = _cache_folder(tree.root) / tree.name(path) / f"{index:07d}-{stem}{suffix}"
    changed = path.stat().st_mtime_ns
    with files.write_errors(picture, "set XDG_CACHE_HOME to another folder"):
        if not picture.is_file() or (picture.stat().st_size, picture.stat().st_mtime_ns) != (
            len(record.encoded),
            changed,
        ):
            picture.parent.mkdir(parents=True, exist_ok=True)
            part = picture.with_suffix(f".{os.getpid()}")
            part.write_bytes(record.encoded)
            os.utime(part, ns=(changed, changed))
            part.replace(picture)
    return picture


def _cache_folder(root: Path) -> Path:
    return files.cache_folder() / f"records-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]}"
