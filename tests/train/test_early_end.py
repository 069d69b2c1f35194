"""A training that ends before its last epoch, as a search ends those that others beat."""

import math

import pytest

from tinytrain.config import load as configs
from tinytrain.train import fit

WORDS = ["model.name=resnet8", "model.width=0.25", "model.resolution=24", "data.train_images=40", "data.val_images=20"]
WORDS += ["data.test_images=20", "optim.batch=20", "optim.epochs=5", "optim.warmup_epochs=1", "optim.lr=0.1"]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A run of five epochs that ended after the second, and after how many it was asked."""
    asked = []

    def ends(history):
        asked.append(len(history))
        return len(history) == 2

    return fit.fit(configs.load(None, WORDS), tmp_path_factory.mktemp("ended") / "run", ends=ends), asked


def test_it_is_asked_after_each_epoch_and_the_run_is_finished(ended):
    run, asked = ended
    assert asked == [1, 2]
    assert run.finished
    assert run.metrics()["epochs"] == 2


def test_the_schedule_is_that_of_all_epochs(ended):
    run, _ = ended
    # Two steps an epoch, one epoch of warm-up. The rate is read after step 4: two of 8 steps of the cosine are done.
    expected = 0.1 * 0.5 * (1 + math.cos(math.pi * (4 - 2) / (10 - 2)))
    assert float(run.history()[-1]["lr"]) == pytest.approx(expected, rel=1e-5)


def test_a_run_that_had_ended_when_it_was_killed_is_finished_without_another_epoch(ended):
    run, asked = ended
    for path in (run.metrics_path, run.model_path):
        path.unlink()
    before = len(asked)
    again = fit.fit(configs.load(None, WORDS), run.folder, resume=True, ends=lambda history: len(history) == 2)
    assert again.metrics()["epochs"] == 2
    assert len(asked) == before
