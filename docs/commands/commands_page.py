"""docs/commands.md: when each documented command last ran, how and with what result. It is written and read back."""

import re
from dataclasses import dataclass, fields

HEAD = """# When each command last ran

Every command that a reader of these pages may type, and what became of it: `make documented-commands` runs them,
page by page, each page in a fresh copy of the repository, and writes this page. `PATH`, `cells` and `cifar10` are
folders made for it, 30 images of noise in the color of their class. "exact" is as it stands; else what was typed in its
place: values for placeholders, one epoch in place of many, `--quick`. "with TFLM" is with TFLM_DIR set. The seconds are
those of a shared machine and no measurement; no figure in the pages is from these runs.

A page gives commands in blocks marked `sh`, one a line, or as code in a sentence. What stands for a placeholder, what
shortens a command and why one is not run is in `docs/commands/documented_commands.toml`.
"""
COLUMNS = "| command | how it was run | result | seconds | date | commit |\n|---|---|---|---:|---|---|"


@dataclass(frozen=True)
class Row:
    """One command: `result` is "ok" or begins with "failed", "" if it was not run here, as are the last three then."""

    page: str
    command: str
    how: str
    result: str = ""
    seconds: str = ""
    date: str = ""
    commit: str = ""

    @property
    def failed(self) -> bool:
        """Whether it ran and failed."""
        return self.result.startswith("failed")


def write(rows: list[Row]) -> str:
    """Returns the page with a table for each page of `rows`."""
    text = HEAD
    for page in dict.fromkeys(row.page for row in rows):
        own = [_line(row) for row in rows if row.page == page]
        text += f"\n## {page}\n\n{COLUMNS}\n" + "\n".join(own) + "\n"
    return text


def read(text: str) -> list[Row]:
    """Returns the rows of a page that `write` wrote; lines of other kinds are passed over."""
    rows, page = [], ""
    for line in text.splitlines():
        if line.startswith("## "):
            page = line.removeprefix("## ")
        elif line.startswith("| `"):
            cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            rows.append(Row(page, cells[0].strip("`"), *cells[1:]))
    return rows


def _line(row: Row) -> str:
    command, *rest = (str(getattr(row, field.name)).replace("|", "\\|") for field in fields(row)[1:])
    return f"| `{command}` | " + " | ".join(rest) + " |"
