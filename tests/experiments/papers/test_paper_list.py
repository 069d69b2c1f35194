"""docs/reproducing.md lists every method and figure of the papers: what it names is there, and belongs to its table."""

import re

import pytest
from conftest import REPOSITORY

from tinytrain.config import library, plugins
from tinytrain.config import load as configs
from tinytrain.experiments.papers import charts
from tinytrain.experiments.papers import tables as paper_tables
from tinytrain.train import figures as task_figures

PAGE = (REPOSITORY / "docs" / "reproducing.md").read_text()
SECTION = PAGE.split("\n## Every method and figure of the papers")[1].split("\n### ")[0]
ROWS = [[cell.strip() for cell in line[1:-1].split("|")] for line in SECTION.splitlines() if line[:2] == "| "][1:]
KEYS = configs.keys()
OTHERS = {figure.key for figure in task_figures.of("classify").tested} | {"[?]", "[plateau]", "metrics.json"}


def named(span, before):
    """Whether something is called `span`; a word alone goes on with the key or the recipe `before` it."""
    if span.startswith("--recipe "):
        return span.split()[1] in library.recipe_names()
    if span.startswith("tinytrain "):
        return True  # tests/docs/test_documented_commands.py knows
    if "/" in span:
        return (REPOSITORY / span).exists()
    if "=" in span:
        return bool(configs.load(None, [span]))  # raises an error for a key or a value that does not exist
    if span.startswith(("seed", "-table")):
        return (before[:7] if span[0] == "-" else "") + span in paper_tables.names()
    section = before.partition("=")[0].rpartition(".")[0]
    continued = before.startswith("--recipe") and span in library.recipe_names()
    methods = all(part in plugins.names("methods") for part in span.split("+"))
    return span in KEYS or f"{section}.{span}" in KEYS or continued or methods or span in {*charts.FIGURES, *OTHERS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1][:40])
def test_what_is_named_is_there(row):
    before = ""
    for span in re.findall(r"`([^`]+)`", row[2]):
        assert named(span, before), span
        before = span if "." in span or "=" in span or span.startswith(("--recipe", "seed")) else before
    assert row[2]


# What the rows say of the figures of a table: paper, "what" begins with, the table, its figures.
DRAWN = [
    ("seed000-table1", {"accuracy", "gap"}),
    ("seed002-table1", {"accuracy"}),
    ("seed002-figure1", {"bars"}),
    ("seed002-figure3", {"epochs"}),
    ("seed002-figure5", {"macs"}),
    *((f"seed003-table{number}", {"accuracy", "rates"}) for number in (4, 7, 10, 12)),
    ("seed003-table12", {"mixup"}),
    ("seed003-table4", {"classes"}),
]


@pytest.mark.parametrize(("name", "figures"), DRAWN)
def test_a_table_draws_what_the_paper_does(name, figures):
    assert figures <= set(paper_tables.load(name).figures)


@pytest.mark.parametrize("span", ["optim.emma", "emma", "--recipe adaptiv", "seed002-figure9", "configs/none.toml"])
def test_what_does_not_exist_would_be_noticed(span):
    assert not named(span, "optim.ema")
