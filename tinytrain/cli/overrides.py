"""Which arguments of a command line are KEY=VALUE overrides. Nothing here imports TensorFlow."""

from pathlib import Path

from tinytrain.config import load as configs
from tinytrain.config.paths import is_there


def is_override(argument: str) -> bool:
    """Returns whether `argument` is KEY=VALUE: with a key of the config, or nearly one, and no file of this name."""
    dotted, equals, _ = argument.partition("=")
    return bool(equals) and configs.is_nearly_a_key(dotted.strip()) and not is_there(Path(argument))


def separated(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Returns (arguments that are no KEY=VALUE, KEY=VALUE arguments)."""
    overrides = [argument for argument in arguments if is_override(argument)]
    return [argument for argument in arguments if argument not in overrides], overrides
