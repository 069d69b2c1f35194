"""README.md: short, its picture small, and docs/comparison.md has the source of each comparison."""

import re

from conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text("utf-8")
TOOLS = ("tinytrain", "ST", "MLTK", "Edge Impulse", "TinyEngine, mcunet", "OpenVINO TE")


def rows(text):
    """Returns the cells of the first table in a text, without its header."""
    body = re.search(r"^\|---.*\n((?:\|.*\n)+)", text, re.MULTILINE)[1]
    return [[cell.strip("| ").replace("**", "") for cell in line.split(" | ")] for line in body.splitlines()]


def sections(text):
    """Returns {heading: what is below it}."""
    parts = re.split(r"^## (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_it_is_short_and_its_picture_small():
    assert len(README.splitlines()) <= 150
    assert (REPOSITORY / "docs/readme.png").stat().st_size <= 300_000
    assert "(docs/readme.png)" in README


def test_every_cell_of_the_comparison_has_its_source():
    compared = rows(sections(README)["Beside other tools"])
    sources = sections((REPOSITORY / "docs/comparison.md").read_text("utf-8"))
    assert len(compared) >= 8
    for name, *cells in compared:
        told = {tool: (cell, source) for tool, cell, source in rows(sources[name[0].upper() + name[1:]])}
        assert tuple(told) == TOOLS
        assert [cell for cell, _ in told.values()] == cells, name
        assert all(source for _, source in told.values())
