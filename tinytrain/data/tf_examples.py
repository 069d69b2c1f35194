"""Reads the records of the TensorFlow Object Detection API: a tf.train.Example for each picture."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinytrain.data.box_values import Unreadable, class_name, flag, number
from tinytrain.data.source import counted

CLASS_TEXT, CLASS_LABEL = "image/object/class/text", "image/object/class/label"
SIDES = [f"image/object/bbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax")]


@dataclass
class Record:
    """One example: the name of the picture, its file if the record holds it, and its features by name."""

    filename: str
    encoded: bytes
    features: dict[str, list[Any]]

    @property
    def size(self) -> tuple[float, float] | None:
        """The width and height that the record declares."""
        values = [self.features.get(f"image/{side}", []) for side in ("width", "height")]
        width, height = (float(value[0]) if value and isinstance(value[0], int) else 0.0 for value in values)
        return (width, height) if width > 0 and height > 0 else None

    def objects(self, names: dict[int, str]) -> list[tuple[str, tuple[float, ...], bool, bool]]:
        """Returns (class, corners in shares of the picture, difficult, crowd) of each object.

        Args:
            names: {number of a class: its name}, for records that hold numbers only.

        Raises:
            Unreadable: the lists of the record do not fit each other, or hold no numbers.
        """
        sides = [self.features.get(side, []) for side in SIDES]
        texts, labels = self.features.get(CLASS_TEXT, []), self.features.get(CLASS_LABEL, [])
        classes = [_text(text) for text in texts] or [names.get(label, "") for label in labels]
        count = len(sides[0])
        if {len(side) for side in sides} != {count} or len(classes) != count:
            raise Unreadable(
                f"{counted(len(classes), 'class', 'classes')}, and "
                f"{', '.join(str(len(side)) for side in sides)} sides of boxes"
            )
        difficult = self._flags("image/object/difficult", count)
        crowd = self._flags("image/object/is_crowd", count) or self._flags("image/object/group_of", count)
        result = []
        for index in range(count):
            corners = tuple(number("a side", side[index]) for side in sides)
            is_difficult, is_crowd = (
                bool(flags) and flag(name, _text(flags[index]) or flags[index])
                for name, flags in (("difficult", difficult), ("is_crowd", crowd))
            )
            result.append((class_name(classes[index]), corners, is_difficult, is_crowd))
        return result

    def _flags(self, name: str, count: int) -> list[Any]:
        values = self.features.get(name, [])
        return values if len(values) == count else []


def read(path: Path) -> Iterator[Record]:
    """Yields the records of a file.

    Raises:
        Unreadable: the file is cut off or damaged, or is no file of examples.
    """
    import tensorflow as tf

    try:
        for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.Example.FromString(serialized)
            features = {
                key: list(getattr(value, value.WhichOneof("kind")).value) if value.WhichOneof("kind") else []
                for key, value in example.features.feature.items()
            }
            name, encoded = (features.get(f"image/{key}", [b""]) or [b""] for key in ("filename", "encoded"))
            yield Record(_text(name[0]), encoded[0] if isinstance(encoded[0], bytes) else b"", features)
    except tf.errors.OpError as error:
        raise Unreadable(str(error.message).partition(";")[0].partition(" [Op")[0]) from None
    except Exception as error:  # protobuf has a class of its own for what is no example
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"a record is not a tf.train.Example ({type(error).__name__})") from None


def label_map(text: str) -> list[tuple[int, str]]:
    """Returns (number, name) of each item of a label map: item { id: 1 name: 'person' }."""
    names = []
    for item in re.findall(r"\{([^{}]*)\}", text):
        number_, name = re.search(r"\bid\s*:\s*(\d{1,9})", item), re.search(r"\bname\s*:\s*(['\"])(.*?)\1", item)
        if number_ and name:
            names.append((int(number_[1]), name[2]))
    return names


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
