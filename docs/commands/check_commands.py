"""Checks every command of README.md, docs and firmware without running it.

Its row in docs/commands.md must say that it ran well in the way in which it would be run now; its flags, keys, make
targets and scripts must exist. Prints what is wrong, a line each; exit status 1 if anything is.

    python docs/commands/check_commands.py
"""

import re
import shlex
import sys
from collections.abc import Iterator

import documented_commands
from command_plan import Plan, Table
from commands_page import Row
from markdown_commands import REPOSITORY

from tinytrain.cli import flags
from tinytrain.cli.commands import COMMANDS
from tinytrain.config import load, schema
from tinytrain.errors import UserError

MAKEFILES = [(REPOSITORY / name).read_text() for name in ("Makefile", "firmware/platform/Makefile")]


def row_problem(plan: Plan, rows: documented_commands.Rows) -> str:
    """Returns what is wrong with the row of a command, "" for nothing."""
    row = rows.get((plan.page, plan.text))
    if row is None:
        return "has no row: run it with make documented-commands PAGE=…"
    without_tflm = plan.needs_tflm and row.how == documented_commands.WITHOUT_TFLM
    if not without_tflm and row.how not in documented_commands.ways(plan):
        return f"would be run in another way now than the row says ({row.how}): run it"
    if plan.lines and not without_tflm:
        whole = row.result == "ok" and row.seconds and row.date and row.commit
        return "" if whole else f"did not run well: {row.result or 'no result'}"
    if row.result or row.seconds or row.date or row.commit:
        return "was not run, but the row has a result"
    return "" if without_tflm else _reason_problem(plan, rows)


def _reason_problem(plan: Plan, rows: documented_commands.Rows) -> str:
    if plan.by_test:
        file, name = plan.by_test.split("::")
        path = REPOSITORY / file
        there = path.is_file() and f"def {name}(" in path.read_text()
        return "" if there else f"is left to {plan.by_test}, which does not exist"
    if plan.elsewhere:
        return "" if rows.get((plan.elsewhere, plan.text), Row("", "", "")).result == "ok" else "did not run elsewhere"
    return "" if len(plan.not_run.split()) > 2 else "is not run, and no reason is given"


def word_problem(text: str) -> str:
    """Returns which flag, key, make target or script in a command, or in a usage line, does not exist, "" for none."""
    if called := re.search(r"tinytrain ([a-z]+)", text):
        if called[1] not in COMMANDS:
            return f"tinytrain has no command {called[1]}"
        known = {*(flag.name for flag in COMMANDS[called[1]].flags), "json", "help"}
        unknown = set(re.findall(r"--([a-z-]+)", text)) - known
        unknown |= set(re.findall(r"(?<![\w$/])([a-z_]+(?:\.[a-z_]+)?)=", text)) - set(load.keys())
        if unknown:
            return f"unknown flags or keys: {', '.join(sorted(unknown))}"
    if script := re.search(r"benchmarks/\w+\.py", text):
        source = (REPOSITORY / script[0]).read_text()
        if unknown := {flag for flag in re.findall(r"--[a-z0-9-]+", text) if f'"{flag}"' not in source}:
            return f"{script[0]} has no {', '.join(sorted(unknown))}"
    if made := re.search(r"(?<!c)make (?!-n)(.*)", text):
        words = re.sub(r"(?<!\S)(-C \S+|-\w+)", "", made[1]).split()
        if unknown := {word for word in words if not any(_knows(makefile, word) for makefile in MAKEFILES)}:
            return f"no Makefile has {', '.join(sorted(unknown))}"
    if text.startswith("pytest"):
        files = re.findall(r"tests/[\w/]+\.py", text)
        return ", ".join(f"{file} does not exist" for file in files if not (REPOSITORY / file).is_file())
    return ""


def _knows(makefile: str, word: str) -> bool:
    name, variable, _ = word.partition("=")
    pattern = rf"\b{name} *\??:?=|\$\({name}\b" if variable else rf"^\.PHONY:.* {re.escape(name)}(?![\w-])"
    return bool(re.search(pattern, makefile, re.M))


def call_problem(line: str) -> str:
    """Returns what the command line refuses of the calls of tinytrain in a line, "" for nothing."""
    for words in _calls(line):
        if words in (["--help"], ["--version"]):
            continue
        if "--help" in words:
            continue
        try:
            load.apply(schema.Config(), flags.parse(COMMANDS[words[0]], words[1:])[2])
        except (UserError, SystemExit) as error:
            return f"`{line}` is refused: {error}"
    return ""


def _calls(line: str) -> Iterator[list[str]]:
    """Yields the words after each `tinytrain` of a line."""
    for part in re.split(r"&&|\|\||;", line) if "tinytrain" in line else ():
        words = shlex.split(part)
        names = [number for number, word in enumerate(words) if word.removeprefix(".venv/bin/") == "tinytrain"]
        yield from (words[number + 1 :] for number in names if words[max(number - 1, 0)] != "--target")  # of CMake


def command_problem(page: str, text: str, table: Table, rows: documented_commands.Rows) -> str:
    """Returns what is wrong with a documented command, "" for nothing."""
    try:
        plan = table.plan(page, text)
    except ValueError as error:
        return str(error)
    if problem := row_problem(plan, rows):
        return problem
    if text.startswith("pytest") and table.page(page).get("before"):
        return ""  # its files are those that the page tells to write
    lines = plan.lines or (table.substituted(page, text),)
    found = [word_problem(text), *(problem for line in lines for problem in (word_problem(line), call_problem(line)))]
    return next((problem for problem in found if problem), "")


def problems(table: Table, rows: documented_commands.Rows) -> list[str]:
    """Returns what is wrong with the documented commands and with the table of how they are run, a line each."""
    commands = [(page, text) for page, texts in documented_commands.FOUND.items() for text in texts]
    found = {key: command_problem(*key, table, rows) for key in commands}
    names = [f"tinytrain {name}" for name in COMMANDS]
    names += [f"make {name}" for name in ("test", "test-all", "browser", "firmware-tools")]
    on_all_pages = {("*", text) for text in [*names, *(text for _, text in commands)]}
    unused = [key for key in table.entries if key not in {*commands, *on_all_pages}]
    return [f"{page}: `{text}` {problem}" for (page, text), problem in found.items() if problem] + [
        f"{page}: `{text}` has an entry in documented_commands.toml, but stands on no page" for page, text in unused
    ]


def main() -> None:
    """Checks all pages."""
    found = problems(Table.read(), documented_commands.load())
    print("\n".join(found) or "every documented command has its row, and everything that it names exists")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
