"""What says how a YOLO dataset is laid out: data.yaml of Ultralytics and Roboflow, obj.data of darknet, or neither.

A path in them is only looked up among the folders and files below the dataset: `../train/images`, as Roboflow writes
it, is taken as train/images there.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from tinytrain.config import box_formats
from tinytrain.data.box_problems import Problems
from tinytrain.data.box_tree import Tree
from tinytrain.data.box_values import Unreadable, class_name, content, received
from tinytrain.data.source import counted
from tinytrain.errors import UserError

MOST_BYTES = 10_000_000
SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
NAME_FILES = ("classes.txt", "_darknet.labels", "names.txt", "labels.txt", "classes.names", "obj.names")


@dataclass
class Layout:
    """How a dataset is laid out.

    names: {number of a class: its name}; splits: {split: folders and lists of pictures}, empty: they follow from the
    folders; pose: whether key points follow a box; files: those that are no labels.
    """

    names: dict[int, str] = field(default_factory=dict)
    splits: dict[str, list[Path]] = field(default_factory=dict)
    pose: bool = False
    files: set[Path] = field(default_factory=set)


def read(tree: Tree, chosen: Path | None, problems: Problems) -> Layout:
    """Returns the layout of the dataset in a tree.

    Args:
        tree: its files.
        chosen: the file that says it, if the user named one.
        problems: collects mistakes in the names of the classes.

    Raises:
        UserError: several files say it, or the file cannot be read, or names no class or no picture to train on.
    """
    path = chosen or _config_file(tree)
    layout = Layout()
    if path is not None:
        try:
            layout = _of_yaml(tree, path, problems) if path.suffix != ".data" else _of_darknet(tree, path, problems)
        except Unreadable as error:
            raise UserError(
                f"cannot read '{path}' ({error}): expected names, train and val of a YOLO dataset"
            ) from None
    name_files = [one for one in tree.files if one.name in NAME_FILES or one.suffix == ".names"]
    if path is None:
        lists = {tuple(_names_in(one)): tree.name(one) for one in name_files}
        if len(lists) > 1:
            problems.add("class names", f"{' and '.join(lists.values())} name different classes")
        layout.names = dict(enumerate(next(iter(lists), ())))
    layout.files |= {*name_files, *([path] if path else [])}
    if layout.names:
        problems.add_repeated_names(tree.name(path or name_files[0]), layout.names)
    if not layout.names:
        found = f"'{path}' names no classes" if path else f"'{tree.root}' has no data.yaml, obj.data or classes.txt"
        raise UserError(f"{found}: name them, in the order of their numbers, such as names: [cat, dog] in data.yaml")
    return layout


class _Loader(yaml.BaseLoader):
    """Makes texts of everything, since a class may be called no, or 1e3; refuses a key that stands there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{received(key.value)} again", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _config_file(tree: Tree) -> Path | None:
    """Returns the one file that says how the data are laid out, None if there is none."""
    files = [path for path in tree.with_suffix(".yaml", ".yml", ".data") if box_formats.kind_of(path) == "yolo"]
    top = min((len(path.parts) for path in files), default=0)
    files = [path for path in files if len(path.parts) == top]
    named = [path for path in files if path.stem == "data"]
    if len(named or files) > 1:
        listed = ", ".join(tree.name(path) for path in files)
        raise UserError(f"'{tree.root}' holds {listed}: name one of them, as in {box_formats.spec('yolo', files[0])}")
    return next(iter(named or files), None)


def _of_yaml(tree: Tree, path: Path, problems: Problems) -> Layout:
    try:
        values = yaml.load(content(path, MOST_BYTES), Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Unreadable(f"{line}{error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise error if isinstance(error, Unreadable) else Unreadable("no YAML") from None
    if not isinstance(values, dict):
        raise Unreadable("it holds no keys")
    names = _names(values.get("names"), tree.name(path), problems)
    count = values.get("nc")
    if isinstance(count, str) and names and count.strip() != str(len(names)):
        problems.add("class names", f"{tree.name(path)}: nc is {received(count)}, but names has {len(names)}")
    base = values.get("path", "")
    given = {key: values[key] for key in SPLIT_KEYS if values.get(key)}
    return Layout(names, _splits(tree, path, base, given, problems), "kpt_shape" in values)


def _of_darknet(tree: Tree, path: Path, problems: Problems) -> Layout:
    values = dict(re.findall(r"^\s*(\w+)\s*=\s*(.*?)\s*$", _text(path), re.MULTILINE))
    names, files = {}, {path}
    if values.get("names"):
        found = _find(tree, path, "", values["names"], {*tree.files})
        if found is None:
            problems.add("class names", f"{tree.name(path)}: there is no file '{values['names']}' in '{tree.root}'")
        else:
            names, files = dict(enumerate(_lines(found))), {path, found}
    count = values.get("classes")
    if count and names and count != str(len(names)):
        problems.add(
            "class names",
            f"{tree.name(path)}: classes is {received(count)}, but its file holds {counted(len(names), 'name')}",
        )
    given = {key: values[key] for key in SPLIT_KEYS if values.get(key)}
    return Layout(names, _splits(tree, path, "", given, problems), files=files)


def _names(names: Any, where: str, problems: Problems) -> dict[int, str]:
    """Returns {number: name} from the list, or the table of numbers, in a YAML file."""
    rows = names.items() if isinstance(names, dict) else enumerate(names if isinstance(names, list) else [])
    result: dict[int, str] = {}
    for key, value in rows:
        try:
            if not re.fullmatch(r"\d{1,9}", str(key)):
                raise Unreadable(f"{received(key)} is not a class number")
            if int(key) in result:
                raise Unreadable(f"class {int(key)} has two names")
            result[int(key)] = class_name(value)
        except Unreadable as error:
            problems.add("class names", f"{where}, names: {error}")
    return result


def _splits(tree: Tree, path: Path, base: Any, given: dict[str, Any], problems: Problems) -> dict[str, list[Path]]:
    """Returns {split: its folders and lists}; raises UserError if nothing is there to train on."""
    there = {*tree.files, *(folder for file in tree.files for folder in file.parents)}
    splits: dict[str, list[Path]] = {}
    for key, value in given.items():
        entries = value if isinstance(value, list) else [value]
        found = [_find(tree, path, base, entry, there) for entry in entries]
        split, missing = SPLIT_KEYS[key], [entry for entry, one in zip(entries, found, strict=True) if one is None]
        places = [one for one in found if one is not None]
        if missing and split == "train":
            raise UserError(
                f"'{path}' names '{missing[0]}' for {key}, which is not in '{tree.root}': only what is in that folder "
                "is read; correct the path, or move the file to where the pictures are"
            )
        if missing:
            problems.add("same split", f"{tree.name(path)}: there is no '{missing[0]}' for {key} in '{tree.root}'")
        elif places and places == splits.get("train"):
            problems.add("same split", f"{tree.name(path)}: {key} is the same as train")
        elif places:
            splits.setdefault(split, places)
    if given and "train" not in splits:
        raise UserError(f"'{path}' names no pictures for train: add a line such as train: images/train")
    return splits


def _find(tree: Tree, path: Path, base: Any, entry: Any, there: set[Path]) -> Path | None:
    """Returns the folder or file below the tree that a path in the file `path` means, None if there is none."""
    if not isinstance(entry, str) or "\0" in entry:
        raise Unreadable(f"{received(entry)} is not a path")
    parts = [part for part in PurePosixPath(entry.replace("\\", "/")).parts if part not in ("/", ".")]
    inner = [part for part in parts if part != ".."]
    before = [base] if isinstance(base, str) else []
    candidates = [
        path.parent.joinpath(*before, *parts),
        path.parent.joinpath(*parts),
        tree.root.joinpath(*before, *parts),
    ]
    # A path of another computer, or from where darknet runs, is cut from the left; others have to be there whole.
    absolute = path.suffix == ".data" or entry.startswith(("/", "\\")) or bool(re.match(r"[A-Za-z]:", entry))
    starts = range(len(inner)) if absolute else [0]
    candidates += [folder.joinpath(*inner[n:]) for n in starts for folder in (path.parent, tree.root)]
    normal = [Path(os.path.normpath(one)) for one in candidates]
    root = Path(os.path.normpath(tree.root))
    known = {Path(os.path.normpath(one)): one for one in there}
    return next((known[one] for one in normal if one in known and one.is_relative_to(root)), None)


def _text(path: Path) -> str:
    return content(path, MOST_BYTES).decode("utf-8-sig", "replace")


def _names_in(path: Path) -> list[str]:
    """Returns the names in a file, one per line; raises UserError if it cannot be read."""
    try:
        return _lines(path)
    except Unreadable as error:
        raise UserError(f"cannot read '{path}' ({error}): expected the names of the classes, one per line") from None


def _lines(path: Path) -> list[str]:
    """Returns the names in a file, one per line."""
    return [class_name(line) for line in _text(path).splitlines() if line.strip()]
