"""Boxes in a table: the rows of `csv:FILE` with the columns path, label, xmin, ymin, xmax and ymax.

Coordinates are pixels counted from 0, xmax and ymax beyond the last pixel. The header of OpenImages is taken, too: its
coordinates are shares of the picture.
"""

import os
from pathlib import Path

from tinytrain.config.schema import Data
from tinytrain.data import box_files, box_tree
from tinytrain.data.box_fit import Annotated
from tinytrain.data.box_names import Finder, Named
from tinytrain.data.box_problems import Problems
from tinytrain.data.box_values import Unreadable, class_name, flag, number, size
from tinytrain.data.boxes import CROWD, NORMAL, Box, with_names
from tinytrain.data.source import Dataset, split_of
from tinytrain.errors import UserError

SIDES = ("xmin", "ymin", "xmax", "ymax")
OPEN_IMAGES = {"XMin": "xmin", "YMin": "ymin", "XMax": "xmax", "YMax": "ymax", "ImageID": "path", "LabelName": "label"}
Rows = list[tuple[int, dict[str, str]]]  # line number and cells


def load(table: Path, rows: Rows, shares: bool, data: Data) -> Dataset:
    """Returns the pictures that a table names, with their boxes.

    Args:
        table: the file.
        rows: its lines; one whose label and sides are empty names a picture without a box.
        shares: whether coordinates are shares of the picture, as in OpenImages; else they are pixels.
        data: the [data] section of the config.

    Raises:
        UserError: there is no picture or box that can be used, or the coordinates are shares where pixels are expected.
    """
    root, problems = table.parent, Problems()
    read = []  # (line, row, picture, class, sides, flag)
    for (line, row), picture in zip(rows, _pictures(table, rows, problems), strict=True):
        if picture is None:
            continue
        where = f"{table.name}, line {line}"
        sides: tuple[float, ...] = ()
        name, state = "", NORMAL
        try:
            if row.get("label") or any(row.get(side) for side in SIDES):
                name = class_name(row.get("label", ""))
                state = CROWD if flag("IsGroupOf", row.get("IsGroupOf")) else NORMAL
                sides = tuple(number(side, _decimal(row.get(side, ""))) for side in SIDES)
        except Unreadable as error:
            problems.add("malformed box", f"{where}: {error}", picture)
        read.append((where, row, picture, name, sides, state))
    values = [value for *_, sides, _ in read for value in sides]
    if values and not shares and max(values) <= 1:
        raise UserError(
            f"'{table}' has no coordinate above 1: expected pixels, or the columns ImageID, LabelName, XMin, XMax, "
            "YMin and YMax of OpenImages for shares of the picture"
        )
    classes = sorted({name for *_, name, _, _ in read if name})
    annotated = []
    for where, row, picture, name, sides, state in read:
        boxes = []
        if sides:
            x0, y0, x1, y1 = sides
            boxes = [Box(classes.index(name), (x0, y0, x1, y1), state, where=where, written=with_names(SIDES, sides))]
        split = (split_of(row["split"]) or "all") if row.get("split") else "all"
        declared = size(row.get("width"), row.get("height"))
        annotated.append(Annotated(picture, boxes, split, declared, where, shares))
    return box_files.load(root, classes, annotated, problems, data)


def _pictures(table: Path, rows: Rows, problems: Problems) -> list[Path | None]:
    """Returns the picture of each row: where its path leads, else the one below the folder that it can mean."""
    root, named = table.parent, []
    for line, row in rows:
        path = os.path.relpath(root / row["path"], root)  # one picture may be written in several ways
        is_there = (root / path).is_file()
        where = f"{table.name}, line {line}"
        named.append(Named(path if is_there else row["path"], where, table, picture=root / path if is_there else None))
    if all(one.picture for one in named):
        return [one.picture for one in named]
    return Finder(box_tree.Tree(root), problems).take(named)


def _decimal(cell: str) -> str:
    """Returns a cell with a decimal point where a spreadsheet wrote a comma."""
    return cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell
