"""Steps that are timed before a training: real ones, of any task and method."""

import time

import pytest
from colored_squares import squares

from tinytrain.config import load as configs
from tinytrain.train import rehearsal
from tinytrain.train.rehearsal import Rehearsal

SMALL = ["optim.batch=8", "model.width=0.25", "data.check=false"]


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    """Three steps, however long they take on a busy machine."""
    monkeypatch.setattr(rehearsal, "STEPS", 3)
    monkeypatch.setattr(rehearsal, "MOST_SECONDS", float("inf"))


def test_steps_of_a_method_on_few_of_the_images_are_timed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*SMALL, "model.name=resnet8", "method=sam", "data.balance=class_weights", "optim.batch=4"]
    known = Rehearsal(configs.load(None, words), configs.typed(None, words))
    began, cpu_began = time.perf_counter(), time.process_time()
    step = known.step_time()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    assert step.steps == 3
    assert 0 < step.seconds < seconds / 3
    assert 0 < step.cpu_seconds < cpu_seconds / 3
    assert known.steps == 1295 // 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_detector_is_timed_too(tmp_path):
    root = squares(tmp_path / "voc", {"train": 12, "val": 6, "test": 6})
    words = [*SMALL, f"data.spec=voc:{root}", "model.name=mobilenet_v1", "model.resolution=64"]
    known = Rehearsal(configs.load(None, words), configs.typed(None, words))
    assert known.step_time().steps == 3


def test_no_step_begins_after_the_time(monkeypatch):
    monkeypatch.setattr(rehearsal, "MOST_SECONDS", 0.0)
    words = [*SMALL, "model.name=resnet8"]
    assert Rehearsal(configs.load(None, words)).step_time().steps == 1


def test_rare_classes_that_are_shown_more_often_make_the_epoch_longer(image_folder):
    image_folder(classes=("green", "red"), count=40)
    root = image_folder(classes=("blue",), count=10)
    words = [f"data.spec=folder:{root}", *SMALL, "data.balance=balanced_sampling"]
    known = Rehearsal(configs.load(None, words))
    trained = [len(known.data.subsets[name].indices) for name in ("train", "val", "test")]
    assert sum(trained) == 90
    assert known.images["train"] == 3 * 29 > trained[0]  # as many of each class as of the largest: 40 less 8 and 3
    assert known.steps == 3 * 29 // 8
