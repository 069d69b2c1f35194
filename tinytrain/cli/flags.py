"""Flags of the command line: each defined once, typed, parsed by absl, and the source of its line in usage and help.

absl's own parsers take more than a flag should, such as 0x10 or digits of other scripts as a number, and their errors
do not say what would be right; the ones here raise the sentence that the user reads.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from absl import flags

from tinytrain.cli.overrides import separated
from tinytrain.config import load as configs
from tinytrain.errors import UserError, unknown


@dataclass(frozen=True)
class Flag:
    """One flag; made by `text`, `integer`, `number`, `choice` and `switch`.

    parser: absl's, None for a switch; value: what stands for its value in usage; details: what help adds in brackets.
    """

    name: str
    meaning: str
    parser: flags.ArgumentParser | None
    value: str = ""
    default: Any = None
    required: bool = False
    details: str = ""

    @property
    def usage(self) -> str:
        """The flag with its value, such as "--seeds N" or "--resume"."""
        return f"--{self.name} {self.value}".rstrip()

    @property
    def help(self) -> str:
        """What the flag means, the values that it takes and its default."""
        default = f"default: {self.default}" if self.default not in (None, False) else ""
        details = "; ".join(filter(None, [self.details, default]))
        return f"{self.meaning} ({details})" if details else self.meaning

    def define(self, values: flags.FlagValues) -> None:
        """Adds the flag to those that `values` parses."""
        if self.parser is None:
            flags.DEFINE_boolean(self.name, self.default, self.help, flag_values=values)
        else:
            flags.DEFINE(self.parser, self.name, self.default, self.help, flag_values=values)


def text(name: str, value: str, meaning: str, default: str | None = None, required: bool = False) -> Flag:
    """Returns a flag that takes any text but an empty one.

    Args:
        name: without the dashes.
        value: what stands for its value in usage, such as "DIR".
        meaning: its line in help.
        default: its value if it is not given.
        required: whether usage shows it without brackets.
    """
    return Flag(name, meaning, _Text(name), value, default, required)


def integer(name: str, value: str, meaning: str, low: int, high: int, default: int | None = None) -> Flag:
    """Returns a flag that takes a whole number from `low` to `high`; the other arguments are as in `text`."""
    return Flag(name, meaning, _WholeNumber(name, low, high), value, default, details=f"{low:,} to {high:,}")


def number(name: str, value: str, meaning: str, low: float, high: float) -> Flag:
    """Returns a flag that takes a number from `low` to `high`; the other arguments are as in `text`."""
    return Flag(name, meaning, _Number(name, low, high), value, details=f"{low:g} to {high:g}")


def choice(name: str, choices: Sequence[str], meaning: str, default: str | None = None, value: str = "") -> Flag:
    """Returns a flag that takes one of `choices`; the other arguments are as in `text`.

    Usage lists the choices, unless `value` stands for them.
    """
    details = ", ".join(choices) if value else ""
    return Flag(name, meaning, _Choice(name, choices), value or "|".join(choices), default, details=details)


def switch(name: str, meaning: str) -> Flag:
    """Returns a flag without a value."""
    return Flag(name, meaning, None, default=False)


GOES_ON, BEGINS = "go on with", "begin again with"  # what the same command does after an interruption
JSON = switch("json", "print the result as one JSON line at the end")


@dataclass(frozen=True)
class Command:
    """What a command does, what it takes and the function that it calls.

    meaning: one sentence; operands: what it takes that is no flag, as usage shows it; run: called with the values of
    the flags, the operands and the KEY=VALUE words, returns what --json prints and a text to read; overrides: whether
    it takes KEY=VALUE words; verdict: raises the error that a result is, once it is printed; again: given the values of
    the flags, returns what stands before the same command when it is interrupted: GOES_ON, BEGINS or "" for nothing.
    """

    meaning: str
    operands: str
    flags: tuple[Flag, ...]
    run: Callable[[Any, list[str], list[str]], tuple[Any, str]]
    overrides: bool = True
    verdict: Callable[[Any], None] = lambda _: None
    again: Callable[[Any], str] = lambda _: ""


def flag_words(command: Command, values: Any, leave_out: Sequence[str] = ()) -> list[str]:
    """Returns the words that give the flags of `command` these values, those without the names in `leave_out`."""
    words = []
    for flag in (*command.flags, JSON):
        value = getattr(values, flag.name)
        if flag.name not in leave_out and value != flag.default:
            words += [f"--{flag.name}"] if flag.parser is None else [f"--{flag.name}={value}"]
    return words


def usage(name: str, command: Command) -> str:
    """Returns the line that shows how `command` is typed."""
    shown = [flag for flag in command.flags if f"--{flag.name}" not in command.operands]
    parts = [flag.usage if flag.required else f"[{flag.usage}]" for flag in shown]
    words = ["tinytrain", name, command.operands, *parts, *["[KEY=VALUE …]"] * command.overrides]
    return " ".join(filter(None, words))


def help_text(name: str, command: Command) -> str:
    """Returns what `tinytrain COMMAND --help` prints."""
    shown = [*command.flags, JSON]
    width = max(len(flag.usage) for flag in shown)
    return "\n".join(
        [usage(name, command), "", command.meaning, "", *(f"  {flag.usage:{width}}  {flag.help}" for flag in shown)]
    )


def parse(command: Command, argv: Sequence[str]) -> tuple[flags.FlagValues, list[str], list[str]]:
    """Returns the values of the flags, the operands and the KEY=VALUE words of a command line.

    Raises:
        UserError: an unknown flag, one without a value, or a value that its flag does not take.
    """
    values, known = flags.FlagValues(), [*command.flags, JSON]
    for flag in known:
        flag.define(values)
    values.set_gnu_getopt(True)
    try:
        arguments = values(["tinytrain", *argv])[1:]
    except flags.Error as error:
        if missing := re.fullmatch(r"Missing value for flag --?(.+)", str(error)):
            value = next(flag.usage for flag in known if flag.name == missing[1])
            raise UserError(f"--{missing[1]} has no value: expected {value}") from None
        meant = _key_meant(str(error)) if command.overrides else ""
        raise UserError(f"{error}{meant} (known flags: {', '.join('--' + flag.name for flag in known)})") from None
    return values, *(separated(arguments) if command.overrides else (arguments, []))


def _key_meant(error: str) -> str:
    """Returns how keys are set that are called like the unknown flag of absl's `error`, "" if there is none."""
    match = re.match(r"Unknown command line flag '([\w-]+)'", error)
    name = match[1].replace("-", "_") if match else ""
    found = [f"{dotted}=…" for dotted in map(str, configs.keys()) if dotted.rpartition(".")[2] == name]
    return f"; to set a key, type it without dashes: {' or '.join(found[:3])}" if found else ""


class _Text(flags.ArgumentParser):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def parse(self, argument: str) -> str:
        return _not_empty(self.name, argument)


class _WholeNumber(flags.IntegerParser):
    def __init__(self, name: str, low: int, high: int) -> None:
        super().__init__(low, high)
        self.name = name

    def parse(self, argument: str | int) -> int:
        if isinstance(argument, int):  # the default
            return argument
        _not_empty(self.name, argument)
        low, high = self.lower_bound, self.upper_bound
        digits = argument.isascii() and argument.isdecimal()
        number = int(argument) if digits and len(argument) <= len(str(high)) else None
        if number is None or not low <= number <= high:
            fault = "out of range" if argument.isascii() and argument.removeprefix("-").isdecimal() else "not a number"
            raise UserError(f"--{self.name} {argument} is {fault}: expected a whole number from {low:,} to {high:,}")
        return number


class _Number(flags.FloatParser):
    def __init__(self, name: str, low: float, high: float) -> None:
        super().__init__(low, high)
        self.name = name

    def parse(self, argument: str) -> float:
        _not_empty(self.name, argument)
        low, high = self.lower_bound, self.upper_bound
        is_number = re.fullmatch(r"-?(\d+\.?\d*|\.\d+)(e-?\d{1,3})?", argument, re.ASCII | re.IGNORECASE)
        if not is_number or not low <= float(argument) <= high:
            fault = "out of range" if is_number else "not a number"
            raise UserError(f"--{self.name} {argument} is {fault}: expected a number from {low:g} to {high:g}")
        return float(argument)


class _Choice(flags.EnumParser):
    def __init__(self, name: str, choices: Sequence[str]) -> None:
        super().__init__(choices)
        self.name = name

    def parse(self, argument: str) -> str:
        if _not_empty(self.name, argument) not in self.enum_values:
            raise unknown(self.name, argument, self.enum_values)
        return argument


def _not_empty(name: str, argument: str) -> str:
    if argument == "":
        raise UserError(f"--{name} is empty: give it a value or leave it out")
    return argument
