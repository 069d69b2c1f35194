"""Reads one label file of YOLO: a line for each box, the number of its class and shares of the picture."""

from pathlib import Path

from tinytrain.data.box_problems import Problems
from tinytrain.data.box_values import Unreadable, content, number
from tinytrain.data.boxes import Box

MOST_BYTES = 20_000_000
FAR_OUTSIDE = 4.0  # a share of the picture that no box reaches, and few pixels are fewer


def read(path: Path, name: str, known: set[int], pose: bool, picture: Path, problems: Problems) -> list[Box]:
    """Returns the boxes of a label file, in shares of the picture. The picture of a bad line is left out.

    Args:
        path: the file.
        name: what findings call it.
        known: the numbers of the classes.
        pose: whether key points follow the box.
        picture: that the boxes lie in.
        problems: collects what is wrong.
    """
    try:
        text = content(path, MOST_BYTES).decode("utf-8-sig")
    except (Unreadable, UnicodeDecodeError) as error:
        reason = "no text" if isinstance(error, UnicodeDecodeError) else error
        problems.add("unreadable annotation", f"{name}: {reason}", picture)
        return []
    boxes = []
    for line, row in enumerate(text.splitlines(), 1):
        where = f"{name}, line {line}"
        try:
            if words := row.split():
                label, corners = _label(words[0]), _corners(words[1:], pose, where, problems)
                if label not in known:
                    problems.add("unknown class", f"{where}: class {words[0]}, but there are names for {_range(known)}")
                else:
                    boxes.append(Box(label, corners, where=where, written=" ".join(words[1:])))
        except Unreadable as error:
            problems.add("malformed box", f"{where}: {error}", picture)
    return boxes


def _label(word: str) -> int:
    value = number("the class", word)
    if value != int(value):
        raise Unreadable(f"the class is {word}: expected a whole number")
    return int(value)


def _corners(words: list[str], pose: bool, where: str, problems: Problems) -> tuple[float, float, float, float]:
    """Returns x0, y0, x1, y1 of a box (cx, cy, w, h), or of the box around a polygon (x, y, x, y, …)."""
    values = [number("a number", word) for word in words]
    if max(map(abs, values), default=0) > FAR_OUTSIDE:
        raise Unreadable(f"{' '.join(words)} look like pixels: expected shares of the picture, 0 to 1")
    if len(values) == 4 or (pose and len(values) > 4):
        x, y, width, height = values[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(values) < 6 or len(values) % 2:
        raise Unreadable(f"{len(values)} numbers after the class: expected 4 for a box, or 6 and more for a polygon")
    problems.add("polygon", where)
    return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])


def _range(known: set[int]) -> str:
    return f"{min(known)} to {max(known)}" if known else "none"
