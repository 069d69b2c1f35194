"""One value of a config: read from text, and checked against the type, the choices and the range of its key."""

import dataclasses
import types
import typing
from typing import Any, Literal

from tinytrain.config import toml_files
from tinytrain.errors import UserError, nearest, shown

_LONGEST_TEXT, _LONGEST_LIST = 4096, 64  # characters, items
_UNIONS = (typing.Union, types.UnionType)


def parse(text: str) -> Any:
    """Returns a TOML value, or the bare text where it is none: `data.spec=digits` needs no quotes."""
    try:
        table = toml_files.loads(f"value = {text}")
    except ValueError:  # also of a number of thousands of digits
        table = {}
    if list(table) != ["value"]:  # a line break could bring further keys
        return {"True": True, "False": False}.get(text, text)
    return table["value"]


def checked(dotted: str, leaf: dataclasses.Field, value: Any, where: str = "") -> Any:
    """Returns `value` as the key `dotted` holds it, an int as a float where a float is due.

    Args:
        dotted: the key, for the error.
        leaf: its field in the schema.
        value: what was read or typed.
        where: " in FILE", for the error.

    Raises:
        UserError: another type, none of the choices, or out of range.
    """
    kinds = typing.get_args(leaf.type) if typing.get_origin(leaf.type) in _UNIONS else (leaf.type,)
    choices = [choice for kind in kinds if typing.get_origin(kind) is Literal for choice in typing.get_args(kind)]
    plain = [kind for kind in kinds if isinstance(kind, type)]
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    if list[float] in kinds and type(value) is list and value and {type(item) for item in value} <= {int, float}:
        if len(value) > _LONGEST_LIST:
            raise UserError(f"{dotted}{where} has {len(value):,} numbers: expected at most {_LONGEST_LIST}")
        return [float(_in_range(dotted, leaf, item, where)) for item in value]
    if list[int] in kinds and type(value) in (int, list):
        items = [value] if type(value) is int else value
        if 0 < len(items) <= _LONGEST_LIST and {type(item) for item in items} == {int}:
            return [_in_range(dotted, leaf, item, where) for item in items]
    if type(value) is int and float in plain:
        value = float(_in_range(dotted, leaf, value, where))
    if isinstance(value, str) and (len(value) > _LONGEST_TEXT or "\0" in value):
        raise UserError(
            f"{dotted} = {shown(value)}{where} is not valid text: expected at most {_LONGEST_TEXT:,} characters, no NUL"
        )
    if type(value) not in plain:
        names = [kind.__name__ for kind in plain] + ["a list of numbers"] * (list[float] in kinds)
        names += ["a list of whole numbers"] * (list[int] in kinds)
        expected = " or ".join(names + [repr(choice) for choice in choices])
        hint = nearest(value, [str(choice) for choice in choices]) if isinstance(value, str) else ""
        raise UserError(f"{dotted} = {shown(value)}{where} has the wrong type: expected {expected}{hint}")
    return _in_range(dotted, leaf, value, where)


def range_of(leaf: dataclasses.Field) -> str:
    """Returns "1 to 10,000" for a key that takes numbers, "" for one that takes none."""
    low, high = leaf.metadata["minimum"], leaf.metadata["maximum"]
    return "" if low is None else _range(low, high)


def _in_range(dotted: str, leaf: dataclasses.Field, value: Any, where: str) -> Any:
    low, high = leaf.metadata["minimum"], leaf.metadata["maximum"]
    if type(value) in (int, float) and not low <= value <= high:  # nan is in no range
        raise UserError(f"{dotted} = {shown(value)}{where} is out of range: expected {_range(low, high)}")
    return value


def _range(low: float, high: float) -> str:
    return " to ".join(f"{int(end):,}" if end == int(end) else f"{end:g}" for end in (low, high))
