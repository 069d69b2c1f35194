"""The learning-rate search: against a plain Optuna loop, with workers that share it, and through kills at any point."""

import contextlib
import dataclasses
import json
import subprocess
import sys
import threading
import time

import box_trees
import numpy as np
import optuna
import pytest
from kills import assert_same_weights, command, epochs, history, kill, weights
from small_training import SMALLEST

from tinytrain.commands import fit
from tinytrain.config import load as configs
from tinytrain.config import method_keys, schema
from tinytrain.config.schema import Config
from tinytrain.data import splits
from tinytrain.data.load import load_dataset
from tinytrain.errors import UserError
from tinytrain.run import Run
from tinytrain.train import checkpoint
from tinytrain.train.callbacks import Diverged
from tinytrain.train.lr_search import range_test
from tinytrain.train.lr_search import search as lr_search
from tinytrain.train.lr_search import study as lr_study
from tinytrain.train.lr_search import trial as lr_trial
from tinytrain.train.lr_search.study import Trials, beating, open_storage
from tinytrain.train.resolve import resolve

optuna.logging.set_verbosity(optuna.logging.ERROR)
SMALL = [*SMALLEST, "augment.crop=0", "optim.batch=64", "optim.epochs=1"]
# What a trial must not use is set, too.
FULL = [*SMALL, "method=dropblock", "optim.schedule=plateau", "optim.bias_lr=2", "optim.weight_decay=5e-4"]
SEARCH = ["search.algorithm=tpe", "search.trials=2", "search.epochs=3", "search.low=0.005", "search.high=0.1"]


def accuracy(lr, epoch):
    """The val top-1 that the fake training has: best at 0.017, better by the epoch, wavy so that the order changes."""
    return 0.9 - 20 * abs(lr - 0.017) + 0.02 * epoch + 0.1 * np.sin(1000 * lr * (epoch + 1))


class Killed(BaseException):
    """What kills a fake training."""


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Returns a function that searches with fake trials in tmp_path/run; it lists those in `trained`."""
    find = FakeSearch(tmp_path / "run")
    monkeypatch.setattr(lr_trial, "train", find.train)
    monkeypatch.setattr(lr_trial, "freed", contextlib.nullcontext)  # nothing of Keras was used, and it takes a second
    monkeypatch.setattr(lr_study, "POLL_SECONDS", 0.01)
    return find


class FakeSearch:
    def __init__(self, folder):
        self.run, self.trained, self.configs, self.kill_at = Run(folder), [], [], None

    def __call__(self, *words, **options):
        self.run.folder.mkdir(exist_ok=True)
        usual = ["search.low=0.005", "search.high=0.029", "search.epochs=6", "search.study=fake"]
        config = configs.load(None, [*usual, *words])
        self.lr = lr_search.find(self.run, config, None)
        return json.loads((self.run.folder / "search.json").read_text())

    def train(self, config, data, run, report):
        self.configs.append(config)
        self.trained.append([config.optim.lr, 0])
        for epoch in range(config.optim.epochs):
            if self.kill_at == (len(self.trained), epoch):
                raise Killed
            self.trained[-1][1] += 1
            if report(epoch, accuracy(config.optim.lr, epoch)):
                break
        return []


def by_hand(trials=15, seed=0):
    """What Optuna itself does with the fake trials: [(learning rate, [top-1 of each epoch], state)], the best rate."""
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner())

    def objective(trial):
        lr = trial.suggest_float("lr", 0.005, 0.029, step=0.001)
        if lr in [other.params["lr"] for other in study.trials[:-1]]:
            raise optuna.TrialPruned
        for epoch in range(6):
            trial.report(accuracy(lr, epoch), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy(lr, 5)

    for number in range(trials):
        own = int(np.random.default_rng([seed, number]).integers(2**32))
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=5, seed=own)
        study.optimize(objective, n_trials=1)
    rows = [(t.params["lr"], list(t.intermediate_values.values()), t.state.name.lower()) for t in study.trials]
    return rows, study.best_trial.params["lr"]


def test_tpe_is_optunas_with_repeated_rates_pruned_at_once(fake):
    expected, best = by_hand()
    states = [state for _, _, state in expected]
    assert states[:5] == ["complete"] * 5
    assert any(state == "pruned" and 0 < len(values) < 6 for _, values, state in expected)  # or the test shows little
    assert any(state == "pruned" and not values for _, values, state in expected)
    found = fake("search.algorithm=tpe")
    assert len(found["trials"]) == 15
    assert found["epochs"] == sum(len(values) for _, values, _ in expected)
    for row, (lr, values, state) in zip(found["trials"], expected, strict=True):
        assert row["lr"] == pytest.approx(lr)
        assert (row["top1"], row["epochs"], row["state"]) == (pytest.approx(values), len(values), state)
    assert (found["way"], found["lr"]) == ("tpe", pytest.approx(best))
    assert [epochs for _, epochs in fake.trained] == [len(values) for _, values, _ in expected if values]


def test_another_seed_is_another_search(fake):
    assert [row["lr"] for row in fake("search.algorithm=tpe", "seed=3")["trials"]] == pytest.approx(
        [lr for lr, _, _ in by_hand(seed=3)[0]]
    )


def test_the_grid_has_both_ends_and_the_best_last_epoch_wins(fake):
    found = fake("search.algorithm=grid", "search.points=9", "search.low=0.002", "search.high=0.018", "search.epochs=4")
    rates = [0.002, 0.004, 0.006, 0.008, 0.01, 0.012, 0.014, 0.016, 0.018]
    assert [row["lr"] for row in found["trials"]] == rates
    assert {row["epochs"] for row in found["trials"]} == {4}  # nothing is pruned
    assert found["lr"] == max(rates, key=lambda lr: accuracy(lr, 3))
    first_epoch = max(rates, key=lambda lr: accuracy(lr, 0))
    assert found["lr"] != first_epoch  # or the test could not tell the last epoch from the first


@pytest.mark.parametrize("way", ["tpe", "grid"])
@pytest.mark.parametrize("kills", [[(3, 2)], [(6, 1), (1, 0)]])
def test_a_search_goes_on_where_it_was_killed(fake, tmp_path, way, kills):
    words = [f"search.algorithm={way}", "search.points=7", "search.trials=9", "search.epochs=3"]
    whole = fake(*words)
    everything = fake.trained
    fake.run, again = Run(tmp_path / "killed"), []
    for fake.kill_at in kills:
        fake.trained = []
        with pytest.raises(Killed):
            fake(*words)
        again += fake.trained[:-1]
    fake.kill_at, fake.trained = None, []
    assert fake(*words) == whole
    assert again + fake.trained == everything  # no finished trial was trained twice
    assert not list(fake.run.folder.glob("search/*/*.npz"))


@pytest.mark.parametrize("moment", ["before its rate was drawn", "before it was told to be over"])
def test_a_kill_around_a_trial_loses_nothing(fake, tmp_path, monkeypatch, moment):
    words = ["search.algorithm=tpe", "search.trials=8", "search.epochs=2"]
    whole = fake(*words)
    fake.run = Run(tmp_path / "killed")
    name = "lr" if moment.startswith("before its") else "end"
    calls, real = [], getattr(Trials, name)

    def killed(self, *arguments):
        calls.append(arguments)
        if len(calls) == 7:
            raise Killed
        return real(self, *arguments)

    monkeypatch.setattr(Trials, name, killed)
    with pytest.raises(Killed):
        fake(*words)
    assert fake(*words) == whole


@pytest.mark.parametrize("stop_after", [2, 1])
def test_an_epoch_that_was_saved_but_not_reported_is_reported_and_not_trained_again(tmp_path, stop_after):
    rows = [{"epoch": 1, "val_balanced_top1": 0.25}, {"epoch": 2, "val_balanced_top1": 0.5}]
    run = Run(tmp_path)
    checkpoint.save(run.last_path, [], {"epoch": 2, "history": rows})
    config, reported = configs.load(None, [f"optim.epochs={2 if stop_after == 2 else 9}"]), []

    def report(epoch, top1):
        reported.append((epoch, top1))
        return stop_after == 1

    report.column = "val_balanced_top1"
    assert lr_trial.train(config, None, run, report) == rows  # there are no images: nothing could be trained
    assert reported == [(0, 0.25), (1, 0.5)]


def test_what_was_found_is_not_searched_again(fake):
    words = ["search.algorithm=tpe", "search.trials=2"]
    found, lr = fake(*words), fake.lr
    fake.trained = []
    (fake.run.folder / "search.db").unlink()
    assert (fake(*words), fake.lr) == (found, lr)
    assert fake.trained == []


def test_a_rate_whose_loss_is_not_finite_is_pruned(fake, monkeypatch):
    real = fake.train

    def diverges(config, data, run, report):
        if config.optim.lr > 0.012:
            report(0, 0.99)
            checkpoint.save(run.last_path, [], {"epoch": 1, "history": [{"epoch": 1, "seconds": 2.5}]})
            raise Diverged("the loss became inf")
        return real(config, data, run, report)

    monkeypatch.setattr(lr_trial, "train", diverges)
    found = fake("search.algorithm=grid", "search.epochs=2")
    assert found["lr"] <= 0.012
    diverged = [row for row in found["trials"] if row["lr"] > 0.012]
    assert [(row["state"], row["epochs"]) for row in diverged] == [("pruned", 1)] * 7
    assert (found["seconds"], found["epochs"]) == (7 * 2.5, 7 + 2 * (len(found["trials"]) - 7))  # they cost time, too
    fake.run = Run(fake.run.folder.with_name("hopeless"))
    with pytest.raises(UserError, match=r"none of the 4 trials .* received search.low = 0.02, expected a lower one"):
        fake("search.algorithm=grid", "search.points=4", "search.low=0.02")


def test_a_line_a_trial_is_told(fake, capsys):
    found = fake("search.algorithm=tpe")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 16
    first = found["trials"][0]
    assert lines[0] == f"search: trial 1/15 lr {first['lr']:g} top-1 {first['top1'][-1]:.3f}"
    assert any("(a repeated rate)" in line for line in lines)
    assert any("(pruned after 1 epoch)" in line for line in lines)
    assert lines[-1] == f"search: learning rate {found['lr']:g}"


def test_a_trial_is_plain_training(fake):
    words = ["method=netaug+distill", "optim.schedule=plateau", "optim.warmup_epochs=5", "optim.bias_lr=2"]
    words += ["optim.momentum=0.8", "optim.weight_decay=5e-4", "optim.batch=32", "optim.epochs=200", "seed=4"]
    words += ["augment.mixup=0.2", "model.width=0.5", "sam.rho=0.2", "search.algorithm=grid", "search.points=2"]
    fake(*words, "search.epochs=4")
    config = fake.configs[0]
    assert (config.method, config.optim.schedule, config.optim.warmup_epochs) == ("", "constant", 0)
    assert (config.optim.bias_lr, config.optim.decay, config.sam.rho) == (1, "all", method_keys.Sam().rho)
    assert (config.optim.lr, config.optim.epochs, config.search.algorithm) == (0.005, 4, "none")
    kept = (config.seed, config.optim.momentum, config.optim.weight_decay, config.optim.batch, config.augment.mixup)
    assert (*kept, config.model.width) == (4, 0.8, 5e-4, 32, 0.2, 0.5)


def study_name(*words):
    config = configs.load(None, [*words, "search.algorithm=tpe"])
    config = resolve(config, load_dataset(config))
    return lr_search._name(config, splits.Splits(load_dataset(config), config))


def test_searches_that_would_be_equal_share_a_study():
    name = study_name()
    same = ["sam.rho=0.5", "method=sam", "optim.schedule=plateau", "optim.lr=1", "optim.epochs=9", "qat.epochs=1"]
    assert {study_name(word) for word in [*same, "search.storage=sqlite:///x.db"]} == {name}
    other = ["seed=1", "model.width=0.5", "optim.batch=16", "search.epochs=2", "augment.mixup=0.1", "data.split=random"]
    assert len({name, *(study_name(word) for word in other)}) == 1 + len(other)


def test_the_study_of_a_detector_knows_its_boxes(tmp_path):
    """Images without a box have no class of their own to be counted by."""
    labels = [[], ["apple"], ["pear"], ["apple", "pear"]] * 8
    pictures = {
        f"{number}": ((40, 32), [(label, number % 8, 8, 20, 24) for label in there])
        for number, there in enumerate(labels)
    }
    box_trees.write_coco(tmp_path, pictures=pictures)
    spec = f"data.spec=coco:{tmp_path}"
    assert study_name(spec, "model.resolution=32") == study_name(spec, "model.resolution=32", "qat.epochs=1")


def test_a_trial_of_a_detector_has_its_head_and_mixes_to_the_end():
    config = configs.load(None, ["task=detect", "detect.strides=[16]", "augment.mixup=1.5"])
    trial = lr_trial.plain(config, 0.1, 3)
    assert (trial.task, trial.detect.strides, trial.augment.mix_off_epochs) == ("detect", [16], 0)
    assert lr_trial.plain(Config(), 0.1, 3).augment.mix_off_epochs == Config().augment.mix_off_epochs


# Several workers.


def trials_of(storage, owner="us", **options):
    search = schema.Search(**{"algorithm": "tpe", "low": 0.005, "high": 0.029, "trials": 4} | options)
    return Trials(storage, "study", search, 0, owner)


WORKER = """
import sys, optuna
from tinytrain.config import schema
from tinytrain.train.lr_search import study as lr_study
optuna.logging.set_verbosity(optuna.logging.ERROR)
search = schema.Search(algorithm=sys.argv[2], low=0.001, high=0.03, trials=12, points=12)
trials = lr_study.Trials(lr_study.open_storage(sys.argv[1]), "study", search, 0, sys.argv[3])
lr_study.POLL_SECONDS = 0.05
while trial := trials.next():
    lr = trials.lr(trial)
    with lr_study.beating(trial):
        for step in range(3):
            trial.report(lr + step, step)
    trials.end(trial, lr + 2)
print(trials.best().params["lr"])
"""


@pytest.mark.parametrize("way", ["tpe", "grid"])
def test_workers_that_start_at_once_share_the_trials(tmp_path, way):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    command = [sys.executable, "-W", "error:::tinytrain", "-c", WORKER, url, way]
    workers = [subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True) for n in range(3)]
    found = {worker.communicate()[0].strip() for worker in workers}
    assert [worker.returncode for worker in workers] == [0] * 3
    trials = trials_of(open_storage(url)).all()
    assert len(trials) == 12
    assert {trial.state for trial in trials} == {optuna.trial.TrialState.COMPLETE}
    assert len({trial.user_attrs["owner"] for trial in trials}) > 1
    rates = [trial.params["lr"] for trial in trials]
    assert found == {str(max(rates))}
    if way == "grid":
        assert sorted(rates) == pytest.approx(np.linspace(0.001, 0.03, 12))


def test_the_trial_of_a_dead_worker_is_given_up_and_that_of_a_living_one_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(lr_study, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lr_study, "GRACE_SECONDS", 3)
    monkeypatch.setattr(lr_study, "POLL_SECONDS", 0.02)
    storage = open_storage(f"sqlite:///{tmp_path / 'shared.db'}")
    dead, slow, us = (trials_of(storage, owner, trials=3) for owner in ("dead", "slow", "us"))
    dead.lr(dead.next())
    theirs = slow.next()
    slow.lr(theirs)
    others_are_over = threading.Event()

    def train_slowly():
        with beating(theirs):
            others_are_over.wait()
            time.sleep(0.5)  # meanwhile we wait
        slow.end(theirs, 0.7)

    thread = threading.Thread(target=train_slowly)
    thread.start()
    numbers, values = [], iter([0.5, 0.6])
    while trial := us.next():
        us.lr(trial)
        numbers.append(trial.number)
        us.end(trial, next(values))
        if len(numbers) == 2:
            others_are_over.set()
    thread.join()
    assert numbers == [2, 3]  # the third place, and then that of the dead one
    assert us.best().number == theirs.number  # we waited for it
    assert [trial.number for trial in us.all()] == [1, 2, 3]


def test_a_worker_taken_for_dead_gives_its_trial_up(fake, capsys):
    real, lost = fake.train, []

    def paused(config, data, run, report):
        if not lost:
            lost.append(report.trial.number)
            report.trial.study.tell(report.trial.number, state=optuna.trial.TrialState.FAIL)
        return real(config, data, run, report)

    lr_trial.train = paused  # monkeypatch in `fake` puts it back
    found = fake("search.algorithm=grid", "search.points=3")
    assert [row["number"] for row in found["trials"]] == [1, 2, 3]
    assert [row["lr"] for row in found["trials"]] == [0.005, 0.017, 0.029]
    assert "took this one for dead" in capsys.readouterr().err


@pytest.mark.long
def test_two_trainings_on_one_study_train_its_trials_once_and_agree(tmp_path):
    words = [
        *SMALL,
        "search.algorithm=grid",
        "search.points=3",
        "search.epochs=1",
        "search.storage=sqlite:///shared.db",
    ]
    command = [sys.executable, "-m", "tinytrain", "fit", *words, "--out"]
    workers = [subprocess.Popen([*command, name], cwd=tmp_path, stderr=subprocess.PIPE, text=True) for name in "ab"]
    said = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    told = [line for text in said for line in text.splitlines() if line.startswith("search: trial")]
    assert sorted(line.split()[2] for line in told) == ["1/3", "2/3", "3/3"]
    a, b = (json.loads((tmp_path / name / "search.json").read_text()) for name in "ab")
    assert a == b
    assert [row["state"] for row in a["trials"]] == ["complete"] * 3
    stored = Run(tmp_path / "a").config().search.storage
    assert stored == f"sqlite:///{tmp_path / 'shared.db'}"


# Real trainings.


def test_a_search_trains_each_trial_and_then_with_the_best_rate(tmp_path):
    """In short what the long tests below compare bit for bit."""
    words = [*SMALL, "model.resolution=16", "data.train_images=64", "search.algorithm=grid", "search.points=2"]
    words += ["search.epochs=2", "search.low=0.01", "search.high=0.1"]
    words += ["optim.schedule=constant", "optim.warmup_epochs=0"]
    run = fit.fit(configs.load(None, words), tmp_path / "run")
    found = json.loads(run.search_path.read_text())
    assert [(row["lr"], row["state"], len(row["top1"])) for row in found["trials"]] == [
        (0.01, "complete", 2),
        (0.1, "complete", 2),
    ]
    last = [row["top1"][-1] for row in found["trials"]]
    assert found["lr"] == found["trials"][last.index(max(last))]["lr"]
    assert [row["lr"] for row in history(run)] == [pytest.approx(found["lr"])]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted training with a search before it."""
    return fit.fit(configs.load(None, [*FULL, *SEARCH]), tmp_path_factory.mktemp("runs") / "whole")


@pytest.mark.long
def test_the_trials_are_those_of_a_plain_training_and_leave_the_training_after_them_alone(whole, tmp_path):
    found = json.loads((whole.folder / "search.json").read_text())
    row = found["trials"][0]
    words = ["optim.schedule=constant", "optim.epochs=3", "optim.weight_decay=5e-4", "optim.decay=all"]
    plain = fit.fit(configs.load(None, [*SMALL, *words, f"optim.lr={row['lr']}"]), tmp_path / "plain")
    assert row["top1"] == [line["val_balanced_top1"] for line in history(plain)]
    assert len(set(row["top1"])) > 1
    given = fit.fit(configs.load(None, [*FULL, f"optim.lr={found['lr']}"]), tmp_path / "given")
    for name, values in weights(given.last_path).items():
        np.testing.assert_array_equal(values, weights(whole.last_path)[name])


@pytest.mark.long
def test_a_killed_search_goes_on_after_its_last_epoch_and_finds_the_same(whole, tmp_path):
    words = ["fit", "--out", "run"]
    # After the second epoch of the second trial.
    kill([*words, *FULL, *SEARCH], tmp_path, lambda lines: len(epochs(lines)) == 5)
    assert not (tmp_path / "run/search.json").exists()
    done = subprocess.run(command(*words, "--resume"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shown = [line.split("  ")[0] for line in done.stderr.splitlines() if line.startswith(("epoch", "search"))]
    continued = shown[: next(i for i, line in enumerate(shown) if line.startswith("search"))]
    assert continued in (["epoch 3/3"], ["epoch 2/3", "epoch 3/3"])  # killed after or before its checkpoint was written
    assert [line.split()[2] for line in shown if line.startswith("search: trial")] == ["2/2"]
    mine, expected = (json.loads((folder / "search.json").read_text()) for folder in (tmp_path / "run", whole.folder))
    assert (mine["lr"], mine["trials"]) == (expected["lr"], expected["trials"])
    assert_same_weights(Run(tmp_path / "run"), whole)


# The range test.


def test_the_rates_rise_by_equal_factors():
    rates = range_test.rates(1e-4, 1e-1, 31)
    np.testing.assert_allclose(rates[[0, 10, 20, 30]], [1e-4, 1e-3, 1e-2, 1e-1])


def test_the_losses_are_smoothed_until_they_diverge():
    assert range_test.smoothed([2.0, 1.0, 4.0]) == pytest.approx([2, 1.99, 2.0101])
    assert len(range_test.smoothed([1.0, 1.0, 402.0, 1.0])) == 2  # 0.01 · 402 + 0.99 = 5.01 is above 5 times the best
    assert len(range_test.smoothed([1.0, 1.0, 400.0, 1.0])) == 4  # 4.99 is not
    assert len(range_test.smoothed([1.0, 1.0, float("inf"), 1.0])) == 2


def test_the_rate_is_where_the_loss_falls_fastest_but_at_the_ends():
    losses = np.full(60, 3.0)
    losses[3:] -= 1.0  # among the first ten
    losses[57:] -= 1.0  # among the last five
    losses[30:] -= 0.1
    losses[39] -= 0.15  # the centred difference over 38 … 40 sees the second half of the fall
    losses[40:] -= 0.3
    lrs = range_test.rates(0.001, 1, 60)
    assert range_test.steepest(lrs, losses.tolist()) == lrs[39]


@pytest.mark.parametrize(("steps", "enough"), [(16, False), (17, True)])
def test_too_few_steps_are_refused(steps, enough):
    lrs, losses = range_test.rates(0.001, 1, steps), [1.0 - 0.01 * i for i in range(steps)]
    if enough:
        assert range_test.steepest(lrs, losses) == lrs[10]
        return
    with pytest.raises(UserError, match=r"got 16 steps before the loss diverged.*expected at least 17.*optim.batch"):
        range_test.steepest(lrs, losses)


def test_a_range_test_is_one_epoch_of_rising_rates(tmp_path):
    words = [*SMALL, "optim.batch=32", "optim.lr=0.01", "search.algorithm=range", "search.low=0.0001", "search.high=1"]
    run = fit.fit(configs.load(None, words), tmp_path / "run")
    found = json.loads((run.folder / "search.json").read_text())
    assert len(found["curve"]["lr"]) <= 1295 // 32
    assert found["curve"]["lr"][0] == pytest.approx(0.0001)
    assert found["lr"] in found["curve"]["lr"][10:-5]
    first = history(Run(run.folder / "search/first-epoch"))
    assert len(first) == 1
    assert found["epochs"] == 2
    assert first[0]["seconds"] < found["seconds"]  # of both epochs
    assert found["curve"]["loss"][0] < np.log(10)  # it goes on where the epoch before it ended
    assert found["curve"]["loss"][20] < found["curve"]["loss"][0]


# Mistakes.


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["search.low=0.1", "search.high=0.01"], "search.low = 0.1 and search.high = 0.01: expected low below high"),
        (["search.step=0.1"], "search.step = 0.1 is larger than the range from search.low = 0.005 to"),
        (["optim.name=adam"], "use optim.name=sgd or search.algorithm=none"),
        (["search.storage=nonsense"], "search.storage = 'nonsense'"),
        (["search.storage=sqlite:////no/such/folder/x.db"], "unable to open database file"),
        (["search.storage=sqlite:///:memory:"], "it forgets the trials when this process ends"),
        (["search.storage=mysql+mysqldb://me:secret@localhost/x"], "mysqldb://me:***@localhost/x'"),
        (["search.storage=postgresql+none://localhost/x"], "search.storage = 'postgresql+none"),
        (["search.storage=sqlite:///text.txt"], "file is not a database"),
        (["search.algorithm=random"], "expected 'none' or 'range' or 'grid' or 'tpe'"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_run(command_line, tmp_path, words, sentence):
    (tmp_path / "text.txt").write_text("no database\n" * 100)
    status, out, error = command_line("fit", "search.algorithm=tpe", *SMALL, "--out", "run", *words)
    assert (status, out) == (2, "")
    assert sentence in error
    assert "secret" not in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_the_last_candidate_is_not_above_the_range():
    search = schema.Search(algorithm="tpe", low=0.005, high=0.029, step=0.001)
    assert lr_study.highest(search) == 0.029
    assert lr_study.highest(dataclasses.replace(search, high=0.0295)) == 0.029
    assert lr_study.highest(dataclasses.replace(search, low=0.001, step=0.002, high=0.01)) == 0.009
