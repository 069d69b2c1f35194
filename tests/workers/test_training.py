"""Workers that train together: what they compute, what they write, and what happens to the others when one ends."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import two_workers
from colored_squares import squares
from kills import assert_same_weights, command, epochs, history
from small_training import SMALLEST

from tinytrain.run import Run

HELPERS = Path(two_workers.__file__).parent
SHORT = [*SMALLEST, "data.train_images=128", "data.check=false"]
SHORT += ["optim.batch=32", "optim.epochs=4", "model.dropout=0.2", "optim.ema=0.9"]
COLUMNS = ("loss", "top1", "balanced_top1", "val_loss", "val_top1", "val_balanced_top1")


def steps(out, methods, workers):
    """Returns {method: arrays} after three steps in float64, alone or as two workers."""
    words = [str(HELPERS / "steps_in_float64.py"), str(out), ",".join(methods)]
    if workers == 1:
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
    else:
        for status, _, said in two_workers.run(words):
            assert status == 0, said
    return {method: dict(np.load(f"{out}-{method or 'plain'}.npz")) for method in methods}


@pytest.mark.parametrize(
    "methods", [["", "sam"], pytest.param(["netaug", "am_softmax", "dml+sam"], marks=pytest.mark.long)]
)
def test_two_workers_compute_what_one_process_does(tmp_path, methods):
    """The same batch, with statistics over both shares: relative 1e-7 is asked for, float64 gives 1e-13."""
    expected, found = (steps(tmp_path / str(workers), methods, workers) for workers in (1, 2))
    for method in methods:
        assert found[method].keys() == expected[method].keys()
        for name, value in expected[method].items():
            error = np.linalg.norm(np.float64(value) - found[method][name]) / max(np.linalg.norm(value), 1e-9)
            assert error < 1e-10, (method, name)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Returns the run of two workers, and what both have printed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    said = two_workers.run(["-m", "tinytrain", "fit", "--out", str(folder), *SHORT])
    assert [status for status, *_ in said] == [0, 0], said
    return Run(folder), said


def test_the_chief_alone_writes_and_prints(undisturbed):
    run, [(_, told, lines), (_, silent, *_)] = undisturbed
    assert run.finished
    assert epochs(lines.splitlines()) == ["1/4", "2/4", "3/4", "4/4"]
    assert told.startswith(f"{run.folder}: test top-1 ")
    assert silent == ""
    assert json.loads(run.origin_path.read_text())["workers"] == [2]
    # The chief measures all val images at the end; while it trained, each worker measured its own.
    metrics = run.metrics()
    assert history(run)[metrics["best_epoch"] - 1]["val_top1"] == pytest.approx(metrics["val"]["top1"], abs=1e-6)


@pytest.mark.long
def test_the_first_epoch_is_that_of_one_worker_but_for_batch_norm(undisturbed, tmp_path, command_line):
    """Synchronised and without dropout it is the same; here the figures need to be near only: a sum would be double."""
    run, _ = undisturbed
    assert command_line("fit", "--out", "run", *SHORT, "optim.epochs=1")[0] == 0
    [alone], together = history(Run(tmp_path / "run")), history(run)[0]
    assert set(alone) == set(together)
    for column in COLUMNS:
        assert together[column] == pytest.approx(alone[column], rel=0.35, abs=0.08), column


def wait_for_epoch(process, number):
    """Reads what a process says until the line of an epoch comes; returns the lines."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith(f"epoch {number}/") and " loss " in line:
            return lines
    raise AssertionError("".join(lines))


def child_of(process):
    """Returns the number of the youngest process that this one has started: the last worker."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return max(map(int, children.split()))


@pytest.mark.long
def test_a_killed_worker_ends_the_others_and_they_go_on_to_the_same_weights(undisturbed, tmp_path, command_line):
    expected, _ = undisturbed
    folder = tmp_path / "run"
    chief, other = two_workers.start(["-m", "tinytrain", "fit", "--out", str(folder), *SHORT])
    wait_for_epoch(chief, 1)
    other.kill()
    _, said = chief.communicate(timeout=60)
    [sentence] = [line for line in said.splitlines() if line.startswith("tinytrain: ")]
    assert chief.returncode == 2
    assert sentence.startswith("tinytrain: worker 1 of 2 (127.0.0.1:")
    assert "no longer answers" in sentence
    assert sentence.endswith(f"start all workers again with the same command and --out {folder} --resume")
    shutil.copytree(folder, tmp_path / "alone")

    words = ["--workers", "2", "--restarts", "1", "--out", str(folder), "--resume"]
    launcher = subprocess.Popen(command("fit", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_epoch(launcher, 2)
    os.kill(killed := child_of(launcher), signal.SIGKILL)
    _, said = launcher.communicate()
    assert launcher.returncode == 0, said
    told = f"worker 1 (process {killed}) of 2 was killed by SIGKILL, and the others were ended; they start again"
    assert f"tinytrain: {told}" in said.splitlines()
    assert_same_weights(Run(folder), expected)
    assert [{c: row[c] for c in COLUMNS} for row in history(Run(folder))] == [
        {c: row[c] for c in COLUMNS} for row in history(expected)
    ]

    status, _, said = command_line("fit", "--out", tmp_path / "alone", "--resume")
    assert status == 0, said
    assert "this run was trained by 2 workers before, now by 1: its weights will be different from those" in said
    assert json.loads((tmp_path / "alone" / "origin.json").read_text())["workers"] == [2, 1]


@pytest.mark.long
def test_another_config_on_one_worker_is_refused_by_name(tmp_path):
    script = (
        "import sys\n"
        "from tinytrain.cli import main\n"
        "from tinytrain.workers import cluster\n"
        "rate = 0.1 if cluster.of_environment().chief else 0.2\n"
        "main.main([*sys.argv[1:], f'optim.lr={rate}'])"
    )
    folder = tmp_path / "run"
    (status, _, said), (other, *_) = two_workers.run(["-c", script, "fit", "--out", str(folder), *SHORT])
    assert (status, other) == (2, 2)
    assert said.splitlines()[-1].startswith("tinytrain: worker 1 of 2 (127.0.0.1:")
    assert said.splitlines()[-1].endswith("has optim.lr = 0.2, the chief 0.1: all workers need the same")
    assert not (folder / "config.toml").exists()


@pytest.mark.long
def test_methods_detectors_and_searches_train_with_two_workers(tmp_path):
    tree = squares(tmp_path / "voc", {"train": 16, "val": 6, "test": 6})
    words = [str(HELPERS / "fits_with_workers.py"), str(tmp_path), str(tree)]
    for status, _, said in two_workers.run(words):
        assert status == 0, said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--workers", "0"], "--workers 0 is out of range: expected a whole number from 1 to 1,000"),
        (["--workers", "two"], "--workers two is not a number: expected a whole number from 1 to 1,000"),
        (["--restarts", "1"], "--restarts needs --workers N"),
        (["--workers", "2", "--restarts", "1"], "--restarts needs --out RUN"),
    ],
)
def test_wrong_numbers_are_refused(command_line, words, sentence):
    status, _, said = command_line("fit", *words)
    assert status == 2
    assert sentence in said


def test_workers_within_workers_are_refused(command_line, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}')
    status, _, said = command_line("fit", "--workers", "2")
    assert status == 2
    assert "TF_CONFIG names 2 workers, and --workers would start others: use one of them" in said


@pytest.mark.long
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path):
    words = ["fit", "--workers", "2", "--out", "run", *SHORT, "optim.batch=33"]
    done = subprocess.run(command(*words), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "tinytrain: optim.batch = 33 cannot be shared by 2 workers: expected a multiple of 2, such as 34"
    )
