"""docs/reference.md says what the code says: it is written from it."""

import re

import page_links
import pytest
import reference_page
from conftest import REPOSITORY

from tinytrain.cli.commands import COMMANDS
from tinytrain.config import load, plugins
from tinytrain.config.schema import Detect, Export, Model, Optim

PAGE = (REPOSITORY / "docs/reference.md").read_text("utf-8")


def cells(name):
    """Returns the cells of the only row that begins with a name."""
    (row,) = re.findall(rf"^\| `{re.escape(name)}` \| (.*) \|$", PAGE, re.MULTILINE)
    return row.split(" | ")


def test_the_page_is_what_the_code_says_now():
    assert reference_page.page() == PAGE, "docs/reference.md is out of date: make reference"


def test_every_command_flag_and_key_is_on_it():
    for name, command in COMMANDS.items():
        part = PAGE.split(f"### tinytrain {name}\n")[1].split("\n### ")[0]
        assert re.findall(r"^\| `--([\w-]+)", part, re.MULTILINE) == [flag.name for flag in command.flags]
    keys = PAGE.split("## Config keys")[1].split("## Names")[0]
    assert re.findall(r"^\| `([\w.]+)`", keys, re.MULTILINE) == list(load.keys())


def test_rows_have_type_range_default_and_meaning():
    assert cells("qat.batch") == ["whole number", "1 to 65,536", "`64`", "images per step"]
    assert cells("model.width")[:3] == ["number or `auto`", "0.01 to 8", "`auto`"]
    assert cells("--score S")[1:] == ["0.01 to 0.99", ""]


@pytest.mark.parametrize(
    ("section", "name", "words"),
    [
        (Model, "channels", "`1`, `3` or `auto`"),
        (Model, "mean", "list of numbers or `none`"),
        (Detect, "strides", "list of whole numbers or `auto`"),
        (Detect, "tap", "`block` or `last`"),
        (Optim, "cycle_momentum", "list of numbers"),
        (Optim, "nesterov", "true or false"),
        (Export, "mean", "number or list of numbers"),
    ],
)
def test_types_are_told_in_words(section, name, words):
    assert reference_page.kind(section.__dataclass_fields__[name].type) == words


def test_every_plugin_is_named():
    for folder in (*plugins.FOLDERS, "train.optimizers", plugins.TARGETS):
        assert all(f"| `{name}` |" in PAGE for name in plugins.names(folder) if name != "named")


def test_bars_and_headings_do_not_break_the_page():
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert widths <= {3, 5, 6, 9}  # two columns of names, four of flags, five of keys, eight of boards
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    assert len(page_links.anchors(PAGE)) == len({page_links.slug(heading) for heading in headings}) == len(headings)
