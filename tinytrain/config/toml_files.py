"""TOML files that may come from anybody, read into tables; each fault is reported in one sentence."""

import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinytrain.errors import UserError

_LARGEST_FILE = 1_000_000  # bytes


def read(path: Path, what: str) -> dict[str, Any]:
    """Returns the tables of a TOML file; raises UserError, which calls the file `what`, if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise UserError(f"'{path}' is not a {what}: it has more than {_LARGEST_FILE:,} bytes")
        return loads(content.decode())
    except FileNotFoundError:
        raise UserError(f"no {what} '{path}': give the path of a TOML file, or none for the digits demo") from None
    except IsADirectoryError:
        raise UserError(f"'{path}' is a folder, not a {what}: {_folder_hint(path)}") from None
    except OSError as error:
        raise UserError(f"cannot read the {what} '{path}': {error.strerror}") from None
    except ValueError as error:  # of tomllib, of decode, of a NUL in the path
        raise UserError(f"'{path}' is not a TOML file: {error}") from None


def loads(text: str) -> dict[str, Any]:
    """Returns the tables of TOML text; raises ValueError if it is none, also where tomllib raises something else."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields (dotted key, value) of nested tables, in order."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _folder_hint(folder: Path) -> str:
    """Returns what to type in place of a folder that was given as a file."""
    if (folder / "config.toml").is_file():
        quoted = shlex.quote(str(folder))
        return f"continue this run with --out {quoted} --resume, or repeat it with {quoted}/config.toml"
    return f"give images in a folder for each class as --data {shlex.quote(f'folder:{folder}')}"
