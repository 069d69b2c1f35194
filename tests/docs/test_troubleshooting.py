"""docs/troubleshooting.md: every message on the page is one that the code prints."""

import ast
import re
from itertools import chain

import pytest
from conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/troubleshooting.md").read_text("utf-8")
MAKEFILES = ("Makefile", "firmware/platform/Makefile", "firmware/platform/flash.mk")


def messages():
    """Returns what stands in the first column of the tables of messages."""
    tables = re.findall(r"^\| message \|.*\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [re.match(r"\| `(.*?)` \|", row)[1] for table in tables for row in table.splitlines()]


def texts_of(path):
    """Yields the texts of a module, docstrings left out, each on one line, with … in place of what it fills in."""
    tree = ast.parse(path.read_text("utf-8"))
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    docstrings = {body[0].value for body in bodies if isinstance(body[0], ast.Expr)}
    for node in ast.walk(tree):
        if node not in docstrings and (text := template(node)):
            yield text.replace("\n", " ")


def template(node):
    if isinstance(node, ast.JoinedStr):
        return "".join(template(value) or "…" for value in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.fixture(scope="module")
def texts():
    """Returns all texts of the code and the lines of the Makefiles."""
    modules = (REPOSITORY / "tinytrain").rglob("*.py")
    makefiles = [(REPOSITORY / name).read_text("utf-8") for name in MAKEFILES]
    return {*chain.from_iterable(map(texts_of, modules)), *chain.from_iterable(map(str.splitlines, makefiles))}


@pytest.mark.parametrize("message", messages())
def test_a_message_is_one_of_the_code(message, texts):
    parts = message.split("…")
    longest = max(parts, key=len)
    assert len(longest) > 10
    pattern = re.compile(".*?".join(map(re.escape, parts)))
    assert any(pattern.search(text) for text in texts if longest in text), f"no text of the code reads '{message}'"


def test_there_are_messages_of_every_stage():
    assert len(messages()) >= 40
    assert all(title in PAGE for title in ("## The data", "## Training", "## Export", "## Board"))
