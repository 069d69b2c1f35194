"""The words of a command line: which are KEY=VALUE, and whole numbers of flags. Nothing here imports TensorFlow."""

from pathlib import Path

from tinytrain.config import load as configs
from tinytrain.config.paths import is_there
from tinytrain.errors import UserError


def is_setting(word: str) -> bool:
    """Returns whether `word` is KEY=VALUE: a key of the config, or nearly one, and the name of no file or folder."""
    dotted, equals, _ = word.partition("=")
    return bool(equals) and configs.is_nearly_a_key(dotted.strip()) and not is_there(Path(word))


def separated(words: list[str]) -> tuple[list[str], list[str]]:
    """Returns (words that are no KEY=VALUE, KEY=VALUE words)."""
    settings = [word for word in words if is_setting(word)]
    return [word for word in words if word not in settings], settings


def whole(flag: str, word: str, most: int, least: int = 1) -> int:
    """Returns the whole number that a flag was given; raises UserError unless it is one from `least` to `most`."""
    number = int(word) if word.isascii() and word.isdecimal() and len(word) <= len(str(most)) else None
    if number is None or not least <= number <= most:
        what = "out of range" if word.isascii() and word.removeprefix("-").isdecimal() else "no number"
        raise UserError(f"--{flag} {word} is {what}: expected a whole number from {least:,} to {most:,}")
    return number
