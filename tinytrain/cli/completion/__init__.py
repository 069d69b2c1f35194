"""`tinytrain completion`: a script for a shell, written from what the commands take. Nothing here imports TensorFlow.

The script holds all words itself, so that a Tab starts no Python; a new version of tinytrain prints a new one.
"""

from collections.abc import Mapping

from tinytrain.cli.completion import bash, fish, zsh
from tinytrain.cli.completion.places import places
from tinytrain.cli.flags import Command

SHELLS = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}


def script(shell: str, commands: Mapping[str, Command]) -> str:
    """Returns the script with which `shell`, one of SHELLS, completes the `commands`."""
    return SHELLS[shell](places(commands))
