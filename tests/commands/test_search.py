"""`tinytrain search` from end to end on the digits: killed and gone on with, shared, refused."""

import csv
import json
import re

import numpy as np
import pytest
from kills import epochs, kill
from readmes import unexplained

from tinytrain.commands.export import export
from tinytrain.run import Run
from tinytrain.tflite import tflite_interpreter

SMALL = (
    "model.name=resnet8",
    "model.width=0.25",
    "model.stem=imagenet",
    "data.train_images=200",
    "data.test_images=60",
)
SMALL += ("data.val_images=60", "optim.batch=20", "qat.epochs=0")
BOARD = ("--mcu", "nucleo_f401re")


def rows(folder):
    """Returns the rows of search.csv."""
    return list(csv.DictReader((folder / "search.csv").read_text().splitlines()))


@pytest.fixture(scope="module")
def searched(made_once):
    """Three trials of three epochs, killed at the second epoch and gone on with: (folder, what both processes say)."""
    import subprocess

    from kills import command

    words = ["search", "--data=digits", *BOARD, "--trials=3", "--out=found", *SMALL, "optim.epochs=3"]

    def make(folder):
        folder.mkdir()
        first = kill(words, folder, lambda lines: epochs(lines) == ["1/3", "2/3"])
        again = subprocess.run(command(*words, "--json"), cwd=folder, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        (folder / "said.json").write_text(json.dumps([first, again.stderr.splitlines(), again.stdout.splitlines()]))

    folder = made_once("searched", make)
    return folder / "found", *json.loads((folder / "said.json").read_text())


@pytest.mark.long
def test_a_killed_trial_goes_on_after_its_last_epoch(searched):
    _, _, errors, _ = searched
    first = errors[: next(number for number, line in enumerate(errors) if line.startswith("trial 1:"))]
    assert epochs(first) in (["3/3"], ["2/3", "3/3"])  # of trial 0; the kill came when the second was being saved


def test_no_other_epoch_is_trained_twice(searched):
    folder, before, errors, _ = searched
    again = epochs(errors)[0] == "2/3"
    trained = len(epochs(before)) + len(epochs(errors)) - again
    assert trained == sum(int(row["epochs"]) for row in rows(folder))
    assert [row["trial"] for row in rows(folder)] == ["0", "1", "2"]


def test_the_winner_is_the_finalist_with_the_best_int8_figure_on_val(searched):
    folder, _, _, printed = searched
    result, finals = json.loads(printed[-1]), [row for row in rows(folder) if row["finalist_int8_val"]]
    best = max(finals, key=lambda row: float(row["finalist_int8_val"]))
    assert float(result["winner"]["finalist_int8_val"]) == float(best["finalist_int8_val"])
    assert "has the best int8 top-1 on val" in printed[0]
    text = (folder / "search.md").read_text()
    assert result["export"] in text
    assert all(f"| {row['trial']} | resnet8 0.25 at" in text for row in finals)
    assert (folder / "search.png").stat().st_size > 10_000


def test_the_winner_is_exported_as_it_was_measured(searched, tmp_path):
    folder, _, _, printed = searched
    winner, root = json.loads(printed[-1])["winner"], folder.parent
    report, _ = export(root / winner["run"], BOARD[1], tmp_path / "export")
    # The report's own figure is of TFLM's kernels, which round differently: one image of 60 may differ.
    golden = np.load(tmp_path / "export" / "golden.npz")
    (outputs,) = tflite_interpreter.run_fast((tmp_path / "export" / "model.tflite").read_bytes(), golden["inputs"])
    assert np.mean(outputs.argmax(axis=1) == golden["labels"]) == pytest.approx(winner["finalist_int8_test"])
    assert report["latency_ms"] == pytest.approx(winner["latency_ms"], abs=0.01)
    assert report["memory"]["ram_bytes"] == pytest.approx(winner["ram_bytes"], abs=16)


def test_a_trial_that_was_ended_early_is_a_finished_run_too(searched):
    folder, *_ = searched
    ended = [row for row in rows(folder) if row["ended"] != "at its end"]
    for row in ended or rows(folder):
        run = Run(folder.parent / row["run"])
        assert run.finished
        assert run.metrics()["epochs"] == int(row["epochs"])


def test_only_trials_beyond_the_first_rung_are_quantized(searched):
    folder, *_ = searched
    for row in rows(folder):
        assert bool(row["int8_val"]) == (int(row["epochs"]) > 1 or row["ended"] != "others are better")
        assert row["val"]


def test_the_same_command_again_trains_nothing(searched, command_line):
    folder, *_ = searched
    words = ("--data=digits", *BOARD, "--trials=3", *SMALL, "optim.epochs=3")
    status, output, errors = command_line("search", *words, "--out", folder)
    assert status == 0
    assert epochs(errors.splitlines()) == []
    assert "has the best int8 top-1 on val" in output
    assert unexplained(folder) == []


def test_a_database_of_other_data_or_another_board_is_refused(searched, command_line, image_folder):
    folder, *_ = searched
    words = ("--trials=3", *SMALL[:4], *SMALL[4:], "optim.epochs=3", "--out", folder)
    others = {f"folder:{image_folder()}": BOARD[1], "digits": "stm32f746"}
    sentences = {"folder": "another data source or other images in it", "digits": "another board"}
    for data, board in others.items():
        small = [word for word in words if data == "digits" or not str(word).startswith("data.")]
        status, _, errors = command_line("search", "--data", data, "--mcu", board, *small)
        assert status == 2
        assert f"belongs to another search, with {sentences[data.partition(':')[0]]}" in errors


def test_no_network_fits_and_the_sentence_says_by_how_much(command_line):
    status, _, errors = command_line(
        "search", "--data=digits", *BOARD, "--trials=1", "--latency-ms=0.5", *SMALL, "model.resolution=24"
    )
    assert status == 3
    needed, over = re.search(
        r"no network of the search fits nucleo_f401re: the smallest, resnet8 0.25 at 24 stem imagenet, needs "
        r"([\d.]+) ms, ([\d.]+) ms more than --latency-ms 0.5;",
        errors,
    ).groups()
    assert float(needed) - 0.5 == pytest.approx(float(over), rel=0.01)


@pytest.mark.long
def test_flash_that_is_missed_is_named(command_line):
    words = ("model.name=resnet8", "model.width=4", "model.resolution=32")
    status, _, errors = command_line("search", "--data=digits", *BOARD, "--trials=1", *words)
    assert status == 3
    assert "bytes of flash where there are 524,288; use a smaller" in errors


def test_a_time_shorter_than_one_trial_is_refused(command_line):
    status, _, errors = command_line("search", "--data=digits", *BOARD, "--hours=0.001", *SMALL)
    assert status == 2
    assert "--hours 0.001 is shorter than one trial: 3 epochs of the quickest network" in errors


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--hours=1", "--trials=2"], "give either --hours H or --trials N"),
        ([], "give either --hours H or --trials N"),
        (["--trials=2", "model.name=none"], "unknown model 'none'"),
        (["--trials=2", "--storage=nonsense://x"], "cannot use the database of the search, --storage 'nonsense://x'"),
    ],
)
def test_bad_input_is_one_sentence(words, sentence, command_line):
    status, _, errors = command_line("search", "--data=digits", *BOARD, *SMALL, *words)
    assert status == 2
    assert sentence in errors


@pytest.mark.long
def test_two_processes_train_each_trial_once(tmp_path, tinytrain):
    words = ("--data=digits", *BOARD, "--trials=4", "--out=found", "--workers=2", *SMALL, "optim.epochs=2")
    done = tinytrain("search", *words)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    trained = [line for line in lines if re.match(r"(worker 1: )?epoch ", line)]
    assert [row["trial"] for row in rows(tmp_path / "found")] == ["0", "1", "2", "3"]
    assert len(trained) == sum(int(row["epochs"]) for row in rows(tmp_path / "found"))
    assert any(line.startswith("worker 1: trial") for line in lines)
    assert any(line.startswith("trial") for line in lines)


@pytest.mark.long
def test_a_first_choice_is_trained_without_a_search(command_line, tmp_path):
    words = ("data.train_images=40", "data.val_images=20", "data.test_images=20", "optim.epochs=1", "optim.batch=20")
    network = ("--model=auto", "--mcu=nucleo_f401re", "model.width=0.25", "model.resolution=24")
    status, _, errors = command_line("fit", "--data=digits", "--out=run", *network, *words)
    assert status == 0, errors
    model = Run(tmp_path / "run").config().model
    assert (model.width, model.resolution) == (0.25, 24)
    assert re.search(rf"--model auto: {model.name} 0.25 at 24.*, the first of the measured networks that fits", errors)


def test_a_first_choice_needs_a_board(command_line):
    status, _, errors = command_line("fit", "--data=digits", "--model=auto")
    assert (status, errors) == (
        2,
        "tinytrain: --model auto chooses the network for a board: say which with --mcu BOARD\n",
    )


@pytest.mark.long
def test_the_winner_is_taught_by_a_larger_network(command_line, tmp_path):
    words = ["search", "--data=digits", *BOARD, "--trials=1", "--out=found", "--teacher=auto", "--json"]
    status, out, error = command_line(*words, *SMALL, "optim.epochs=1")
    assert status == 0, error
    result = json.loads(out.splitlines()[-1])
    lesson, winner = result["teaching"], result["winner"]
    assert lesson["arms"][0]["run"] == winner["run"]  # which is not trained again
    assert [row["arm"] for row in lesson["arms"]][1:4] == ["teacher", "distilled", "netaug_distilled"]
    assert Run(tmp_path / "found/taught/netaug_distilled").finished
    text = (tmp_path / "found/search.md").read_text()
    assert text.startswith("# The search for a network")
    assert lesson["why"] in text.partition("## A teacher for the winner")[2]
