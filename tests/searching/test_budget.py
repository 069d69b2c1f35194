"""How long trials are planned to be, with speeds made up, and what Optuna's pruner then does with random trials."""

import numpy as np
import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner

from tinytrain.errors import UserError
from tinytrain.searching import budget
from tinytrain.searching.budget import Plan, Speed

EASY = Speed(slowness=2.0, start=10.0, final=20.0)
STEPS = 50  # of an epoch: 2,000 in 40, more than the usual 30


@pytest.mark.parametrize(("epochs", "expected"), [(30, [4, 12]), (9, [1, 3]), (10, [2, 6]), (3, [1]), (1, [])])
def test_rungs_are_a_ninth_and_a_third(epochs, expected):
    assert budget.rungs(epochs) == expected


def test_a_few_trials_are_counted_by_hand():
    # All three train 1 epoch. The second goes on with a chance of 1/2, the third with 1/3: 1 + 1/2 + 1/3 to epoch 3.
    # Of about two at that rung 1 + 1/2 train the other six.
    assert budget.expected_epochs(3, 9) == pytest.approx(3 * 1 + (1 + 1 / 2 + 1 / 3) * 2 + (1 + 1 / 2) * 6)


def test_the_expected_epochs_are_those_of_optunas_pruner():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    generator, epochs, trials, totals = np.random.default_rng(0), 9, 12, []
    for _ in range(60):
        pruner = SuccessiveHalvingPruner(budget.first_rung(epochs), budget.REDUCTION)
        study, total = optuna.create_study(direction="maximize", pruner=pruner), 0
        for _ in range(trials):
            trial, value, ended = study.ask(), generator.uniform(), False
            for epoch in range(1, epochs + 1):
                trial.report(value, epoch)
                total += 1
                if epoch < epochs and trial.should_prune():
                    ended = True
                    break
            study.tell(trial, None if ended else value, state=optuna.trial.TrialState.PRUNED if ended else None)
        totals.append(total)
    error = np.std(totals) / np.sqrt(len(totals))
    # Values are as good at the second rung as at the first here, so that more of the late ones go on: 10 % more.
    assert np.mean(totals) == pytest.approx(budget.expected_epochs(trials, epochs), abs=4 * error + 4)


def test_an_epoch_takes_what_is_estimated_on_a_machine_of_this_speed():
    assert EASY.epoch(step_seconds=1e-3, images=100) == pytest.approx(100 * 2 * 1e-3)


def test_enough_time_gives_the_usual_epochs_and_three_finalists():
    plan = budget.plan(100_000, 30, False, [1.0, 2.0, 3.0], EASY, qat=2, steps=500)
    # 1.15 · (20 s + 2.5 · 2 epochs of the longest, 3 s) for each finalist
    assert plan == Plan(30, pytest.approx(3 * 1.15 * (20 + 2.5 * 2 * 3)), 3)


def test_less_time_gives_fewer_epochs_for_enough_trials():
    plan = budget.plan(240, 30, False, [1.4, 1.5, 1.6], EASY, qat=0, steps=STEPS)
    needed = [1.15 * (8 * 10 + budget.expected_epochs(8, epochs) * 1.5) for epochs in (plan.epochs, plan.epochs + 1)]
    left = 240 - plan.reserve_seconds
    assert 10 <= plan.epochs < 30
    assert needed[0] <= left < needed[1]


def test_large_networks_are_left_out_before_trials_get_too_short():
    # Eight trials of ten epochs have 36 epochs in all, of 20 s in the mean of all three: more than twice the time.
    plan = budget.plan(300, 30, False, [1.0, 1.5, 57.5], EASY, qat=0, steps=STEPS)
    short = budget.plan(300, 30, False, [1.0, 1.5], EASY, qat=0, steps=STEPS)
    assert plan == short
    assert plan.epochs >= 10


def test_three_trials_have_to_do_before_large_networks_are_left_out():
    # Three trials of 10 epochs: 1.15 · (3 · 10 s + 19.3 epochs of 20 s) + 1.15 · 20 s = 501 s; eight take 945 s.
    plan = budget.plan(520, 30, False, [20.0, 20.0, 20.0], EASY, qat=0, steps=STEPS)
    assert (plan.epochs, plan.finalists, plan.share) == (10, 1, 0.5)


def test_a_trial_of_2000_steps_may_have_few_epochs():
    # 5 epochs of 400 steps, in the time that has no room for three trials of 10
    plan = budget.plan(300, 30, False, [20.0, 20.0, 20.0], EASY, qat=0, steps=400)
    assert (plan.epochs, plan.share) == (5, 0.5)
    assert budget.plan(300, 30, False, [20.0, 20.0, 20.0], EASY, qat=0, steps=399).share == budget.LARGEST_SHARE


def test_half_of_the_networks_are_not_left_out():
    # Only the first could be trained for a third of the usual 30 epochs in a quarter of the time.
    plan = budget.plan(300, 30, False, [1.0, 20.0, 57.5], EASY, qat=0, steps=STEPS)
    three = 1.15 * (3 * 10 + budget.expected_epochs(3, plan.epochs) * 1.0)
    assert plan.finalists == 1
    assert plan.epochs == 10  # no more than a third, though there is time
    assert three + plan.reserve_seconds < 300


def test_typed_epochs_stay():
    assert budget.plan(300, 30, True, [1.0], EASY, qat=0, steps=STEPS).epochs == 30


def test_no_time_for_one_trial_is_one_sentence_that_says_how_long_one_takes():
    # 1.15 · (10 s + 3 epochs of 20 s) and 1.15 · 20 s for the int8 model: 103.5 s
    with pytest.raises(
        UserError,
        match=r"^--hours 0.01 is shorter than one trial: 3 epochs .* take about 2 min; give at least --hours 0.029$",
    ) as stop:
        budget.plan(36, 30, False, [20.0, 50.0], EASY, qat=0, steps=STEPS)
    assert "\n" not in str(stop.value)


def test_there_is_time_for_one_trial_where_the_sentence_says_so():
    assert budget.plan(110, 30, False, [20.0, 50.0], EASY, qat=0, steps=STEPS).epochs == 3


def test_no_network_is_so_large_that_one_trial_takes_more_than_its_share():
    for plan in (Plan(10, 0.0, 3), Plan(10, 0.0, 1, budget.LARGEST_OF_FEW)):
        most = budget.most_step_seconds(1000, plan, EASY, images=1000)
        assert plan.epochs * EASY.epoch(most, 1000) + EASY.start == pytest.approx(plan.share * 1000)


@pytest.mark.parametrize(("left", "begins"), [(22, False), (24, True)])
def test_a_trial_begins_if_it_comes_to_its_first_rung(left, begins):
    assert budget.begins(left, start=10.0, first_rung_seconds=10.0) == begins  # 1.15 · 20 s
