"""The errors a user can meet, and the exit status each one means.

TinytrainError      1  our own bug or a failure of the machine
├── UserError       2  a mistake in a flag, a config, data or a file
└── DoesNotFit      3  the model is too large for the board

Only `cli.main` catches them. A message says what is wrong, what was received and what would be right. What was received
may be anything: a message is made printable and short when the error is made, so that no place where one is written has
to think of it.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

_LONGEST = {"quoted": 200, "word": 500, "message": 4000}  # characters that are shown
_QUOTED = re.compile(r"(?<!\w)(['\"])((?:(?!\1).)+)\1", re.DOTALL)
_WORD = re.compile(rf"\S{{{_LONGEST['word'] + 1},}}")
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # terminal escapes, bidi marks, surrogates, line separators


def escaped(text: str) -> str:
    r"""Returns `text` with what a terminal obeys or hides, but for line breaks and tabs, as Python writes it: \x1b."""
    return "".join(map(_escaped, text)) if not (text.isascii() and text.isprintable()) else text


def _escaped(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _UNPRINTABLE:
        return character
    return ascii(character)[1:-1]


def shortened(text: str, longest: int = _LONGEST["quoted"]) -> str:
    """Returns `text`, of one that is longer than `longest` both ends and how many characters were left out."""
    if len(text) <= longest:
        return text
    end = longest // 4
    return f"{text[: longest - end]}[… {len(text) - longest:,} characters …]{text[-end:]}"


def _readable(message: str) -> str:
    """Returns a message that is fit to be printed: escaped, and what it quotes on one line and cut in the middle."""
    message = _QUOTED.sub(_quoted, escaped(message))
    message = _WORD.sub(lambda found: shortened(found[0], _LONGEST["word"]), message)
    return shortened(message, _LONGEST["message"])


def _quoted(found: re.Match[str]) -> str:
    return found[1] + shortened(found[2].replace("\n", "\\n")) + found[1]


class TinytrainError(Exception):
    """Base of every error that is told in one message, without a traceback."""

    exit_status = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(_readable(message))


class UserError(TinytrainError):
    """A mistake the user can mend: a flag, a config key, a folder, a file."""

    exit_status = 2


class DoesNotFit(TinytrainError):
    """The model needs more RAM or flash than the board has."""

    exit_status = 3


def shown(value: object) -> str:
    """Returns a received value as Python writes it, cut in the middle; nothing is too long or too deep for it."""
    try:
        return shortened(repr(value))
    except (ValueError, RecursionError):  # a number of thousands of digits, a list in a list in a list …
        return f"a {type(value).__name__} that is too long to be shown"


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.55) -> str:
    """Returns "; did you mean 'x'?" for the choice closest to `word`, or "" if none is close."""
    match = get_close_matches(word.lower()[: _LONGEST["quoted"]], list(choices), n=1, cutoff=cutoff)
    return f"; did you mean '{match[0]}'?" if match else ""


def unknown(kind: str, word: str, choices: Iterable[str]) -> UserError:
    """Returns the error for a name that is none of `choices`, with the nearest one and the whole list."""
    names = sorted(choices)
    return UserError(f"unknown {kind} '{word}'{nearest(word, names)} (known: {', '.join(names)})")


class Mistakes:
    """Several errors that are told in one message."""

    def __init__(self, messages: Iterable[str] = ()) -> None:
        self.errors: list[TinytrainError] = [UserError(message) for message in messages]

    def kept(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls `function` and returns what it does; None where it raises an error for the user, which is kept."""
        try:
            return function(*arguments)
        except (UserError, DoesNotFit) as error:
            self.errors.append(error)
            return None

    def raise_all(self) -> None:
        """Raises the errors as one, a UserError where one of them is; nothing if there are none."""
        if len(self.errors) > 1:
            text = "".join(f"\n{number}. {error}" for number, error in enumerate(self.errors, start=1))
            kind = UserError if any(isinstance(error, UserError) for error in self.errors) else DoesNotFit
            raise kind(f"{len(self.errors)} things are wrong:{text}")
        for error in self.errors:
            raise error


def is_utf8(text: str) -> bool:
    """Returns whether all of `text` can be written as UTF-8; names of files need not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(text: str) -> str:
    r"""Returns `text` with bytes that are not UTF-8, which Python keeps as halves of surrogates, as in \xe4."""
    shown = "".join(f"\\x{ord(char) - 0xDC00:02x}" if "\udc80" <= char <= "\udcff" else char for char in text)
    return shown.encode("utf-8", "backslashreplace").decode()
