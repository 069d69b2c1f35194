"""What a command prints to standard output, for a reader who may leave before the end."""

import os
import sys
from typing import TextIO

from tinytrain.errors import UserError


def write(*texts: str) -> None:
    """Prints to standard output; ends the program silently if its reader has gone, as behind `| head`.

    A BrokenPipeError from anything but our own output is a fault, which must be reported.
    """
    try:
        for text in texts:
            print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        forget(sys.stdout)
        sys.exit(141)
    except OSError as error:
        forget(sys.stdout)
        raise UserError(f"cannot write to standard output: {error.strerror}") from None


def forget(stream: TextIO) -> None:
    """Discards what is left in `stream`: Python would try to write it at exit, and report that it cannot."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
