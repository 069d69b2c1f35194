"""`log.tensorboard=true`: the events of a training against its history.csv, after a kill too."""

import csv
import os
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from small_training import SMALLEST

from tinytrain.errors import UserError
from tinytrain.tasks import classify
from tinytrain.train.tensorboard import TensorBoardLog

SMALL = [*SMALLEST, "optim.epochs=3", "optim.batch=32", "augment.crop=0", "log.tensorboard=true"]
FOLDERS = {"train": "", "val": "val_"}


def events(folder):
    """Returns {tag: [(step, value), …]} of all event files in `folder`, in the order of their writing."""
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
    return found


TAGS = {"loss": "loss", "top1": "top-1", "lr": "learning rate"}


def expected(rows, prefix):
    return {
        tag: [(int(row["epoch"]), pytest.approx(float(row[prefix + name]))) for row in rows]
        for name, tag in TAGS.items()
        if prefix + name in rows[0]
    }


def row(epoch):
    return {"epoch": epoch, "loss": 2.0 / epoch, "top1": 0.1 * epoch, "val_loss": 3.0 / epoch, "val_top1": 0.2, "lr": 1}


def test_a_training_that_goes_on_leaves_no_epoch_twice_and_none_out(tmp_path):
    history = [row(1), row(2)]
    begun = TensorBoardLog(tmp_path / "log", lambda: history[:1], classify.TOP1)
    begun.on_train_begin()
    begun.on_epoch_end(0)  # one that the checkpoint missed
    resumed = TensorBoardLog(tmp_path / "log", lambda: history, classify.TOP1)
    resumed.on_train_begin()
    history.append(row(3))
    resumed.on_epoch_end(2)
    resumed.on_train_end()
    for split, prefix in FOLDERS.items():
        assert events(tmp_path / "log" / split) == expected(history, prefix)


@pytest.mark.long
def test_a_killed_run_has_each_epoch_once(tmp_path):
    command = [sys.executable, "-m", "tinytrain", "fit", "--out", str(tmp_path / "run")]
    process = subprocess.Popen([*command, *SMALL], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch 2/"):
            time.sleep(0.05)
            os.kill(process.pid, signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    rows = list(csv.DictReader((tmp_path / "run/history.csv").open()))
    assert len(rows) == 3
    for split, prefix in FOLDERS.items():
        assert events(tmp_path / "run/tensorboard" / split) == expected(rows, prefix)


@pytest.mark.long
def test_a_run_writes_none_unless_asked(command_line, tmp_path):
    words = [*SMALLEST, "optim.epochs=1", "data.train_images=128"]
    assert command_line("fit", "--out", "run", *words)[0] == 0
    assert not (tmp_path / "run/tensorboard").exists()
    assert command_line("fit", "--out", "logged", "log.tensorboard=true", *words)[0] == 0
    assert list(events(tmp_path / "logged/tensorboard/train")) == ["loss", "top-1", "learning rate"]
    assert list(events(tmp_path / "logged/tensorboard/val")) == ["loss", "top-1"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "tensorboard").touch()
    log = TensorBoardLog(tmp_path / "tensorboard", list, classify.TOP1)
    with pytest.raises(
        UserError, match=r"^cannot write '.*/tensorboard': .* is not a directory; free some room, or go"
    ):
        log.on_train_begin()
