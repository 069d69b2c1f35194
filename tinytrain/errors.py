"""The errors a user can meet, and the exit status each one means.

TinytrainError      1  our own bug or a failure of the machine
├── UserError       2  a mistake in a flag, a config, data or a file
└── DoesNotFit      3  the model is too large for the board

Only `cli.main` catches them. A message says what is wrong, what was received and what would be right.
"""

from collections.abc import Iterable
from difflib import get_close_matches


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
