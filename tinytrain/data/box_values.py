"""Values in the files of boxes, which can hold anything: checked numbers, names and JSON."""

import json
import reprlib
import unicodedata
from pathlib import Path
from typing import Any

from tinytrain.errors import is_utf8, shortened, shown

FLAGS = {"": False, "-1": False, "0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


class Unreadable(ValueError):
    """Why a file, or something in it, cannot be read."""


def received(value: object) -> str:
    """Returns the repr of a received value; of lists only the beginning: YAML can nest them 9**40 times."""
    return shortened(reprlib.repr(value)) if isinstance(value, list | dict) else shown(value)


def number(name: str, value: object) -> float:
    """Returns a finite number from a text or a number; raises Unreadable, with `name`, for anything else."""
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        result = float(value)
    except (ValueError, OverflowError):
        raise Unreadable(f"{name} is {received(value)}, not a number") from None
    if result - result != 0:
        raise Unreadable(f"{name} is {received(value)}, not a finite number")
    return result


def numbers(name: str, values: object, count: int) -> list[float]:
    """Returns so many finite numbers from a list; raises Unreadable for anything else."""
    if not isinstance(values, list) or len(values) != count:
        raise Unreadable(f"{name} is {received(values)}: expected {count} numbers")
    return [number(name, value) for value in values]


def flag(name: str, value: object) -> bool:
    """Returns whether a flag of a box is set; it is not where it is missing or unknown, as -1 says in OpenImages.

    Raises:
        Unreadable: it is neither.
    """
    word = str(int(value) if isinstance(value, bool) else "" if value is None else value).strip().lower()
    if word in FLAGS:
        return FLAGS[word]
    raise Unreadable(f"{name} is {received(value)}: expected 0 or 1")


def size(width: object, height: object) -> tuple[float, float] | None:
    """Returns the size that a file declares; None if it declares none, or 0 as some tools do."""
    try:
        result = number("width", width), number("height", height)
    except Unreadable:
        return None
    return result if min(result) > 0 else None


def class_name(value: object) -> str:
    """Returns the name of a class in composed characters, without blanks around it; raises Unreadable without one."""
    name = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
    if not name or not is_utf8(name):
        raise Unreadable(f"the class is {received(value)}: expected a name")
    return name


def content(path: Path, most_bytes: int) -> bytes:
    """Returns what a file holds; raises Unreadable if it cannot be read or is larger."""
    try:
        if path.stat().st_size > most_bytes:
            raise Unreadable(f"more than {most_bytes:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(str(error.strerror)) from None


def json_object(path: Path, most_bytes: int) -> dict[str, Any]:
    """Returns the object in a JSON file; raises Unreadable if there is none."""
    try:
        value = json.loads(content(path, most_bytes))
    except json.JSONDecodeError as error:
        raise Unreadable(f"line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # no text, numbers of thousands of digits, deeply nested lists
        raise error if isinstance(error, Unreadable) else Unreadable(f"not JSON ({type(error).__name__})") from None
    if not isinstance(value, dict):
        raise Unreadable(f"it holds a {type(value).__name__}: expected an object")
    return value


def entries(value: dict[str, Any], key: str) -> list[Any]:
    """Returns the list under a key of a JSON object, [] if it is missing; raises Unreadable if it is no list."""
    result = value.get(key, [])
    if not isinstance(result, list):
        raise Unreadable(f"{key} is {received(result)}: expected a list")
    return result
