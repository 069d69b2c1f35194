"""ReduceLROnPlateauV2: loss curves replayed, every learning rate worked out by hand from methods.md C.1."""

import numpy as np
import pytest
from small_training import SMALLEST

from tinytrain.commands import fit
from tinytrain.config import load as configs
from tinytrain.config.schema import Optim
from tinytrain.config.schema import Plateau as Options
from tinytrain.train import plateau
from tinytrain.train.plateau import Plateau

WARMUP = [0.1, 0.28, 0.46, 0.64, 0.82, 1.0]  # epochs 0 to 5, of the rate that was found
FALLING = [1 / (epoch + 1) for epoch in range(200)]
STANDING = [1.0] * 200


def replay(losses, top1=None, epochs=200, **options):
    """Returns the rate of each epoch, for a first one of 1, until the training ends."""
    schedule = Plateau(Optim(lr=1.0, epochs=epochs, warmup_epochs=5, warmup_from=0.1), Options(**options))
    rates = []
    for epoch, loss in enumerate(losses[:epochs]):
        rates.append(schedule.lr)
        schedule.after_epoch(loss, epoch / 1000 if top1 is None else top1[epoch])
        if schedule.stopped:
            break
    return rates


# Each row: losses, and {epoch: rate from this epoch on} after the warm-up.
CURVES = {
    # Epoch 6 is the first that counts, and the best; 7 to 12 are six bad ones, the sixth is one too many.
    "standing": (STANDING, {6: 1.0, 13: 0.1, 19: 0.01, 25: 0.005}),
    # Only the forced one, at the end of epoch 150: n = 145 begins at 1 at the end of epoch 6.
    "falling": (FALLING, {6: 1.0, 151: 0.1}),
    # What was good in the warm-up does not count.
    "better in the warm-up": ([0.1] * 6 + STANDING, {6: 1.0, 13: 0.1, 19: 0.01, 25: 0.005}),
    # A fall by less than 2e-4 of the best loss is none: 0.9999 is bad, 0.9997 is better.
    "too little": ([1.0] * 7 + [0.9999] * 200, {6: 1.0, 13: 0.1, 19: 0.01, 25: 0.005}),
    "enough": ([1.0] * 7 + [0.9997] * 200, {6: 1.0, 14: 0.1, 20: 0.01, 26: 0.005}),
    # Five bad ones are tolerated, and a better one begins the count again; after the last at 17, six bad ones to 23.
    "just tolerated": ([1.0] * 12 + [0.9] + [1.0] * 4 + [0.8] + [1.0] * 200, {6: 1.0, 24: 0.1, 30: 0.01, 36: 0.005}),
    # Falling by itself once means that nothing is forced.
    "fell early, then learns": ([1.0] * 13 + FALLING, {6: 1.0, 13: 0.1}),
}


@pytest.mark.parametrize("name", CURVES)
def test_every_learning_rate_of_a_curve(name):
    losses, steps = CURVES[name]
    expected = list(WARMUP)
    for epoch in range(6, 200):
        expected.append(steps.get(epoch, expected[-1]))
    np.testing.assert_allclose(replay(losses), expected, rtol=1e-12)


def test_it_ends_after_five_epochs_at_the_lowest_rate_without_a_better_accuracy():
    # Lowest from epoch 25 on; the accuracy is the same all along, so epochs 25 to 29 are the five.
    assert len(replay(STANDING, top1=[0.5] * 200)) == 30
    # One better epoch, 27, begins the wait again: 28 to 32.
    assert len(replay(STANDING, top1=[0.5] * 27 + [0.6] * 200)) == 33
    # Not better to 4 digits.
    assert len(replay(STANDING, top1=[0.5] * 27 + [0.50004] * 200)) == 30
    # Never at the lowest rate: no end before 200.
    assert len(replay(FALLING, top1=[0.5] * 200)) == 200


def test_the_keys_say_how():
    rates = replay(STANDING, epochs=20, gamma=0.5, patience=1, floor=4)
    np.testing.assert_allclose(rates[6:13], [1, 1, 1, 0.5, 0.5, 0.25, 0.25])
    rates = replay(FALLING, epochs=40, forced=0.5)  # n = int(0.5 * 40) - 5 = 15, at the end of epoch 20
    np.testing.assert_allclose(rates[19:23], [1, 1, 0.1, 0.1])
    none = Plateau(Optim(lr=2.0, warmup_epochs=0), Options())
    assert none.lr == 2.0


@pytest.mark.long
def test_a_training_follows_it_and_a_resumed_one_goes_on_with_it(tmp_path, monkeypatch):
    words = [*SMALLEST, "optim.schedule=plateau", "optim.warmup_epochs=1", "optim.warmup_from=0.1"]
    words += ["optim.epochs=40", "optim.lr=0.2", "optim.bias_lr=2", "plateau.patience=0", "plateau.stop_patience=2"]
    words += ["plateau.threshold=0.2", "data.train_images=200"]
    whole = fit.fit(configs.load(None, words), tmp_path / "whole")
    rows = np.genfromtxt(whole.history_path, delimiter=",", names=True)
    schedule = Plateau(Optim(lr=0.2, epochs=40, warmup_epochs=1, warmup_from=0.1), configs.load(None, words).plateau)
    for row in rows:
        assert row["lr"] == pytest.approx(schedule.lr, rel=1e-6)
        assert not schedule.stopped
        schedule.after_epoch(row["loss"], row["val_balanced_top1"])
    assert schedule.stopped
    assert whole.metrics()["epochs"] == len(rows) < 40
    assert rows["lr"][-1] == pytest.approx(0.001, rel=1e-6)
    top1 = np.round(rows["val_balanced_top1"], 4)
    best = rows["epoch"][top1 == top1.max()].max()  # of equal ones the last
    assert whole.metrics()["best_epoch"] == best

    class Killed(Exception):
        pass

    after_epoch = plateau.Plateau.after_epoch

    def killed(self, *seen):
        if self.epoch == 7:
            raise Killed
        after_epoch(self, *seen)

    monkeypatch.setattr(plateau.Plateau, "after_epoch", killed)
    with pytest.raises(Killed):
        fit.fit(configs.load(None, words), tmp_path / "run")
    monkeypatch.undo()
    again = fit.fit(configs.load(tmp_path / "run/config.toml"), tmp_path / "run", resume=True)
    with np.load(whole.last_path) as expected, np.load(again.last_path) as found:
        for name in expected.files:
            if name != "state":
                np.testing.assert_array_equal(found[name], expected[name])
