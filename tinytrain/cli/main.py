"""The command line: tinytrain COMMAND. TensorFlow is imported only by a command that needs it."""

import errno
import io
import os
import select
import sys
from contextlib import nullcontext
from typing import Any, TextIO

from absl import flags

from tinytrain import files
from tinytrain.cli.flags import COMMANDS, Command
from tinytrain.errors import TinytrainError, UserError, escaped, is_utf8, readable, unknown
from tinytrain.files import json_text

USAGE = """tinytrain trains tiny vision networks and puts them on microcontrollers.

  tinytrain fit [CONFIG|--recipe NAME] [--data SPEC] [--model NAME] [--mcu BOARD] [--out RUN] [--resume] [KEY=VALUE …]
  tinytrain compare CONFIG|RECIPE… [--data SPEC,SPEC…] [--seeds N] [--out DIR] [KEY=VALUE …]
  tinytrain reproduce TABLE [--data SPEC,SPEC…] [--scale S] [--batch B] [--seeds N] [--out DIR] [KEY=VALUE …]
  tinytrain export RUN|MODEL.tflite --mcu BOARD [--data SPEC] [--out DIR] [--diagnose] [KEY=VALUE …]
  tinytrain evaluate RUN|MODEL.tflite [--data SPEC] [--split train|val|test] [KEY=VALUE …]
  tinytrain bench DIR [--port DEVICE|auto] [--images N] [--protocol binary|mlperf] [--out DIR]
  tinytrain report RUN… [--out report.html]
  tinytrain data SPEC [--out PNG] [KEY=VALUE …]
  tinytrain list [models|datasets|methods|boards|configs|keys] [--classes N]

SPEC is digits, folder:PATH (one folder of images per class), csv:FILE (path,label), tfds:NAME or a name that
`tinytrain list datasets` shows, such as cifar10. Without config and data, `fit` trains the digits demo.
KEY=VALUE sets any key of the config: `tinytrain list keys` shows them all.
`tinytrain COMMAND --help` shows the flags of a command. --json prints the result as one JSON line at the end.
Exit status: 0, 2 for a mistake in what was asked, 3 if the model does not fit the board, 1 if it answers wrong there.
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
        _forget(sys.stderr)
        sys.exit(141)
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
            raise
        told = UserError(f"cannot use the name '{error.filename}': {error.strerror}; give a shorter path")
        print(f"tinytrain: {told}", file=sys.stderr)
        sys.exit(told.exit_status)


def _refuse_other_encodings(argv: list[str]) -> None:
    """Raises UserError for names that no text file of a run, a report or an export could hold."""
    for word in (*argv, os.getcwd()):
        if not is_utf8(word):
            raise UserError(f"'{readable(word)}' is not UTF-8: rename the file or folder that it names")


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("--help", "-h", "-help", "help"):
        _print(USAGE.rstrip("\n"))
        return 0 if argv else 2
    if argv[0] == "--version":
        from importlib.metadata import version

        _print(f"tinytrain {version('tinytrain')}")
        return 0
    if argv[0] not in COMMANDS:
        raise unknown("command", argv[0], COMMANDS)
    command = COMMANDS[argv[0]]
    if {"--help", "-h", "-help"} & set(argv[1:]):
        _print(_help(argv[0], command))
        return 0
    _refuse_other_encodings(argv)
    values, words = _parse(command, argv[1:])
    with nullcontext() if argv[0] == "list" else files.private_temporary_folder():
        result, text = command.run(values, words)
    _print(*filter(None, [escaped(text), values.json and json_text(result, "the result")]))
    command.verdict(result)
    return 0


def _print(*texts: str) -> None:
    """Prints to standard output; ends the program without a word if nobody reads it any more, as `head` does.

    A BrokenPipeError from anything but our own output is a fault, which has to be told.
    """
    try:
        for text in texts:
            print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget(sys.stdout)
        sys.exit(141)
    except OSError as error:
        _forget(sys.stdout)
        raise UserError(f"cannot write to standard output: {error.strerror}") from None


def _forget(stream: TextIO) -> None:
    """Sends what is left in `stream` nowhere: Python would write it at its end, and tell that it cannot."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _nobody_reads(stream: TextIO) -> bool:
    """Returns whether `stream` is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _help(name: str, command: Command) -> str:
    usage = next(line.strip() for line in USAGE.splitlines() if line.strip().startswith(f"tinytrain {name}"))
    rows = {**command.flags, "json": "switch: print the result as one JSON line at the end"}
    lines = [f"  --{flag:9} {meaning.removeprefix('switch: ')}" for flag, meaning in rows.items()]
    return "\n".join([usage, "", command.meaning, "", *lines])


def _parse(command: Command, argv: list[str]) -> tuple[Any, list[str]]:
    """Returns the flag values and the words that are no flags."""
    values = flags.FlagValues()
    for name, meaning in {**command.flags, "json": "switch:"}.items():
        if meaning.startswith("switch:"):
            flags.DEFINE_boolean(name, False, meaning, flag_values=values)
        else:
            flags.DEFINE_string(name, None, meaning, flag_values=values)
    values.set_gnu_getopt(True)
    try:
        words = values(["tinytrain", *argv])[1:]
    except flags.Error as error:
        raise UserError(f"{error} (known flags: {', '.join('--' + name for name in command.flags)}, --json)") from None
    for name in command.flags:
        if values[name].value == "":
            raise UserError(f"--{name} is empty: give it a value or leave it out")
    return values, words
