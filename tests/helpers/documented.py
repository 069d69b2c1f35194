"""Pages of docs/ read as what they tell a reader to do: files to write, lines to add, commands to type."""

import re
import textwrap
from dataclasses import dataclass

FENCE = re.compile(r"```(\w*)")
FILE = re.compile(r"`([\w.-]+(?:/[\w.-]+)+)`[^`]*$")  # the last path of the line before a block
CODE = ("python", "c", "toml")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the last line before it, its lines as one text, the line that it begins in."""

    language: str
    before: str
    text: str
    line: int

    @property
    def file(self):
        """The path that the line before names, "" if none."""
        match = FILE.search(self.before.rstrip(":")) if self.before.endswith(":") else None
        return match[1] if match else ""


def blocks(page):
    """Returns the blocks of a page, a Markdown text."""
    page_blocks, before, lines = [], "", iter(enumerate(page.splitlines(), 1))
    for number, line in lines:
        if fence := FENCE.fullmatch(line):
            inside = []
            for _, text in lines:
                if text == "```":
                    break
                inside.append(text)
            page_blocks.append(Block(fence[1], before, "\n".join(inside) + "\n", number))
        elif line.strip():
            before = line
    return page_blocks


def lay(page, root):
    """Writes the files and adds the lines of a page below `root`; returns their paths."""
    laid = []
    for block in blocks(page):
        if block.language == "diff" or (block.language in CODE and block.file):
            assert block.file, f"line {block.line}: no line before the block ends with a file name and a colon"
            path = root / block.file
            if block.language == "diff":
                path.write_text(changed(path.read_text(), block))
            else:
                assert not path.exists(), f"line {block.line}: {block.file} is there already"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)
            laid.append(block.file)
    return laid


def changed(text, block):
    """Returns `text` with the lines of a diff block, whose other lines must stand there together, and once."""
    lines = block.text.splitlines()
    assert all(line[:1] in (" ", "+", "-", "") for line in lines), f"line {block.line}: no diff"
    old = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
    new = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
    assert f"\n{text}".count(f"\n{old}") == 1, (
        f"line {block.line}: not once in {block.file}:\n{textwrap.indent(old, '  ')}"
    )
    return f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:]


def commands(page, word):
    """Returns the commands of the `sh` blocks that begin with `word`."""
    lines = [line for block in blocks(page) if block.language == "sh" for line in joined(block.text)]
    return [line for line in lines if line.split()[0] == word]


def joined(text):
    """Returns the commands of an `sh` block, lines that a backslash continues made one."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def promised(page):
    """Returns the tests, without their parameters, that the outputs shown on a page say have passed."""
    return {
        line.split()[1].partition("[")[0]
        for block in blocks(page)
        if block.language == "text"
        for line in block.text.splitlines()
        if line.startswith("PASSED ")
    }
