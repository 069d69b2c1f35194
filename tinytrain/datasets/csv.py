"""Images that a table names: `csv:FILE`, with the columns path, label and, optionally, split (train, val, test).

With the columns xmin, ymin, xmax and ymax, or the header of OpenImages, a line is a box in a picture, for object
detection (`data.box_table`). A path is relative to the folder of FILE. Blanks at the ends of a cell are ignored.
"""

import csv
import unicodedata
from pathlib import Path

from tinytrain.config.schema import Data
from tinytrain.data import box_table, image_files
from tinytrain.data.source import Dataset, counted, split_of
from tinytrain.errors import UserError


def load(argument: str, data: Data) -> Dataset:
    """Returns the images of the table `argument`.

    Raises:
        UserError: the table cannot be read, an image is missing, or there is no class or training image to learn from.
    """
    table = Path(argument).expanduser()
    columns, rows = _rows(table)
    if set(box_table.SIDES) <= {box_table.OPEN_IMAGES.get(name, name) for name in columns}:
        return box_table.load(table, rows, not set(box_table.SIDES) <= set(columns), data)
    missing_files = [f"line {line}: {row['path']}" for line, row in rows if not (table.parent / row["path"]).is_file()]
    if missing_files:
        listed = "".join(f"\n  {file}" for file in missing_files)
        raise UserError(
            f"'{table}' names {counted(len(missing_files), 'file')} that cannot be found; correct the paths, which are "
            f"relative to '{table.parent}', or remove the lines:{listed}"
        )
    classes = sorted({row["label"] for _, row in rows})
    index_of = {name: index for index, name in enumerate(classes)}
    if len(classes) < 2:
        raise UserError(f"'{table}' names fewer than two classes ({', '.join(classes)}): expected two in column label")
    files: dict[str, list[tuple[Path, int]]] = {}
    for _, row in rows:
        split = split_of(row["split"]) if row.get("split") else "all"
        files.setdefault(str(split), []).append((table.parent / row["path"], index_of[row["label"]]))
    if len(files) > 1 and "train" not in files:
        raise UserError(f"'{table}' has no train image (its splits are {', '.join(files)}): name some in column split")
    return image_files.load_files(table.parent, classes, files, data)


def _rows(table: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Returns the columns as the table names them and (line number, row) for each line, checked."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = [box_table.OPEN_IMAGES.get(name, name) for name in columns]
            rows = [(reader.line_num, _stripped(row)) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot read '{table}' ({reason}): data.spec=csv:FILE needs a table with the columns path and label"
        ) from None
    if not {"path", "label"} <= set(reader.fieldnames):
        listed = ", ".join(columns) or "none"
        raise UserError(f"'{table}' lacks the columns path and label: its first line names {listed}")
    with_split = any(row.get("split") for _, row in rows)
    for line, row in rows:
        _check(table, line, row, with_split, may_be_background=set(box_table.SIDES) <= set(reader.fieldnames))
    if not rows:
        raise UserError(f"'{table}' names no image: expected a line with path and label for each")
    return columns, rows


def _stripped(row: dict[str, str | None]) -> dict[str, str]:
    """Returns the cells of a line without blanks at their ends; the label in composed characters, as for folders."""
    cells = {name: cell.strip() for name, cell in row.items() if isinstance(cell, str)}
    return cells | {"label": unicodedata.normalize("NFC", cells.get("label", ""))}


def _check(table: Path, line: int, row: dict[str, str], with_split: bool, may_be_background: bool) -> None:
    if not row.get("path") or not (row.get("label") or may_be_background):
        raise UserError(f"'{table}', line {line}: path and label must both be filled in")
    if with_split and not split_of(row.get("split", "")):
        raise UserError(
            f"'{table}', line {line}: split is '{row.get('split', '')}'; expected train, val or test, "
            "on every line or on none"
        )
