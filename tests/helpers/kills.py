"""Commands that are killed, and what a run folder holds after it."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np

from tinytrain.train import checkpoint


def command(*arguments):
    """Returns the words of a tinytrain command in a process of its own."""
    return [sys.executable, "-m", "tinytrain", *map(str, arguments)]


def kill(arguments, folder, when, seconds=0.0):
    """Runs a command in `folder` until when(its lines on standard error) is true, then `seconds` longer: kill -9.

    Returns the lines that came before.
    """
    process, lines = subprocess.Popen(command(*arguments), cwd=folder, stderr=subprocess.PIPE, text=True), []
    for line in process.stderr:
        lines.append(line)
        if when(lines):
            time.sleep(seconds)
            os.kill(process.pid, signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL, "".join(lines)
    return lines


def copy_after_an_epoch(monkeypatch, target):
    """Has the run that is trained next copied to the folder `target` after its first epoch: what a kill leaves of it.

    So one training gives what is killed and what it must come to.
    """
    written = checkpoint.Checkpoint.on_epoch_end

    def copied(self, epoch, logs=None):
        written(self, epoch, logs)
        if epoch == 0:
            shutil.copytree(self.run.folder, target, ignore=shutil.ignore_patterns(".lock*"))

    monkeypatch.setattr(checkpoint.Checkpoint, "on_epoch_end", copied)


def epochs(lines):
    """Returns the epochs among the lines on standard error: ["1/3", "2/3" …]."""
    return [line.split()[1] for line in lines if line.startswith("epoch ")]


def weights(path):
    """Returns the arrays of a checkpoint."""
    with np.load(path) as saved:
        return {name: saved[name] for name in saved.files if name != "state"}


def assert_same_weights(run, expected):
    """Compares both checkpoints of two runs, every number of them."""
    for path, expected_path in ((run.last_path, expected.last_path), (run.best_path, expected.best_path)):
        actual = weights(path)
        for name, values in weights(expected_path).items():
            np.testing.assert_array_equal(actual[name], values, err_msg=f"{path.name} {name}")


def history(run):
    """Returns the lines of history.csv as {column: number}."""
    lines = run.history_path.read_text().splitlines()
    return [dict(zip(lines[0].split(","), map(float, line.split(",")), strict=True)) for line in lines[1:]]
