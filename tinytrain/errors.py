"""The errors that a user can meet, with their exit statuses.

TinytrainError      1  a bug of tinytrain or a failure of the machine
├── UserError       2  a mistake in a flag, a config, data or a file
└── DoesNotFit      3  the model is too large for the board

Only `cli.main` catches them. A message says what is wrong, what was received and what would be right. The received
value can be anything, so every error makes its message printable and short; code that raises one need not care.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

_MAX_LENGTH = {"quoted": 200, "word": 500, "message": 4000}  # in characters
_QUOTED = re.compile(r"(?<!\w)(['\"])((?:(?!\1).)+)\1", re.DOTALL)
_LONG_WORD = re.compile(rf"\S{{{_MAX_LENGTH['word'] + 1},}}")
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # terminal escapes, bidi marks, surrogates, line separators


def escaped(text: str) -> str:
    r"""Returns `text` with control and other unprintable characters escaped as in Python (\x1b).

    Line breaks and tabs stay.
    """
    return "".join(map(_escaped_character, text)) if not (text.isascii() and text.isprintable()) else text


def _escaped_character(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _UNPRINTABLE:
        return character
    return ascii(character)[1:-1]


def shortened(text: str, max_length: int = _MAX_LENGTH["quoted"]) -> str:
    """Returns `text`; if it is longer than `max_length`, only its ends and the number of characters in between."""
    if len(text) <= max_length:
        return text
    end = max_length // 4
    return f"{text[: max_length - end]}[… {len(text) - max_length:,} characters …]{text[-end:]}"


def _printable(message: str) -> str:
    """Returns a message escaped and shortened, with each quotation on one line."""
    message = _QUOTED.sub(_shortened_quotation, escaped(message))
    message = _LONG_WORD.sub(lambda match: shortened(match[0], _MAX_LENGTH["word"]), message)
    return shortened(message, _MAX_LENGTH["message"])


def _shortened_quotation(match: re.Match[str]) -> str:
    return match[1] + shortened(match[2].replace("\n", "\\n")) + match[1]


class TinytrainError(Exception):
    """Base class of the errors that are printed as one message, without a traceback."""

    exit_status = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(_printable(message))


class UserError(TinytrainError):
    """A mistake that the user can correct: in a flag, a config key, a folder or a file."""

    exit_status = 2


class DoesNotFit(TinytrainError):
    """The model needs more RAM or flash than the board has."""

    exit_status = 3


def shown(value: object) -> str:
    """Returns the repr of a received value, shortened; works for any value, however long or deeply nested."""
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # an integer of thousands of digits, deeply nested lists
        return f"a {type(value).__name__} that is too long to be shown"


def nearest(name: str, choices: Iterable[str], cutoff: float = 0.55) -> str:
    """Returns "; did you mean 'x'?" for the choice closest to `name`, or "" if none is close.

    Args:
        name: what was typed.
        choices: what would be right.
        cutoff: the least similarity, 0..1 (`difflib.get_close_matches`).
    """
    matches = get_close_matches(name.lower()[: _MAX_LENGTH["quoted"]], list(choices), n=1, cutoff=cutoff)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def near(path: Path) -> str:
    """Returns "; did you mean 'x'?" for the nearest name that is beside a path that does not exist, "" if none is."""
    try:
        beside = [one.name for one in path.absolute().parent.iterdir()]
    except OSError:
        return ""
    names = {name.lower(): name for name in beside}
    matches = get_close_matches(path.name.lower()[: _MAX_LENGTH["quoted"]], list(names), n=1, cutoff=0.75)
    return f"; did you mean '{path.parent / names[matches[0]]}'?" if matches else ""


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
    """Returns the error for an unknown name, with the nearest of `choices` and all of them."""
    known = sorted(choices)
    return UserError(f"unknown {kind} '{name}'{nearest(name, known)} (known: {', '.join(known)})")


class Mistakes:
    """Collects errors, to report them in one message."""

    def __init__(self, messages: Iterable[str] = ()) -> None:
        self.errors: list[TinytrainError] = [UserError(message) for message in messages]

    def collect(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns function(*arguments), or None if it raises UserError or DoesNotFit, which is collected."""
        try:
            return function(*arguments)
        except (UserError, DoesNotFit) as error:
            self.errors.append(error)
            return None

    def raise_all(self) -> None:
        """Raises the collected errors as one, if there are any; a UserError if one of them is, else DoesNotFit."""
        if len(self.errors) > 1:
            text = "".join(f"\n{number}. {error}" for number, error in enumerate(self.errors, start=1))
            kind = UserError if any(isinstance(error, UserError) for error in self.errors) else DoesNotFit
            raise kind(f"{len(self.errors)} things are wrong:{text}")
        for error in self.errors:
            raise error


def is_utf8(text: str) -> bool:
    """Returns whether `text` can be written as UTF-8, which is not true of every file name."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(text: str) -> str:
    r"""Returns `text` with bytes that are not UTF-8, which Python keeps as lone surrogates, written as \xe4."""
    hexed = "".join(f"\\x{ord(char) - 0xDC00:02x}" if "\udc80" <= char <= "\udcff" else char for char in text)
    return hexed.encode("utf-8", "backslashreplace").decode()
