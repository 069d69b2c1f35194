"""The command line: tinytrain COMMAND. TensorFlow is imported only by a command that needs it."""

import errno
import io
import os
import select
import shlex
import sys
from contextlib import nullcontext
from typing import TextIO

from tinytrain import distribution, files
from tinytrain.cli import flags, output
from tinytrain.cli.commands import COMMANDS
from tinytrain.errors import TinytrainError, UserError, escaped, is_utf8, readable, unknown
from tinytrain.files import json_text
from tinytrain.workers import processes

WITHOUT_FILES = ("list", "clean", "completion")  # commands that write no temporary files
_LINES = "\n".join(f"  {flags.usage(name, command)}" for name, command in COMMANDS.items())
USAGE = f"""tinytrain trains tiny vision networks and puts them on microcontrollers.

{_LINES}

SPEC is digits, folder:PATH (one folder of images per class), csv:FILE (path,label), tfds:NAME or a name that
`tinytrain list datasets` shows, such as cifar10. Without config and data, `fit` trains the digits demo.
KEY=VALUE sets any key of the config: `tinytrain list keys` shows them all.
`tinytrain COMMAND --help` shows the flags of a command. --json prints the result as one JSON line at the end.
Exit status: 0, 2 for a mistake in what was asked, 3 if the model does not fit the board, 1 if it answers wrong there
or an image cannot be read.
"""


def main(argv: list[str] | None = None) -> None:
    """Runs one command and exits with its status; the only place that catches our errors."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal of another encoding than UTF-8
    try:
        sys.exit(_run(sys.argv[1:] if argv is None else argv))
    except TinytrainError as error:
        print(f"tinytrain: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt as stop:
        notes = getattr(stop, "__notes__", [])
        print(escaped("; ".join(["\ntinytrain: interrupted", *notes[-1:]])), file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        if not _nobody_reads(sys.stderr):
            raise  # of a child process: a fault of ours
        output.forget(sys.stderr)
        sys.exit(141)
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
            raise
        name_error = UserError(f"cannot use the name '{error.filename}': {error.strerror}; give a shorter path")
        print(f"tinytrain: {name_error}", file=sys.stderr)
        sys.exit(name_error.exit_status)


def _refuse_other_encodings(argv: list[str]) -> None:
    """Raises UserError for names that no text file of a run, a report or an export could hold."""
    for text in (*argv, os.getcwd()):
        if not is_utf8(text):
            raise UserError(f"'{readable(text)}' is not UTF-8: rename the file or folder that it names")


def _run(argv: list[str]) -> int:
    distribution.refuse_clash()
    if not argv or argv[0] in ("--help", "-h", "-help", "help"):
        output.write(USAGE.rstrip("\n"))
        return 0 if argv else 2
    if argv[0] == "--version":
        output.write(f"tinytrain {distribution.version()}")
        return 0
    if argv[0] not in COMMANDS:
        raise unknown("command", argv[0], COMMANDS)
    command = COMMANDS[argv[0]]
    if {"--help", "-h", "-help"} & set(argv[1:]):
        output.write(flags.help_text(argv[0], command))
        return 0
    _refuse_other_encodings(argv)
    values, operands, overrides = flags.parse(command, argv[1:])
    try:
        with nullcontext() if argv[0] in WITHOUT_FILES else files.private_temporary_folder():
            result, text = command.run(values, operands, overrides)
    except KeyboardInterrupt as stop:
        _add_command(stop, command.again(values), argv)
        raise
    output.write(*filter(None, [escaped(text), values.json and json_text(result, "the result")]))
    command.verdict(result)
    return 0


def _add_command(stop: KeyboardInterrupt, again: str, argv: list[str]) -> None:
    """Adds the note that the same command goes on, or begins again unless a run that was begun has its own note."""
    if again == flags.GOES_ON or (again and not getattr(stop, "__notes__", [])):
        stop.add_note(f"{again}: {shlex.join(['tinytrain', *argv, *processes.launched_flag()])}")


def _nobody_reads(stream: TextIO) -> bool:
    """Returns whether `stream` is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
