"""Keys and values of older versions: config files with them are still read, with a line that names the new ones.

A run must go on for as long as it is kept, so its config.toml is read. What is typed as KEY=VALUE can be corrected at
once, so there an old key is an error that names the new one: nobody learns two names for one thing.
"""

import functools
import sys
from pathlib import Path
from typing import Any

from tinytrain.config import library, toml_files
from tinytrain.errors import escaped

RENAMED = {
    "model.deviation": "model.std",
    "search.way": "search.algorithm",
    "optim.keep": "optim.checkpoint",
}
RENAMED_VALUES = {("model.init", "default"): "he", ("export.target", "makefile"): "bare-metal"}
ABLATED = "augment.ablated"  # a switch, before it became a recipe


def hint(dotted: str) -> str:
    """Returns what to type in place of the old key `dotted`, for an error; "" if it is no old key."""
    if dotted == ABLATED:
        return ": it is now a recipe, --recipe ablated"
    return f": it is now {RENAMED[dotted]}" if dotted in RENAMED else ""


def translated(settings: dict[str, Any], path: Path) -> dict[str, Any]:
    """Returns the settings {dotted key: value} of a config file in today's keys and values.

    A line on standard error names the old ones, once for each file.
    """
    new, notes = dict(settings), []
    for dotted, value in settings.items():
        if dotted in RENAMED:
            new.setdefault(RENAMED[dotted], new.pop(dotted))
            notes.append(f"{dotted} is now {RENAMED[dotted]}")
        elif isinstance(value, str) and (dotted, value) in RENAMED_VALUES:
            new[dotted] = RENAMED_VALUES[dotted, value]
            notes.append(f'{dotted} = "{value}" is now "{new[dotted]}"')
        elif dotted == ABLATED:
            del new[dotted]
            new |= dict(toml_files.flat(toml_files.read(library.recipe("ablated"), "recipe"))) if value is True else {}
            notes.append(f"{dotted} is now the recipe ablated")
    if notes:
        _print_once(f"'{path}' is from an older version: {', '.join(notes)}")
    return new


@functools.cache
def _print_once(sentence: str) -> None:
    print(escaped(f"tinytrain: {sentence}"), file=sys.stderr)
