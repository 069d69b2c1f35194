"""The commands that a reader of our Markdown types: lines of sh blocks, and code spans that begin like a command.

In a fenced block marked sh each line is a command: no prompt, a backslash at the end goes on in the next line, what
follows " # " is a comment. In running text a code span is one if it begins with `tinytrain `, `make `,
`python benchmarks/` or `pytest `, variables before it included.
"""

import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
OWN_PAGE = "docs/commands.md"  # the table of the commands itself
WRITTEN = (OWN_PAGE, "docs/reference.md")  # by programs, from what others say
FENCE = re.compile(r"\s*(`{3,})\s*(\S*)")
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(?:tinytrain |make |python benchmarks/|pytest )")


def pages(repository: Path = REPOSITORY) -> list[str]:
    """Returns the paths of the Markdown pages that have commands in them, README.md first."""
    found = [repository / "README.md", *sorted((repository / "docs").glob("*.md"))]
    found += sorted((repository / "firmware").glob("*.md"))
    names = [path.relative_to(repository).as_posix() for path in found]
    return [name for name in names if name not in WRITTEN and commands((repository / name).read_text())]


def commands(markdown: str) -> list[str]:
    """Returns the commands of a page in its order, each once, without comments and with single spaces.

    Raises ValueError for a fence that is not closed.
    """
    found: list[str] = []
    for language, text in blocks(markdown):
        if language == "sh":
            found += _lines(text)
        elif language is None:
            found += _spans(text)
    return list(dict.fromkeys(found))


def blocks(markdown: str) -> Iterator[tuple[str | None, str]]:
    """Yields (language, text) of each fenced block, "" for none, and (None, text) of each paragraph beside them."""
    language: str | None = None
    kept: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        fence = FENCE.match(line)
        if fence or (language is None and not line.strip()):
            yield language, "\n".join(kept)
            kept = []
            language = fence[2] if fence and language is None else None
        else:
            kept.append(line)
    if language is not None or kept:
        raise ValueError(f"a block is not closed: {(kept or [''])[0]}")


def _lines(block: str) -> list[str]:
    joined = re.sub(r"\\\n", " ", block)
    without = (re.sub(r"(^|\s+)#(\s.*)?$", "", line) for line in joined.splitlines())
    return [" ".join(line.split()) for line in without if line.strip()]


def _spans(paragraph: str) -> list[str]:
    texts = (" ".join(text.split()).replace("\\|", "|") for text in SPAN.findall(paragraph))
    return [text for text in texts if COMMAND.match(text)]
