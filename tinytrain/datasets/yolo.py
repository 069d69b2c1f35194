"""Boxes in the format of YOLO: `yolo:PATH`, a text file for each picture.

PATH is a folder, or the data.yaml or obj.data in it. data.yaml (of Ultralytics or Roboflow) and obj.data (of darknet)
say the classes and the splits; without them the classes are in classes.txt, and train, valid or test folders are the
splits, above or below images and labels. A line is class, centre x, centre y, width, height as shares of the picture;
of a polygon, the box around it is taken.
"""

from collections import defaultdict
from pathlib import Path

from tinytrain.config.schema import Data
from tinytrain.data import box_files, box_tree, yolo_config, yolo_labels
from tinytrain.data.box_fit import Annotated
from tinytrain.data.box_problems import Problems
from tinytrain.data.box_values import content
from tinytrain.data.boxes import Box
from tinytrain.data.source import SPLIT_NAMES, Dataset

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
        boxes = [Box(index[box.label], box.corners, where=box.where) for box in boxes]
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
    pictures = []
    for line, text in enumerate(content(path, MOST_BYTES).decode("utf-8-sig", "replace").splitlines(), 1):
        if name := text.strip():
            picture = tree.take(name, path, f"{tree.name(path)}, line {line}", problems)
            pictures += [picture] if picture else []
    return pictures


def _labels(tree: box_tree.Tree, layout: yolo_config.Layout, problems: Problems) -> dict[Path, Path]:
    """Returns {picture: its label file}; a label file without a picture is a problem."""
    files = {path for path in tree.with_suffix(".txt") if path not in layout.files}
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_stem[box_tree.folded(path.stem)].append(path)
    result = {}
    for picture in tree.pictures:
        if label_file := _label_file(tree, picture, files, by_stem[box_tree.folded(picture.stem)]):
            result[picture] = label_file
    taken = set(result.values())
    folders = {path.parent for path in taken}
    for path in sorted(files - taken):
        is_label = path.parent in folders or LABELS in path.relative_to(tree.root).parts[:-1]
        if is_label and path.stem.lower() not in SPLIT_NAMES and not path.stem.lower().startswith("readme"):
            problems.add("no picture", f"{tree.name(path)}: no picture of that name")
    return result


def _label_file(tree: box_tree.Tree, picture: Path, files: set[Path], same_stem: list[Path]) -> Path | None:
    """Returns the label file of a picture: in labels in place of images, beside it, or the only one of its name."""
    parts = list(picture.relative_to(tree.root).parts[:-1])
    if PICTURES in parts:
        last = len(parts) - 1 - parts[::-1].index(PICTURES)
        parts[last] = LABELS
        usual = tree.root.joinpath(*parts, picture.stem + ".txt")
        if usual in files:
            return usual
    beside = picture.with_name(picture.stem + ".txt")
    if beside in files:
        return beside
    same_split = [path for path in same_stem if tree.split(path) == tree.split(picture)]
    return same_split[0] if len(same_split) == 1 else None
