"""Which figure of a run stands in which column of a paper's table, and in which unit."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tinytrain.experiments.papers import columns

METRICS = {
    "test": {"top1": 0.5, "top5": 0.875, "balanced_top1": 0.375, "map": 0.25, "ap50": 0.75, "ap50_voc07": 0.5},
    "val": {"top1": 0.625, "top5": 0.75},
    "epochs": 4,
}
HISTORY = [
    {"loss": 3.0 - n, "top1": n / 4, "val_loss": 2.0 - n / 4, "val_top1": n / 8, "seconds": 900.0} for n in range(1, 5)
]


@pytest.fixture
def run(tmp_path):
    search = tmp_path / "search.json"
    search.write_text(json.dumps({"seconds": 90.0}))
    rows = [{name: str(value) for name, value in row.items()} for row in HISTORY]  # as csv gives them
    return SimpleNamespace(metrics=lambda: METRICS, history=lambda: rows, search_path=search)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("test_top1", 50),
        ("test_top5", 87.5),
        ("test_balanced_top1", 37.5),
        ("test_map", 25),
        ("val_top1", 62.5),
        ("val_top1@2", 25),
        ("last_loss", -1),
        ("last_top1", 100),
        ("last_val_loss", 1),
        ("last_val_top1", 50),
        ("epochs", 4),
        ("training_hours", 1),
        ("search_minutes", 1.5),
        ("ap50", 75),
        ("ap50_voc07", 50),
    ],
)
def test_a_column_is_the_figure_of_its_name(run, word, expected):
    assert columns.value(columns.parse(word, Path("table.toml")), run, 1.0) == expected


def test_every_measure_is_among_them():
    mark = test_a_column_is_the_figure_of_its_name.pytestmark[0]
    of_runs = {name for name, measure in columns.MEASURES.items() if not measure.of_network}
    assert {word.partition("@")[0] for word, _ in mark.args[1]} == of_runs


def test_what_another_task_measures_is_left_out():
    """On the ImageNet part of a table of detectors there is no AP50, and no top-1 in the history of a detector."""
    detector = SimpleNamespace(
        metrics=lambda: {"test": {"ap50": 0.25}}, history=lambda: [{"loss": "3", "val_ap50": "0.5"}]
    )
    words = {"ap50": 25, "test_top1": None, "val_top1@1": None, "last_val_top1": None, "last_loss": 3}
    assert {word: columns.value(columns.parse(word, Path("t")), detector, 1.0) for word in words} == words


@pytest.mark.parametrize(("share", "expected"), [(1.0, 50), (0.5, 25), (0.2, 12.5), (2.0, 50)])
def test_the_epoch_of_a_paper_is_that_share_of_a_shorter_run(run, share, expected):
    """Its epoch 4 of 4; of half the epochs the second, never before the first or after the last."""
    assert columns.value(columns.parse("val_top1@4", Path("table.toml")), run, share) == expected
