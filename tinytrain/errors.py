"""The errors a user can meet, and the exit status each one means.

TinytrainError      1  our own bug or a failure of the machine
├── UserError       2  a mistake in a flag, a config, data or a file
└── DoesNotFit      3  the model is too large for the board

Only `cli.main` catches them. A message says what is wrong, what was received and what would be right.
"""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any


class TinytrainError(Exception):
    """Base of every error that is told in one message, without a traceback."""

    exit_status = 1


class UserError(TinytrainError):
    """A mistake the user can mend: a flag, a config key, a folder, a file."""

    exit_status = 2


class DoesNotFit(TinytrainError):
    """The model needs more RAM or flash than the board has."""

    exit_status = 3


def nearest(word: str, choices: Iterable[str]) -> str:
    """Returns "; did you mean 'x'?" for the choice closest to `word`, or "" if none is close."""
    match = get_close_matches(word.lower(), list(choices), n=1, cutoff=0.5)
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
