"""The adaptive recipe from end to end, scaled down: what two kills, in the search and in the training, leave of it."""

import csv
import json
import subprocess

import pytest
from kills import assert_same_weights, command, epochs, history, kill

from tinytrain.commands import compare
from tinytrain.config import library
from tinytrain.run import Run

SMALL = ["model.name=resnet8", "model.width=0.25", "optim.batch=16", "optim.epochs=4", "optim.warmup_epochs=1"]
SEARCH = ["search.trials=2", "search.epochs=3", "search.low=0.02", "search.high=0.2", "search.step=0.01"]
MEASURED = {"seconds", "cpu_seconds", "images_per_second"}  # by the clock
MEASURED |= {"training_seconds", "training_cpu_seconds", "search_seconds"}


def without_times(row):
    return {name: value for name, value in row.items() if name not in MEASURED}


def table(folder):
    return [without_times(row) for row in csv.DictReader((folder / "results.csv").open())]


@pytest.mark.long
def test_the_adaptive_recipe_loses_nothing_when_killed_in_the_search_and_in_the_training(tmp_path, image_folder):
    data = f"folder:{image_folder(count=24)}"
    words = ["compare", "adaptive", "--data", data, "--out", "killed", *SMALL, *SEARCH]
    compare.compare([library.recipe("adaptive")], [data], out=tmp_path / "whole", overrides=[*SMALL, *SEARCH])
    searching = kill(words, tmp_path, lambda lines: len(epochs(lines)) == 5)  # the second one of the second trial
    training = kill(words, tmp_path, lambda lines: epochs(lines)[-1:] == ["2/4"])
    done = subprocess.run(command(*words), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    # A kill falls before or after the epoch that was just told is kept.
    assert epochs(searching) == ["1/3", "2/3", "3/3", "1/3", "2/3"]
    assert epochs(training) in (["3/3", "1/4", "2/4"], ["2/3", "3/3", "1/4", "2/4"])
    assert epochs(done.stderr.splitlines()) in (["3/4", "4/4"], ["2/4", "3/4", "4/4"])
    said = [*searching, *training, *done.stderr.splitlines()]
    assert [line.split()[2] for line in said if line.startswith("search: trial")] == ["1/2", "2/2"]

    whole, run = (Run(tmp_path / name / "adaptive/images/seed0") for name in ("whole", "killed"))
    assert [row["epoch"] for row in history(run)] == [1, 2, 3, 4]
    assert [*map(without_times, history(run))] == [*map(without_times, history(whole))]
    search, expected = (json.loads(path.read_text()) for path in (run.search_path, whole.search_path))
    assert without_times(search) == without_times(expected)
    assert without_times(run.metrics()) == without_times(whole.metrics())
    assert_same_weights(run, whole)
    assert table(tmp_path / "killed") == table(tmp_path / "whole")
    assert [row["search_epochs"] for row in table(tmp_path / "killed")] == ["6"]
