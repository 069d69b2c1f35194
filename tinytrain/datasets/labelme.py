"""Boxes that LabelMe draws: `labelme:PATH`, a JSON file beside each picture, or in another folder below PATH.

Rectangles are taken as they are, polygons and circles as the boxes around them. Points and lines have no area and are
left out. The copy of the picture inside the JSON file is not read.
"""

import dataclasses
from pathlib import Path
from typing import Any

from tinytrain.config import box_formats
from tinytrain.config.schema import Data
from tinytrain.data import box_files, box_pairs, box_tree
from tinytrain.data.box_fit import Annotated
from tinytrain.data.box_names import Finder, Named
from tinytrain.data.box_problems import Problems
from tinytrain.data.box_values import Unreadable, class_name, entries, json_object, numbers, received, size
from tinytrain.data.boxes import Box
from tinytrain.data.source import Dataset

NEEDS = "pictures and the JSON files that LabelMe writes beside them"
MOST_BYTES = 500_000_000  # most of it is the copy of the picture
RECTANGLE, CIRCLE, OUTLINES = "rectangle", "circle", ("polygon", "linestrip", "mask")


def load(argument: str, data: Data) -> Dataset:
    """Returns the pictures below the folder `argument` with their boxes.

    Raises:
        UserError: there is no such folder, it holds no annotation, or no picture that can be used.
    """
    tree, problems = box_tree.Tree(box_tree.open_folder(argument, "labelme", NEEDS)), Problems()
    files = _read(tree, problems)
    pictures = _pictures(tree, files, problems)
    read: dict[Path, Annotated] = {}
    classes: dict[str, int] = {}
    for path, picture in pictures:
        one = _annotated(tree, path, files[path], picture, classes, problems)
        if read.setdefault(picture, one) is not one:
            problems.add("two annotations", f"{tree.name(picture)}: {read[picture].where} and {one.where}")
    if not read and not problems.lines["unreadable annotation"] and not problems.lines["no picture"]:
        raise box_tree.none_found(tree.root, "labelme", NEEDS)
    folders = {path.parent for path in read}
    background = [path for path in tree.pictures if path not in read and path.parent in folders]
    annotated = [*read.values(), *(Annotated(path, split=tree.split(path)) for path in background)]
    names = sorted(classes)
    by_label = {label: names.index(name) for name, label in classes.items()}
    for one in read.values():
        one.boxes = [dataclasses.replace(box, label=by_label[box.label]) for box in one.boxes]
    return box_files.load(tree.root, names, annotated, problems, data)


def _read(tree: box_tree.Tree, problems: Problems) -> dict[Path, dict[str, Any]]:
    """Returns what each file of LabelMe holds, without the copy of the picture."""
    files = {}
    for path in tree.with_suffix(".json"):
        if box_formats.kind_of(path) == "coco":
            continue
        try:
            file = json_object(path, MOST_BYTES)
            if "shapes" in file:
                files[path] = file | {"imageData": None, "shapes": entries(file, "shapes")}
            else:
                problems.add("left out", f"{tree.name(path)}: no shapes")
        except Unreadable as error:
            problems.add("unreadable annotation", f"{tree.name(path)}: {error}")
            problems.skipped |= set(tree.pictures_of(path.stem, path))
    return files


def _pictures(tree: box_tree.Tree, files: dict[Path, dict[str, Any]], problems: Problems) -> list[box_pairs.Pair]:
    """Returns the files with their pictures: those that they name, else those of the same name."""
    named = []
    for path, file in files.items():
        given = file.get("imagePath")
        name = given if isinstance(given, str) and tree.pictures_of(given, path) else path.stem
        named.append(Named(name, tree.name(path), path))
    found = Finder(tree, problems).take(named)
    pairs = [(one.near, picture) for one, picture in zip(named, found, strict=True) if picture is not None]
    return box_pairs.without_far(tree, pairs, problems)


def _annotated(
    tree: box_tree.Tree, path: Path, file: dict[str, Any], picture: Path, classes: dict[str, int], problems: Problems
) -> Annotated:
    """Returns the picture of a file with its boxes; adds their classes."""
    name = tree.name(path)
    boxes = []
    for number, shape in enumerate(file["shapes"]):
        where = f"{name}, shapes[{number}]"
        try:
            label = class_name(shape.get("label") if isinstance(shape, dict) else None)
            corners = _corners(shape, where, problems)
            boxes.append(Box(classes.setdefault(label, len(classes)), corners, where=where))
        except Unreadable as error:
            problems.add("malformed box", f"{where}: {error}", picture)
    declared = size(file.get("imageWidth"), file.get("imageHeight"))
    return Annotated(picture, boxes, tree.split(picture), declared, name)


def _corners(shape: dict[str, Any], where: str, problems: Problems) -> tuple[float, float, float, float]:
    """Returns the box around a shape; a point or a line gets one without area."""
    points = [numbers("a point", point, 2) for point in entries(shape, "points")]
    kind = shape.get("shape_type", "polygon")
    if not points:
        raise Unreadable("a shape without points")
    if kind == CIRCLE and len(points) == 2:
        (x, y), (edge_x, edge_y) = points
        radius = ((x - edge_x) ** 2 + (y - edge_y) ** 2) ** 0.5
        points = [[x - radius, y - radius], [x + radius, y + radius]]
    elif kind in ("point", "points", "line"):
        return points[0][0], points[0][1], points[0][0], points[0][1]
    elif kind not in (RECTANGLE, CIRCLE, *OUTLINES):
        raise Unreadable(f"shape_type is {received(kind)}: expected rectangle, polygon or circle")
    if kind != RECTANGLE:
        problems.add("polygon", where)
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
