"""Which words of a command line are KEY=VALUE. Nothing here imports TensorFlow."""

from pathlib import Path

from tinytrain.config import load as configs
from tinytrain.config.paths import is_there


def is_setting(word: str) -> bool:
    """Returns whether `word` is KEY=VALUE: a key of the config, or nearly one, and the name of no file or folder."""
    dotted, equals, _ = word.partition("=")
    return bool(equals) and configs.is_nearly_a_key(dotted.strip()) and not is_there(Path(word))


def separated(words: list[str]) -> tuple[list[str], list[str]]:
    """Returns (words that are no KEY=VALUE, KEY=VALUE words)."""
    settings = [word for word in words if is_setting(word)]
    return [word for word in words if word not in settings], settings
