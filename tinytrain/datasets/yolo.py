"""Boxes in the format of YOLO: `yolo:PATH`, a text file for each picture.

PATH is a folder, or the data.yaml or obj.data in it. data.yaml (of Ultralytics or Roboflow) and obj.data (of darknet)
say the classes and the splits; without them the classes are in classes.txt, and train, valid or test folders are the
splits, above or below images and labels. A line is class, centre x, centre y, width, height as shares of the picture;
of a polygon, the box around it is taken.
"""

import dataclasses
from collections import defaultdict
from pathlib import Path

from tinytrain.config.schema import Data
from tinytrain.data import box_files, box_pairs, box_tree, yolo_config, yolo_labels
from tinytrain.data.box_fit import Annotated
from tinytrain.data.box_names import Finder, Named
from tinytrain.data.box_problems import Problems
from tinytrain.data.box_values import Unreadable, content
from tinytrain.data.boxes import Box
from tinytrain.data.source import SPLIT_NAMES, Dataset
from tinytrain.errors import UserError

NEEDS = "data.yaml, or images and labels"
CONFIG_SUFFIXES = {".yaml", ".yml", ".data"}
PICTURES, LABELS = "images", "labels"
MOST_BYTES = 500_000_000  # of a list of pictures


def load(argument: str, data: Data) -> Dataset:
    """Returns the pictures of a dataset with their boxes.

    Raises:
        UserError: there is no such folder or file, it holds no labels, or no picture that can be used.
    """
    path = Path(argument).expanduser()
    chosen = path if path.suffix.lower() in CONFIG_SUFFIXES and path.is_file() else None
    root = chosen.parent if chosen else box_tree.open_folder(argument, "yolo", NEEDS)
    tree, problems = box_tree.Tree(root), Problems()
    if not tree.with_suffix(".txt"):
        raise box_tree.none_found(root, "yolo", NEEDS)
    layout = yolo_config.read(tree, chosen, problems)
    splits = _splits(tree, layout, problems)
    labels = _labels(tree, layout, problems)
    if not labels:
        raise box_tree.none_found(root, "yolo", NEEDS)
    numbers = sorted(layout.names)
    index = {number: place for place, number in enumerate(numbers)}
    annotated = []
    for picture, names in splits.items():
        boxes = _boxes(tree, layout, picture, labels.get(picture), problems)
        boxes = [dataclasses.replace(box, label=index[box.label]) for box in boxes]
        annotated += [Annotated(picture, boxes, split, shares=True) for split in names]
    return box_files.load(root, [layout.names[number] for number in numbers], annotated, problems, data)


def _boxes(
    tree: box_tree.Tree, layout: yolo_config.Layout, picture: Path, label_file: Path | None, problems: Problems
) -> list[Box]:
    if label_file is None:
        return []
    return yolo_labels.read(label_file, tree.name(label_file), set(layout.names), layout.pose, picture, problems)


def _splits(tree: box_tree.Tree, layout: yolo_config.Layout, problems: Problems) -> dict[Path, list[str]]:
    """Returns {picture: its splits} of all pictures; "all" is none."""
    if not layout.splits:
        return {path: [tree.split(path)] for path in tree.pictures}
    result: dict[Path, list[str]] = {path: [] for path in tree.pictures}
    for split, places in layout.splits.items():
        for place in places:
            if place in tree.files:
                layout.files.add(place)
                pictures = _listed(tree, place, problems)
            else:
                pictures = [path for path in tree.pictures if place in path.parents]
            for picture in pictures:
                if split not in result[picture]:
                    result[picture].append(split)
    return {picture: names or ["all"] for picture, names in result.items()}


def _listed(tree: box_tree.Tree, path: Path, problems: Problems) -> list[Path]:
    """Returns the pictures that the lines of a file name."""
    try:
        lines = content(path, MOST_BYTES).decode("utf-8-sig", "replace").splitlines()
    except Unreadable as error:
        raise UserError(f"cannot read '{path}' ({error}): expected the names of pictures, one per line") from None
    named = [
        Named(name, f"{tree.name(path)}, line {line}", path)
        for line, text in enumerate(lines, 1)
        if (name := text.strip())
    ]
    return [picture for picture in Finder(tree, problems).take(named) if picture]


def _labels(tree: box_tree.Tree, layout: yolo_config.Layout, problems: Problems) -> dict[Path, Path]:
    """Returns {picture: its label file}; a label file without a picture, or of several, is a problem."""
    files = {path for path in tree.with_suffix(".txt") if path not in layout.files}
    own = [(path, picture) for picture in tree.pictures if (path := _own(tree, picture, files))]
    same_name = _of_that_name(tree, files, own)
    pairs = own + box_pairs.without_far(tree, same_name, problems, own)
    claims: dict[Path, list[Path]] = defaultdict(list)
    for path, picture in pairs:
        claims[path].append(picture)
    for path, pictures in claims.items():
        if len(pictures) > 1:
            problems.add("two pictures", f"{tree.name(path)}: {' and '.join(map(tree.name, pictures))}")
    folders = {path.parent for path in claims}
    for path in sorted(files - {path for path, _ in [*own, *same_name]}):
        is_label = path.parent in folders or LABELS in path.relative_to(tree.root).parts[:-1]
        if is_label and path.stem.lower() not in SPLIT_NAMES and not path.stem.lower().startswith("readme"):
            problems.add("no picture", f"{tree.name(path)}: no picture of that name")
    return {pictures[0]: path for path, pictures in claims.items() if len(pictures) == 1}


def _own(tree: box_tree.Tree, picture: Path, files: set[Path]) -> Path | None:
    """Returns the label file of a picture: in labels in place of images, or beside it."""
    parts = list(picture.relative_to(tree.root).parts[:-1])
    if PICTURES in parts:
        last = len(parts) - 1 - parts[::-1].index(PICTURES)
        parts[last] = LABELS
        usual = tree.root.joinpath(*parts, picture.stem + ".txt")
        if usual in files:
            return usual
    beside = picture.with_name(picture.stem + ".txt")
    return beside if beside in files else None


def _of_that_name(tree: box_tree.Tree, files: set[Path], own: list[box_pairs.Pair]) -> list[box_pairs.Pair]:
    """Returns, for the pictures without a label file of their own, the only one of their name in their split."""
    by_name: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in sorted(files):
        by_name[tree.split(path), box_tree.folded(path.stem)].append(path)
    taken, labelled = {path for path, _ in own}, {picture for _, picture in own}
    pairs = []
    for picture in tree.pictures:
        same = by_name[tree.split(picture), box_tree.folded(picture.stem)]
        if picture not in labelled and len(same) == 1 and same[0] not in taken:
            pairs.append((same[0], picture))
    return pairs
