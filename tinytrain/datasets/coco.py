"""Boxes in the format of COCO: `coco:PATH`, a JSON file for each split.

PATH is a JSON file, or a folder with annotations/instances_*.json or any other such files; pictures are found by their
names below it. A split is told by the name of the file (instances_train2017.json) or of its folder. Boxes are x, y,
width, height; `iscrowd` and the area of the outline are kept. Numbers of categories need not be contiguous.
"""

from pathlib import Path
from typing import Any

from tinytrain.config import box_formats
from tinytrain.config.schema import Data
from tinytrain.data import box_files, box_tree
from tinytrain.data.box_fit import Annotated, Size
from tinytrain.data.box_names import Finder, Named
from tinytrain.data.box_problems import Problems
from tinytrain.data.box_values import (
    Unreadable,
    class_name,
    entries,
    flag,
    json_object,
    number,
    numbers,
    received,
    size,
)
from tinytrain.data.boxes import CROWD, NORMAL, Box, with_names
from tinytrain.data.source import Dataset

NEEDS = "annotations/instances_*.json, or another JSON file with images, annotations and categories"
MOST_BYTES = 4_000_000_000
Images = dict[int | str, Annotated | None]  # by their ids in a file; None: a picture that is not there


def load(argument: str, data: Data) -> Dataset:
    """Returns the pictures that JSON files name, with their boxes.

    Raises:
        UserError: there is no such folder or file, it holds no annotation, or no picture that can be used.
    """
    root, files = _files(argument)
    tree, problems = box_tree.Tree(root), Problems()
    files = files or _annotation_files(tree, problems)
    if not files:
        raise box_tree.none_found(root, "coco", NEEDS)
    classes: dict[str, int] = {}
    annotated: list[Annotated] = []
    finder = Finder(tree, problems)
    for path in sorted(files, key=lambda path: (_split(tree, path) != "train", path)):
        try:
            annotated += _read(finder, path, classes, problems)
        except Unreadable as error:
            problems.add("unreadable annotation", f"{tree.name(path)}: {error}")
    used = {one.picture for one in annotated}
    for folder in sorted({path.parent for path in used}):
        for path in tree.pictures:
            if path.parent == folder and path not in used:
                problems.add("left out", f"{tree.name(path)}: no JSON file names it")
    return box_files.load(root, list(classes), annotated, problems, data)


def _files(argument: str) -> tuple[Path, list[Path]]:
    """Returns the folder of a dataset and, if `argument` is one, the JSON file."""
    path = Path(argument).expanduser()
    if path.suffix.lower() != ".json" or not path.is_file():
        return box_tree.open_folder(argument, "coco", NEEDS), []
    folder = path.parent
    return (folder.parent if folder.name.lower().startswith("annot") else folder), [path]


def _annotation_files(tree: box_tree.Tree, problems: Problems) -> list[Path]:
    """Returns the JSON files that hold boxes: those called instances_* if there are any, else all that look like it."""
    files = tree.with_suffix(".json")
    chosen = [path for path in files if path.name.startswith("instances_")]
    chosen = chosen or [path for path in files if box_formats.kind_of(path) == "coco"]
    for path in files if chosen else ():
        if path not in chosen:
            problems.add("left out", f"{tree.name(path)}: no file of boxes")
    return chosen


def _split(tree: box_tree.Tree, path: Path) -> str:
    return box_tree.split_of_file(path) or tree.split(path)


def _read(finder: Finder, path: Path, classes: dict[str, int], problems: Problems) -> list[Annotated]:
    """Returns the pictures of a JSON file; adds its classes to `classes`, {name: label}."""
    tree = finder.tree
    file = json_object(path, MOST_BYTES)
    missing = [key for key in ("images", "annotations") if key not in file]
    if missing:
        raise Unreadable(f"it has no {' and no '.join(missing)}")
    names = _categories(tree.name(path), entries(file, "categories"), problems)
    labels = {key: classes.setdefault(name, len(classes)) for key, name in names.items()}
    with_boxes: set[int | str] = set()
    images = _images(finder, path, entries(file, "images"), problems)
    for index, entry in enumerate(entries(file, "annotations")):
        where, one = f"{tree.name(path)}, annotations[{index}]", None
        try:
            annotation = _object(entry)
            image = _id(annotation, "image_id")
            one, category = images.get(image), _id(annotation, "category_id")
            if image not in images:
                problems.add("no picture", f"{where}: image_id {received(image)} is not among the images")
            elif category not in labels:
                problems.add("unknown class", f"{where}: category_id {received(category)} is not among the categories")
            else:
                with_boxes.add(category)
                if one:
                    one.boxes.append(_box(annotation, labels[category], where))
        except Unreadable as error:
            problems.add("malformed box", f"{where}: {error}", one.picture if one else None)
    # Roboflow's first category has no box, and often the name of another one.
    problems.add_repeated_names(tree.name(path), {key: name for key, name in names.items() if key in with_boxes})
    return [one for one in images.values() if one is not None]


def _categories(name: str, categories: list[Any], problems: Problems) -> dict[int | str, str]:
    """Returns {id: name} of the categories of a file, in the order of their ids."""
    names: dict[int | str, str] = {}
    for index, entry in enumerate(categories):
        where = f"{name}, categories[{index}]"
        try:
            category = _object(entry)
            key, text = _id(category, "id"), class_name(category.get("name"))
            if names.setdefault(key, text) != text:
                raise Unreadable(f"id {key} is {names[key]}, too")
        except Unreadable as error:
            problems.add("class names", f"{where}: {error}")
    return {key: names[key] for key in sorted(names, key=lambda key: (isinstance(key, str), key))}


def _images(finder: Finder, path: Path, images: list[Any], problems: Problems) -> Images:
    """Returns {id: the picture, still without boxes} of a file; None for a picture that is not there."""
    result: Images = {}
    declared: dict[int | str, Size | None] = {}
    named: list[Named] = []
    tree, split = finder.tree, _split(finder.tree, path)
    for index, entry in enumerate(images):
        where = f"{tree.name(path)}, images[{index}]"
        try:
            image = _object(entry)
            key, name = _id(image, "id"), image.get("file_name")
            if not isinstance(name, str) or not name:
                raise Unreadable(f"file_name is {received(name)}")
            if key in declared:
                raise Unreadable(f"the id {received(key)} is that of another image, too")
        except Unreadable as error:
            problems.add("malformed box", f"{where}: {error}")
            continue
        declared[key] = size(image.get("width"), image.get("height"))
        named.append(Named(name, where, path, split))
    for (key, shape), one, picture in zip(declared.items(), named, finder.take(named), strict=True):
        result[key] = Annotated(picture, [], split, shape, one.where) if picture else None
    return result


def _box(annotation: dict[str, Any], label: int, where: str) -> Box:
    x, y, width, height = numbers("bbox", annotation.get("bbox"), 4)
    state = CROWD if flag("iscrowd", annotation.get("iscrowd")) else NORMAL
    area = number("area", annotation["area"]) if annotation.get("area") is not None else None
    written = with_names(("x", "y", "width", "height"), (x, y, width, height))
    area = area if area is None or area > 0 else None
    return Box(label, (x, y, x + width, y + height), state, area, where, written)


def _object(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise Unreadable(f"it is {received(entry)}: expected an object")
    return entry


def _id(entry: dict[str, Any], key: str) -> int | str:
    """Returns an id, which can be a number or a text."""
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Unreadable(f"{key} is {received(value)}")
    return value
