"""The study that processes share: what it counts, and which other search it refuses. Nothing is trained."""

import pytest

from tinytrain.errors import UserError
from tinytrain.searching import study as studies
from tinytrain.searching.study import Study
from tinytrain.train.lr_search.study import open_storage

FACTS = {"data": "digits", "images": "1234", "board": "nucleo_f401re", "latency_ms": None, "settings": ""}


@pytest.fixture
def opened(tmp_path):
    """Returns a function that opens the study of tmp_path, as a process does."""

    def of(folder="search", clock=lambda: 0.0, **facts):
        (tmp_path / folder).mkdir(exist_ok=True)
        storage = open_storage(f"sqlite:///{tmp_path / 'search.db'}")
        return Study(storage, tmp_path / folder, FACTS | facts, clock)

    return of


def test_the_same_search_goes_on(opened):
    first = opened()
    first.put("plan", {"epochs": 3})
    assert opened().get("plan") == {"epochs": 3}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"images": "5678", "data": "folder:cells"},
            r"another data source or other images in it \(digits, not folder:",
        ),
        ({"board": "stm32f746g_disco"}, r"another board \(nucleo_f401re, not stm32f746g_disco\)"),
        ({"latency_ms": 5.0}, r"another --latency-ms \(none, not 5.0\)"),
        ({"settings": "seed=1"}, r"another list of KEY=VALUE words \(none, not seed=1\)"),
        ({"folder": "elsewhere"}, "another folder:"),
    ],
)
def test_another_search_in_the_same_database_is_refused_in_one_sentence(opened, facts, words):
    opened()
    with pytest.raises(UserError, match=f"^this database belongs to another search, with {words}") as stop:
        opened(**facts)
    assert "\n" not in str(stop.value)


def test_no_more_trials_are_begun_than_asked_for(opened):
    study = opened()
    assert [study.ask(2) for _ in range(3)] == [0, 1, None]


def test_of_two_processes_that_take_the_last_place_one_has_it(opened, monkeypatch):
    one, other = opened(), opened()
    ask = other.study.ask
    # The first of the two asks between the other's look at the trials and its trial.
    monkeypatch.setattr(other.study, "ask", lambda: (one.study.ask(), ask())[1])
    assert other.ask(1) is None
    assert [trial.number for trial in one.trials()] == [0]


def test_a_trial_that_is_over_is_not_trained_again(opened):
    study = opened()
    number = study.ask(None)
    trial = study.trial(number, seed=0)
    trial.report(0.5, 1)
    study.end(trial, None, complete=False)
    assert study.trial(number, seed=0) is None


def test_each_trial_has_draws_of_its_own_that_a_process_which_takes_it_over_repeats(opened):
    study = opened()
    drawn = {}
    for number in (study.ask(None), study.ask(None)):
        drawn[number] = study.trial(number, seed=0).suggest_float("lr", 0.0, 1.0)
    assert drawn[0] != drawn[1]
    assert opened().trial(0, seed=0).suggest_float("lr", 0.0, 1.0) == drawn[0]


@pytest.mark.parametrize(
    ("spans", "length"), [([], 0), ([[0, 5]], 5), ([[3, 9], [0, 5]], 9), ([[0, 1], [10, 12]], 3), ([[0, 9], [2, 3]], 9)]
)
def test_time_counts_once_however_many_processes_work(spans, length):
    assert studies.covered(spans) == length


def test_the_time_between_two_sessions_does_not_count(opened):
    now = [0.0]
    first = opened(clock=lambda: now[0])
    now[0] = 50.0
    first.beat()
    now[0] = 1000.0
    second = opened(clock=lambda: now[0])
    now[0] = 1010.0
    assert second.used_seconds() == 60.0


def test_the_pace_is_that_of_the_trials_in_the_middle(opened):
    study = opened()
    assert study.pace("epochs") == 1.0
    for value in (1.0, 2.0, 9.0):
        study.trial(study.ask(None), seed=0).set_user_attr("pace", {"epochs": value, "start": 3 * value})
    assert (study.pace("epochs"), study.pace("start")) == (2.0, 6.0)
