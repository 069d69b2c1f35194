"""`tinytrain fit` from the outside: what it writes, that a kill loses nothing, and what it refuses."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import keras
import numpy as np
import pytest
from kills import assert_same_weights, command, history, kill, weights
from readmes import unexplained
from small_training import SMALLEST

from tinytrain.commands import fit as train
from tinytrain.config import load as configs
from tinytrain.config import schema
from tinytrain.data import splits
from tinytrain.data.load import load_dataset
from tinytrain.errors import DoesNotFit, Mistakes, UserError
from tinytrain.run import Run
from tinytrain.tasks.classify import metrics
from tinytrain.train import fit as training
from tinytrain.train import task

SMALL = [*SMALLEST, "optim.epochs=3", "optim.batch=32", "augment.crop=0"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One uninterrupted run on the digits."""
    run = train.fit(configs.load(None, SMALL), tmp_path_factory.mktemp("runs") / "whole")
    return run


def test_a_run_folder_holds_what_the_contract_says(trained_run):
    result = trained_run.metrics()
    assert set(result["test"]) >= {"top1", "top5", "map", "loss", "images"}
    assert (result["test"]["images"], result["val"]["images"]) == (359, 143)
    assert result["epochs"] == 8
    assert result["images_per_second"] > 0
    config = tomllib.loads(trained_run.config_path.read_text())
    assert config["task"] == "classify"
    unused = {"detect": None, "export": None}  # of another task, and of what is chosen when exporting
    assert "'auto'" not in str(config | unused)
    assert len(trained_run.history_path.read_text().splitlines()) == 9
    split = json.loads(trained_run.split_path.read_text())
    assert {name: len(names) for name, names in split.items()} == {"train": 1295, "val": 143, "test": 359}
    assert not set(split["test"]) & set(split["train"] + split["val"])
    assert unexplained(trained_run.folder) == []


def test_a_folder_that_cannot_be_written_is_refused_before_the_data_are_read(monkeypatch):
    monkeypatch.setattr(training, "read_dataset", lambda _: pytest.fail("read"))
    with pytest.raises(UserError, match=r"cannot write into '/proc/run': .*; name another folder with --out"):
        train.fit(configs.load(None, SMALL), "/proc/run")


def test_the_saved_model_is_plain_keras_and_has_the_reported_accuracy(trained_run):
    model = keras.saving.load_model(trained_run.model_path)
    assert not any("Fused" in type(layer).__name__ for layer in model.layers)
    config = trained_run.config()
    data = splits.Splits(load_dataset(config), config)
    images, labels = data.arrays("test")
    logits = model.predict((np.asarray(images, "float32") - 128) / 128, verbose=0)
    assert metrics.top_k(logits, labels, 1) == pytest.approx(trained_run.metrics()["test"]["top1"], abs=1e-9)
    assert trained_run.metrics()["test"]["top1"] > 0.5  # of ten classes


@pytest.mark.long
def test_the_config_in_the_folder_repeats_the_run(finished, tmp_path):
    again = train.fit(configs.load(finished.config_path), tmp_path / "again")
    for name, values in weights(finished.last_path).items():
        np.testing.assert_array_equal(values, weights(again.last_path)[name])


@pytest.mark.long
def test_a_run_that_was_killed_twice_resumes_to_the_same_weights(finished, tmp_path):
    words = ["fit", "--out", "run"]
    for number in range(2):
        # When an epoch has just ended, so that the kill falls into the next one.
        more = SMALL if number == 0 else ["--resume"]
        kill([*words, *more], tmp_path, lambda lines: lines[-1].startswith("epoch "), seconds=0.05)
        assert not (tmp_path / "run/metrics.json").exists()
    done = subprocess.run(command(*words, "--resume", "--json"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = finished.metrics()
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["test"], result["best_epoch"]) == (expected["test"], expected["best_epoch"])
    assert_same_weights(Run(tmp_path / "run"), finished)
    assert [row["epoch"] for row in history(Run(tmp_path / "run"))] == [1, 2, 3]


def test_a_kill_between_the_last_checkpoint_and_its_line_in_the_history_loses_no_line(trained_run, tmp_path):
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    for path in (trained_run.config_path, trained_run.split_path, trained_run.last_path, trained_run.best_path):
        shutil.copy(path, run.folder)
    lines = trained_run.history_path.read_text().splitlines(keepends=True)
    run.history_path.write_text("".join(lines[:-1]))
    train.fit(run.config(), run.folder, resume=True)
    assert run.history_path.read_text().splitlines(keepends=True) == lines
    assert run.metrics() == trained_run.metrics()


@pytest.mark.parametrize(("balanced", "shown"), [(0.934, ""), (0.61, " (61.00 % with all classes counted equally)")])
def test_the_last_line_tells_what_uneven_classes_hide(balanced, shown):
    test = {"top1": 0.9359, "balanced_top1": balanced, "images": 359}
    result = {"test": test, "val": {"top1": 0.979}, "params": 215498, "macs": 797824, "images_per_second": 2664.4}
    assert task.of(schema.Config(), []).line(Path("runs/demo"), result) == (
        f"runs/demo: test top-1 93.59 %{shown} on 359 images, val top-1 97.90 %, 215,498 parameters, 797,824 MACs, "
        "2,664 images/s"
    )


def test_a_loss_that_is_not_a_number_stops_with_a_message(command_line):
    words = [*SMALL, "optim.lr=1000", "optim.weight_decay=1", "optim.warmup_epochs=0"]
    status, _, error = command_line("fit", "--out", "run", *words)
    assert status == 2
    assert "loss became" in error
    assert "lower optim.lr" in error
    assert "Traceback" not in error


@pytest.mark.long
def test_a_folder_of_color_images_trains_and_resume_of_a_finished_run_repeats_its_result(command_line, image_folder):
    root = image_folder(count=60)
    words = [*SMALLEST, "optim.epochs=8", "optim.batch=16", "augment.crop=0"]
    status, out, error = command_line("fit", "--data", f"folder:{root}", "--out", "run", "--json", *words)
    assert status == 0, error
    result = json.loads(out.splitlines()[-1])
    assert result["val"]["top1"] > 0.6  # three classes that differ by their color
    _, again, _ = command_line("fit", "--out", "run", "--resume", "--json")
    assert json.loads(again.splitlines()[-1]) == result


def snapshot(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["optim.epoch=3"], "did you mean 'optim.epochs'"),
        (["--model", "mobilnet_v2"], "did you mean 'mobilenet_v2'"),
        (["--data", "digit"], "did you mean 'digits'"),
        (["--data", "folder:nowhere"], "no folder 'nowhere'"),
        (["--mcu", "stm32f747"], "did you mean 'stm32f746'"),
        (["--epochs", "3"], "Unknown command line flag 'epochs'"),
        (["--resume"], "--resume needs --out RUN"),
        (["--resume", "--out", "nowhere"], "'nowhere' does not exist"),
        (["a.toml", "b.toml"], "one config file"),
        (["--out", "old"], "already holds a run"),
        (["--out", "old/config.toml"], "already holds a file"),
        (["--out", "old", "--resume", "seed=5"], "seed = 5: it was started with 0"),
        (["--data", "digits:8"], "digits takes no argument"),
    ],
)
def test_a_mistake_is_one_sentence_status_2_and_overwrites_nothing(command_line, tmp_path, words, sentence):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/config.toml").write_text(configs.dump(schema.Config()))
    before = snapshot(tmp_path / "old")
    status, out, error = command_line("fit", *words)
    assert (status, out) == (2, "")
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert snapshot(tmp_path / "old") == before
    assert not (tmp_path / "runs").exists()


@pytest.mark.long
def test_what_is_wrong_with_data_and_board_is_told_at_once(command_line, image_folder, tmp_path):
    image_folder(classes=("blue", "red"))
    root = image_folder(classes=("lonely",), count=1, size=(20, 16), mode="L")
    (root / "red/cut.png").write_bytes((root / "red/000.png").read_bytes()[:50])
    (root / "red/Thumbs.db").write_text("no image")
    words = ["--mcu", "nucleo_f401re", "--model", "resnet8", "model.width=4", "model.resolution=32"]
    status, out, error = command_line("fit", "--data", f"folder:{root}", "--out", "run", *words)
    assert (status, out) == (2, "")
    assert "3 things are wrong:" in error
    assert "\n1. 1 of 27 files cannot be read as images" in error
    assert "red/cut.png: damaged image" in error
    assert "\n2. too few images in the data for lonely (1)" in error
    assert "\n3. resnet8 of width 4 at 32 pixels does not fit nucleo_f401re" in error
    assert "Thumbs.db" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_what_was_chosen_is_told_beside_the_limits_of_the_board(command_line, image_folder, tmp_path):
    image_folder(classes=("blue", "red"), count=12)
    root = image_folder(classes=("gray",), count=12, size=(20, 16), mode="L")
    words = ["--mcu", "nucleo_f401re", "--model", "resnet8", "model.width=4", "model.resolution=32"]
    status, _, error = command_line("fit", "--data", f"folder:{root}", "--out", "run", *words)
    assert status == 3
    assert "data.resize=pad brings them to one size" in error
    assert "model.channels=3 is used" in error
    assert "resnet8 of width 4 at 32 pixels does not fit nucleo_f401re" in error
    assert not (tmp_path / "run").exists()


def test_errors_are_told_as_one():
    mistakes = Mistakes()
    assert mistakes.collect(lambda one, two: one + two, 1, 2) == 3
    mistakes.raise_all()

    def fail(error):
        raise error

    assert mistakes.collect(fail, DoesNotFit("too large")) is None
    with pytest.raises(DoesNotFit, match=r"^too large$"):
        mistakes.raise_all()
    mistakes.collect(fail, UserError("no image"))
    with pytest.raises(UserError) as error:
        mistakes.raise_all()
    assert str(error.value) == "2 things are wrong:\n1. too large\n2. no image"
    with pytest.raises(KeyError):
        mistakes.collect(fail, KeyError("our own bug"))


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A run that was begun on a folder of images; returns what `train.fit` is asked to go on with."""
    (tmp_path / "old").mkdir()
    words = ["data.spec=folder:images", "model.name=resnet8", "optim.lr=0.2", "log.tensorboard=true"]
    (tmp_path / "old/config.toml").write_text(configs.dump(configs.load(None, words)))
    asked = []

    def fit(config, out, mcu, resume, typed, choose_model):
        asked.append(config)
        raise UserError("asked")

    monkeypatch.setattr(train, "fit", fit)
    return asked


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], {}),
        (["optim.lr=0.2", "model.name=resnet8"], {}),
        (["--data", "folder:images"], {}),
        (["log.tensorboard=false", "qat.epochs=7"], {"log.tensorboard": False, "qat.epochs": 7}),
        (["export.parity_images=3", "data.check=false"], {"export.parity_images": 3, "data.check": False}),
        (["given.toml"], {"qat.epochs": 3}),
    ],
)
def test_a_run_goes_on_with_what_it_was_begun_with_and_what_training_does_not_read(
    command_line, tmp_path, begun, words, given
):
    (tmp_path / "given.toml").write_text("seed = 0\n[optim]\nlr = 0.2\n[qat]\nepochs = 3\n")
    _, _, error = command_line("fit", "--out", "old", "--resume", *words)
    assert error == "tinytrain: asked\n"
    (config,) = begun
    for dotted, value in ({"data.spec": "folder:images", "optim.lr": 0.2, "log.tensorboard": True} | given).items():
        assert configs.get_key(config, dotted) == value, dotted


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["optim.lr=0.3"], "optim.lr = 0.3: it was started with 0.2"),
        (["qat.epochs=7", "model.width=0.5"], "model.width = 0.5: it was started with 'auto'"),
        (["--data", "digits"], "data.spec = 'digits': it was started with 'folder:images'"),
        (["other.toml"], "seed = 4: it was started with 0"),
    ],
)
def test_resume_names_a_key_that_was_typed(command_line, tmp_path, begun, words, sentence):
    (tmp_path / "other.toml").write_text("seed = 4\n")
    status, _, error = command_line("fit", "--out", "old", "--resume", *words)
    assert status == 2
    assert error.startswith(f"tinytrain: cannot resume 'old' with {sentence}; use the same value")
    assert begun == []


def test_a_resumed_run_keeps_what_export_and_the_log_are_told_now(tmp_path):
    run = Run(tmp_path)
    stored = configs.load(None, SMALL)
    run.config_path.write_text(configs.dump(stored))
    run.update_config(configs.load(None, [*SMALL, "qat.epochs=7", "log.tensorboard=true", "optim.lr=0.9"]))
    expected = configs.load(None, [*SMALL, "qat.epochs=7", "log.tensorboard=true"])
    assert run.config() == expected  # and not what a training reads


def test_a_run_goes_on_with_what_is_given_for_the_log(finished_copy, tmp_path):
    config = finished_copy.config()
    config.qat.epochs = 7
    assert train.fit(config, finished_copy.folder, resume=True).config().qat.epochs == 7
    before = finished_copy.config_path.read_bytes()
    train.fit(schema.Config(), finished_copy.folder, resume=True)  # to take what the folder holds
    assert finished_copy.config_path.read_bytes() == before
    config.optim.lr = 0.9
    with pytest.raises(UserError, match=r"optim\.lr = 0\.9"):
        train.fit(config, finished_copy.folder, resume=True)


@pytest.fixture
def finished_copy(tmp_path):
    """A run folder that says it is finished."""
    run = Run(tmp_path / "done")
    run.folder.mkdir()
    run.config_path.write_text(configs.dump(configs.load(None, SMALL)))
    run.metrics_path.write_text("{}")
    run.model_path.touch()
    return run


@pytest.mark.parametrize("content", [b"", b'{"test": ', b"[1, 2]", b"\xff", b"[" * 100_000])
def test_a_damaged_file_of_a_run_is_one_sentence(finished_copy, content):
    for path, read in ((finished_copy.metrics_path, Run.metrics), (finished_copy.split_path, Run.split)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"cannot read '{path}'"):
            read(finished_copy)


def test_a_folder_in_place_of_a_config_is_one_sentence_with_what_was_meant(command_line, tmp_path, finished_copy):
    (tmp_path / "flowers/rose").mkdir(parents=True)
    status, _, error = command_line("fit", "flowers")
    assert status == 2
    assert error == (
        "tinytrain: 'flowers' is a folder, not a config file: give images in a folder for each class as "
        "--data folder:flowers\n"
    )
    status, _, error = command_line("fit", "done")
    assert status == 2
    assert "'done' is a folder, not a config file: continue this run with --out done --resume" in error


def test_a_folder_that_cannot_be_written_is_said(command_line, tmp_path):
    (tmp_path / "file").touch()
    status, _, error = command_line("fit", "--out", "file/run", *SMALL)
    assert status == 2
    assert "cannot write into 'file/run'" in error
