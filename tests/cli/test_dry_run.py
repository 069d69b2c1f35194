"""`--dry-run` of fit, compare, reproduce and search, from the command line: nothing is written, mistakes are told."""

import json

import pytest

from tinytrain.config import load as configs
from tinytrain.run import Run
from tinytrain.train.rehearsal import Rehearsal, StepTime

TINY = ["model.name=resnet8", "model.width=0.25", "optim.batch=64", "optim.epochs=2", "data.train_images=128"]


@pytest.fixture(autouse=True)
def _steps_of_a_second(monkeypatch):
    monkeypatch.setattr(Rehearsal, "step_time", lambda _: StepTime(1.0, 2.0, 5))


def result_of(command_line, tmp_path, *words):
    """Returns what a command says with --json, and its text, after a look that it has written nothing."""
    before = sorted(tmp_path.rglob("*"))
    status, out, error = command_line(*words, "--dry-run", "--json")
    assert status == 0, error
    assert sorted(tmp_path.rglob("*")) == before
    *lines, last = out.splitlines()
    return json.loads(last), "\n".join(lines)


def test_fit_says_which_folder_is_next_and_what_it_would_hold(command_line, tmp_path):
    (tmp_path / "runs/digits-resnet8-001").mkdir(parents=True)
    row, text = result_of(command_line, tmp_path, "fit", *TINY)
    assert (row["run"], row["state"], row["seconds"]) == ("runs/digits-resnet8-002", "new", 4.0)  # 2 epochs of 2 steps
    assert row["config"]["model"]["resolution"] == 32  # "auto" no longer
    assert "runs/digits-resnet8-002: new\nresnet8 of width 0.25 at 32 pixels\n" in text
    assert "about 4 s by one process, without validation; nothing was written (5 steps timed on this machine)" in text


def test_fit_says_how_a_run_goes_on(command_line, tmp_path):
    run = Run(tmp_path / "old")
    run.folder.mkdir()
    run.config_path.write_text(configs.dump(configs.load(None, TINY)))
    run.history_path.write_text("epoch,seconds\n1,7.5\n")
    row, text = result_of(command_line, tmp_path, "fit", "--out", "old", "--resume")
    assert (row["state"], row["done_epochs"], row["seconds"]) == ("goes on", 1, 7.5)
    assert "old: goes on after epoch 1\n" in text


def test_compare_shows_every_run(command_line, tmp_path):
    (tmp_path / "a.toml").write_text("seed = 0\n")
    words = ["compare", "a.toml", "adaptive_baseline", "--data", "digits", "--seeds", "2", *TINY]
    result, text = result_of(command_line, tmp_path, *words)
    names = [(row["name"], row["seed"]) for row in result["runs"]]
    assert names == [(name, seed) for seed in (0, 1) for name in ("a", "adaptive_baseline")]
    assert (result["out"], result["seconds"]) == ("compare", 16.0)
    assert text.startswith("in 'compare':\nconfig ")
    equal, _ = result_of(command_line, tmp_path, *words, "--budget", "time")
    assert [row["epochs"] for row in equal["runs"]] == [2] * 4  # all steps take as long


def test_reproduce_shows_the_arms_at_their_scale(command_line, tmp_path):
    words = ["reproduce", "003/4", "--data", "digits", "--scale", "0.2,0.1", "model.width=0.25"]
    result, _ = result_of(command_line, tmp_path, *words)
    assert {row["epochs"] for row in result["runs"]} == {3}  # of the paper's 15
    assert {row["images"]["train"] for row in result["runs"]} == {115}  # of 1,150 with a fifth for val
    assert result["out"] == "reproduce/seed003-table4"


def test_search_says_what_fits_and_how_many_trials_there_are(command_line, tmp_path):
    words = ["search", "--data=digits", "--mcu=nucleo_f401re", "--trials=5", "model.stem=cifar", *TINY]
    result, text = result_of(command_line, tmp_path, *words)
    assert (result["trials"], result["epochs"], result["architectures"]) == (5, 2, ["resnet8"])
    assert (result["trials_there"], result["seconds"]) == (0, None)
    assert "search: a new search" in text
    assert "nucleo_f401re: 1 of 1 architecture fit" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["fit", "--teacher=auto", "--out=x"], "--dry-run cannot say what --teacher trains"),
        (["fit", "--workers=2"], "--dry-run estimates the time of one process: leave out --workers; several take"),
        (["compare", "digits.toml", "--workers=2"], "--dry-run estimates the time of one process"),
        (["fit", "--out=taken"], "'taken' already holds a run"),
        (["fit", "optim.lr=1e9"], "optim.lr"),
        (["fit", "--data=folder:nowhere"], "no folder 'nowhere'"),
    ],
)
def test_what_training_would_refuse_is_refused(command_line, tmp_path, words, sentence):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/config.toml").touch()
    status, out, error = command_line(*words, "--dry-run")
    assert (status, out) == (2, "")
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
