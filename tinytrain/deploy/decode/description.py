"""A decoder as the section "decoder" of report.json, and read back: an export holds how its boxes are decoded."""

import dataclasses
import json
import zlib
from typing import Any

from tinytrain.deploy.decode.anchors import AnchorDecoder, Output
from tinytrain.deploy.decode.boxes import Decoder, Grid
from tinytrain.deploy.decode.cells import CellDecoder
from tinytrain.errors import UserError, shown

KINDS: dict[str, type[Decoder]] = {"anchors": AnchorDecoder, "cells": CellDecoder}


def section(decoder: Decoder) -> dict[str, Any]:
    """Returns what report.json holds of a decoder: "kind" and the fields of its class."""
    (kind,) = (name for name, type_ in KINDS.items() if isinstance(decoder, type_))
    fields: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(decoder)))  # tuples are lists in a file
    return {"kind": kind, **fields}


def crc(decoder: Decoder) -> int:
    """Returns a CRC-32 by which a host knows the decoder that a board holds."""
    return zlib.crc32(json.dumps(section(decoder), sort_keys=True).encode())


def read(values: dict[str, Any]) -> Decoder:
    """Returns the decoder of a section that `section` has written, or anybody else.

    Raises ValueError if it describes no decoder.
    """
    try:
        fields = dict(values)
        kind = KINDS[fields.pop("kind")]
        if kind is AnchorDecoder:
            fields["outputs"] = tuple(map(_output, fields["outputs"]))
        else:
            fields["output"] = Grid(**_typed(Grid, fields["output"]))
        return kind(**_typed(kind, fields))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UserError) as error:
        reason = f"{error.args[0]!r} is missing or unknown" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"its decoder cannot be used: {reason}") from None


def _output(values: dict[str, Any]) -> Output:
    anchors = tuple(
        (_number("anchor", int, width), _number("anchor", int, height)) for width, height in values["anchors"]
    )
    return Output(**_typed(Output, dict(values, anchors=anchors)))


def _typed(kind: type, fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a dataclass, numbers as its numbers; raises TypeError for what is no number."""
    types = {field.name: field.type for field in dataclasses.fields(kind)}
    return {name: _number(name, types.get(name), value) for name, value in fields.items()}


def _number(name: str, type_: Any, value: Any) -> Any:
    if type_ is int and type(value) is not int:
        raise TypeError(f"{name} should be a whole number; received {shown(value)}")
    if type_ is float and type(value) not in (int, float):
        raise TypeError(f"{name} should be a number; received {shown(value)}")
    return float(value) if type_ is float else value
