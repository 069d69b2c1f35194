"""What is run for each documented command: documented_commands.toml says what stands for placeholders, and what is not.

A command is run as it stands unless that table says otherwise. Words of [words] and of the page's words are replaced;
[shorten] is appended to commands that hold such words. An entry [[command]] of a page, or "*" for all pages, and a text
says instead `run` (a list of lines), `short` (in place of [shorten]), `status` (the exit status that is right),
`not_run` (why nothing is run), `by_test` (the test that does it) or `elsewhere` (the page for which it is run).
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from markdown_commands import REPOSITORY

TABLE = Path(__file__).parent / "documented_commands.toml"
PLACEHOLDER = re.compile(r"…|\.\.\.|\[|(?<![\w$./{\"'])[A-Z]{3,}(?![\w=]|\.md)")
ENTRY_KEYS = {"page", "text", "run", "short", "status", "not_run", "by_test", "elsewhere"}


@dataclass(frozen=True)
class Plan:
    """What is done for a command: `lines` are run in bash, or one of the last three says why there are none."""

    page: str
    text: str
    lines: tuple[str, ...] = ()
    status: int = 0
    not_run: str = ""
    by_test: str = ""
    elsewhere: str = ""

    @property
    def needs_tflm(self) -> bool:
        """Whether it cannot run without TFLM_DIR."""
        return any("TFLM_DIR" in line or _reads_tflm(line) for line in self.lines)

    @property
    def uses_tflm(self) -> bool:
        """Whether it does more with TFLM_DIR."""
        more = r"tinytrain export (?!--help)|make demo"
        return self.needs_tflm or any(re.search(more, line) for line in self.lines)

    def how(self, tflm: bool) -> str:
        """Returns how it is run, in Markdown."""
        if self.not_run:
            return f"not run: {self.not_run}"
        if self.by_test:
            return f"by test {self.by_test}"
        if self.elsewhere:
            return f"for {self.elsewhere}"
        same = [line.replace("TFLM_DIR=$TFLM_DIR", "TFLM_DIR=…") for line in self.lines] == [self.text]
        how = "exact" if same else "as " + ", then ".join(f"`{line}`" for line in self.lines)
        how += f", whose exit status is {self.status}" if self.status else ""
        return how + (" (with TFLM)" if tflm and self.uses_tflm else "")


def _reads_tflm(line: str) -> bool:
    if script := re.search(r"benchmarks/\w+\.py", line):
        return "TFLM_DIR" in (REPOSITORY / script[0]).read_text()
    return "tinytrain bench " in line and not re.search(r"--(port|help)", line)


class Table:
    """documented_commands.toml, checked: raises ValueError for keys that it does not know."""

    def __init__(self, text: str) -> None:
        self._table: dict[str, Any] = tomllib.loads(text)
        for entry in self.entries.values():
            if strange := set(entry) - ENTRY_KEYS:
                raise ValueError(f"'{entry['text']}' has {', '.join(strange)}: expected {', '.join(ENTRY_KEYS)}")

    @classmethod
    def read(cls) -> "Table":
        """Returns the table of the project."""
        return cls(TABLE.read_text())

    @cached_property
    def entries(self) -> dict[tuple[str, str], dict[str, Any]]:
        """{(page, text): entry}."""
        return {(entry["page"], entry["text"]): entry for entry in self._table.get("command", [])}

    def page(self, name: str) -> dict[str, Any]:
        """Returns what a page needs, all of it optional.

        `made` (folders for a made run), `files` ({path: "LANGUAGE N", the N-th such block of the page}), `before`
        (lines to run), `words`.
        """
        page: dict[str, Any] = self._table.get("page", {}).get(name, {})
        return page

    @property
    def made_run(self) -> list[str]:
        """The lines that make the run and the export which pages ask for by `made`."""
        lines: list[str] = self._table["made_run"]
        return lines

    def plan(self, page: str, text: str) -> Plan:
        """Returns what is done for a command; raises ValueError for a placeholder for which nothing stands."""
        entry = self.entries.get((page, text)) or self.entries.get(("*", text), {})
        for reason in ("not_run", "by_test", "elsewhere"):
            if reason in entry:
                return Plan(page, text, **{reason: entry[reason]})
        lines = entry.get("run") or [self._shortened(self.substituted(page, text), entry)]
        for line in lines:
            if left := PLACEHOLDER.search(line):
                raise ValueError(f"nothing stands for '{left[0]}' in `{line}` of {page}: say so in {TABLE.name}")
        return Plan(page, text, tuple(lines), entry.get("status", 0))

    def substituted(self, page: str, text: str) -> str:
        """Returns a command with its placeholders replaced, the longest first."""
        words: dict[str, str] = self._table.get("words", {}) | self.page(page).get("words", {})
        either = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
        return re.sub(rf"(?<!\w)({either})(?![\w=])", lambda match: words[match[1]], text) if words else text

    def _shortened(self, line: str, entry: dict[str, Any]) -> str:
        shorten: dict[str, str] = self._table.get("shorten", {})
        default = next((more for start, more in shorten.items() if start in line), "")
        more = entry.get("short", default)
        return line if not more or line.endswith(f" {more}") else f"{line} {more}"
