"""Tables as text, by hand."""

import pytest

from tinytrain import tables

ROWS = [("name", "count", "note"), ("a", "1", "x"), ("a longer one", "1,234", "")]


def test_columns_are_as_wide_as_they_are_told_or_as_their_widest_cell():
    assert tables.aligned(ROWS, ("<", ">6", ""), between=" ") == [
        "name          count note",
        "a                 1 x",
        "a longer one  1,234 ",
    ]
    assert tables.aligned(ROWS, ("<6", ">", "")) == ["name  countnote", "a         1x", "a longer one1,234"]


def test_markdown():
    assert tables.markdown(ROWS[:2], "<><") == "| name | count | note |\n| --- | ---: | --- |\n| a | 1 | x |"


def test_a_first_cell_is_said_once():
    rows = [("a", "1"), ("a", "2"), ("b", "2"), ("a", "2")]
    assert tables.without_repeats(rows) == [("a", "1"), ("", "2"), ("b", "2"), ("a", "2")]


def test_a_row_of_another_length_is_a_mistake():
    with pytest.raises(ValueError, match="longer"):
        tables.line(("a",), ("<2", ">2"))


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (725, "12 min"), (12_240, "3.4 h")])
def test_times_are_readable(seconds, text):
    assert tables.duration(seconds) == text
