"""Reads one annotation file of Pascal VOC, with the line of each box. A DTD, and so every entity, is refused."""

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from tinytrain.data.box_values import Unreadable, content, number

MOST_BYTES = 16_000_000
MOST_LEVELS = 100
SIDES = ("xmin", "ymin", "xmax", "ymax")
ROOT = "annotation"


@dataclass
class BoundingBox:
    """One <bndbox>: its line, and the texts of its sides and of the name and `difficult` of its object."""

    line: int
    sides: dict[str, str] = field(default_factory=dict)
    name: str = ""
    difficult: str = ""

    def numbers(self) -> tuple[float, float, float, float]:
        """Returns xmin, ymin, xmax, ymax; raises Unreadable if one is missing or no number."""
        missing = [side for side in SIDES if side not in self.sides]
        if missing:
            raise Unreadable(f"no {', '.join(missing)}")
        x0, y0, x1, y1 = (number(side, self.sides[side]) for side in SIDES)
        return x0, y0, x1, y1


@dataclass
class Annotation:
    """What is used of a file: the name of the picture, the texts of its size, and its boxes."""

    filename: str = ""
    size: dict[str, str] = field(default_factory=dict)
    boxes: list[BoundingBox] = field(default_factory=list)


def read(path: Path) -> Annotation | None:
    """Returns the annotation in a file; None if it is XML of another kind.

    Raises:
        Unreadable: the file is no XML, is cut off, is too large or declares entities.
    """
    xml = content(path, MOST_BYTES)
    reader = _Reader()
    try:
        reader.parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise Unreadable(f"line {error.lineno}: {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError) as error:  # an encoding that Python does not know, or of several bytes
        raise error if isinstance(error, Unreadable) else Unreadable(str(error)) from None
    return reader.annotation if reader.is_annotation else None


class _Reader:
    """Collects an annotation while expat walks through the file."""

    def __init__(self) -> None:
        self.annotation, self.is_annotation = Annotation(), False
        self.path: list[str] = []
        self.text: list[str] = []
        self.object: list[BoundingBox] = []  # of the <object> that is read
        self.object_line, self.name, self.difficult = 0, "", ""
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self.text.append

    def _refuse(self, *_: object) -> None:
        raise Unreadable(f"line {self.parser.CurrentLineNumber}: it declares a DTD, which no annotation needs")

    def _start(self, tag: str, _: dict[str, str]) -> None:
        self.path.append(tag)
        if len(self.path) > MOST_LEVELS:
            raise Unreadable(f"line {self.parser.CurrentLineNumber}: more than {MOST_LEVELS} nested elements")
        self.is_annotation |= self.path == [ROOT]
        if self.path == [ROOT, "object"]:
            self.object, self.object_line = [], self.parser.CurrentLineNumber
            self.name, self.difficult = "", ""
        elif self.path == [ROOT, "object", "bndbox"]:
            self.object.append(BoundingBox(self.parser.CurrentLineNumber))
        self.text.clear()

    def _end(self, tag: str) -> None:
        text = "".join(self.text).strip()
        match self.path[1:]:
            case ["filename"]:
                self.annotation.filename = text
            case ["size", "width" | "height" as side]:
                self.annotation.size[side] = text
            case ["object", "name"]:
                self.name = text
            case ["object", "difficult"]:
                self.difficult = text
            case ["object", "bndbox", side] if side in SIDES:
                self.object[-1].sides[side] = text
            case ["object"]:
                self._end_object()
        self.path.pop()
        self.text.clear()

    def _end_object(self) -> None:
        for box in self.object or [BoundingBox(self.object_line)]:
            box.name, box.difficult = self.name, self.difficult
            self.annotation.boxes.append(box)
