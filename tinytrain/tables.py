"""Tables as text: columns that are aligned for a terminal, and Markdown; times to read."""

from collections.abc import Iterable, Sequence

Cells = Sequence[str]


def line(cells: Cells, columns: Sequence[str], between: str = "") -> str:
    """Returns one row.

    Args:
        cells: a text for each column.
        columns: how each column is aligned and how wide it is at least, as in format strings: "<20", ">9"; "" for one
            that needs no filling.
        between: stands between two columns.
    """
    return between.join(f"{cell:{column}}" for cell, column in zip(cells, columns, strict=True))


def aligned(rows: Iterable[Cells], columns: Sequence[str], between: str = "") -> list[str]:
    """Returns a line for each row, those of the headings first; "<" and ">" are as wide as their widest cell.

    The arguments are those of `line`, for each row.
    """
    rows = list(rows)
    widest = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    fixed = [
        f"{column}{width}" if column in ("<", ">") else column for column, width in zip(columns, widest, strict=True)
    ]
    return [line(row, fixed, between) for row in rows]


def markdown(rows: Iterable[Cells], columns: str) -> str:
    """Returns a table in Markdown, the headings the first row; `columns` has "<" or ">" for each column."""
    heading, *others = rows
    rules = ["---:" if column == ">" else "---" for column in columns]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heading, rules, *others])


def without_repeats(rows: Iterable[Cells]) -> list[tuple[str, ...]]:
    """Returns rows whose first cell is empty where it says the same as that of the row above."""
    rows = list(rows)
    above = [None, *(cells[0] for cells in rows)]
    return [("" if cells[0] == last else cells[0], *cells[1:]) for last, cells in zip(above, rows, strict=False)]


def duration(seconds: float) -> str:
    """Returns a time to read: "40 s", "12 min", "3.4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
