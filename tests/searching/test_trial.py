"""When a trial ends: by Optuna's pruner, or because no time is left. Nothing is trained."""

import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner

from tinytrain.config import load as configs
from tinytrain.data.load import load_dataset
from tinytrain.searching import trial as trials
from tinytrain.searching.space import Network
from tinytrain.searching.trial import Rungs


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(direction="maximize", pruner=SuccessiveHalvingPruner(1, 3))


def history(*values):
    return [{"epoch": number, "val_top1": value, "seconds": 10.0} for number, value in enumerate(values, start=1)]


def rungs(study, left=lambda: None, keeps_best=True):
    """Returns what `fit` asks about a new trial of 9 epochs."""
    clock = iter(range(0, 1000, 10)).__next__
    return Rungs(study.ask(), "val_top1", keeps_best, 9, left, expected=10.0, clock=clock)


def ends_after(asked, values):
    """Returns after how many of the epochs with these val figures a trial ends, None if never."""
    return next((n for n in range(1, len(values) + 1) if asked(history(*values[:n]))), None)


def test_the_first_trial_comes_to_its_end(study):
    assert ends_after(rungs(study), [0.1] * 9) is None


def test_a_worse_trial_ends_at_the_first_rung(study):
    ends_after(rungs(study), [0.5] * 9)
    worse = rungs(study)
    assert ends_after(worse, [0.4] * 9) == 1
    assert (worse.reason, worse.score, worse.done) == (trials.BEATEN, 0.4, 1)


def test_a_trial_that_is_overtaken_ends_at_the_second_rung(study):
    ends_after(rungs(study), [0.5, 0.6, 0.7, *[0.8] * 6])
    assert ends_after(rungs(study), [0.55, 0.6, 0.65, *[0.9] * 6]) == 3


def test_a_trial_is_as_good_as_its_best_epoch(study):
    ends_after(rungs(study), [0.5, 0.5, 0.6, *[0.6] * 6])
    assert ends_after(rungs(study), [0.5, 0.7, 0.1, *[0.1] * 6]) is None


def test_a_run_that_keeps_its_last_epoch_is_as_good_as_that(study):
    ends_after(rungs(study, keeps_best=False), [0.5, 0.5, 0.6, *[0.6] * 6])
    assert ends_after(rungs(study, keeps_best=False), [0.5, 0.7, 0.1, *[0.1] * 6]) == 3


def test_a_trial_that_has_ended_stays_ended_when_its_process_was_killed_before_it_was_over(study):
    ends_after(rungs(study), [0.5] * 9)
    assert rungs(study)(history(0.4))
    again = Rungs(optuna.trial.Trial(study, study.trials[1]._trial_id), "val_top1", True, 9, lambda: None)
    assert again(history(0.4))
    assert again.reason == trials.BEATEN


def test_each_epoch_is_reported_once_also_by_the_process_that_takes_a_trial_over(study):
    first = rungs(study)
    first(history(0.2))
    frozen = study.trials[0]
    again = Rungs(optuna.trial.Trial(study, frozen._trial_id), "val_top1", True, 9, lambda: None)
    assert not again(history(0.2, 0.1, 0.4))
    assert study.trials[0].intermediate_values == {1: 0.2, 2: 0.2, 3: 0.4}


@pytest.mark.parametrize(
    ("left", "ended"),
    [
        (1.15 * 8 * 10 + 1, None),  # at the first rung: all of the other eight epochs
        (1.15 * 8 * 10 - 1, 1),
    ],
)
def test_a_trial_goes_on_from_a_rung_only_if_it_comes_to_its_end(study, left, ended):
    now = [left]

    def remaining():
        now[0] -= 10  # seconds of an epoch
        return now[0] + 10

    assert ends_after(rungs(study, remaining), [0.5] * 9) == ended


def test_between_rungs_a_trial_ends_where_no_epoch_has_time(study):
    assert ends_after(rungs(study, left=iter([100.0, 11.0]).__next__), [0.5] * 9) == 2


@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v1"])  # one that begins with Adam, one with SGD
def test_a_trial_with_the_usual_training_is_what_fit_makes_of_its_network(name):
    config = configs.load(None, ["data.spec=digits"])
    dataset, network = load_dataset(config), Network(name, 0.25, 32, "cifar")
    asked = ["data.spec=digits", f"model.name={name}", "model.width=0.25", "optim.epochs=7", "model.stem=cifar"]
    asked.append("model.resolution=32")
    by_hand = trials.resolved(configs.load(None, asked), configs.typed(None, asked), dataset)
    words = trials.words(["data.spec=digits"], network, {"optim.lr": 1.0, "optim.weight_decay": 1.0}, 7, dataset)
    assert trials.resolved(configs.load(None, words), configs.typed(None, words), dataset) == by_hand
    doubled = trials.words(["data.spec=digits"], network, {"optim.lr": 2.0}, 7, dataset)
    assert configs.load(None, doubled).optim.lr == 2 * by_hand.optim.lr
    assert configs.load(None, doubled).optim.name in (by_hand.optim.name, "auto")
