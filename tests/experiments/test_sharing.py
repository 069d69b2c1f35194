"""Planned runs that processes share: who takes which, who waits for whom. Nothing is trained, and no test waits."""

import json
import threading

import pytest

from tinytrain import files
from tinytrain.config.schema import Config
from tinytrain.errors import UserError
from tinytrain.experiments import sharing
from tinytrain.experiments.planned import Planned
from tinytrain.run import Run

OTHER = {"process": 17, "host": "elsewhere", "command": "tinytrain compare"}


@pytest.fixture
def planned(tmp_path):
    """Returns a function that plans a run, with these keys of its config."""

    def make(name, weights="", method="none", teacher=""):
        config = Config(method=method)
        config.model.weights, config.distill.teacher = weights, teacher
        return Planned(name, "digits", 0, config, tmp_path / name, tmp_path / "c.toml")

    return make


def finish(run):
    Run(run.folder).model_path.touch()
    files.write_json(Run(run.folder).metrics_path, {})


def hold(run, beat=1, number=1):
    """Gives the lease of a run to a process of another machine, or renews it."""
    run.folder.mkdir(exist_ok=True)
    (run.folder / f".lock.{number}").write_text(json.dumps(OTHER) + f"\n{beat}\n")


def pauses(*steps):
    """Returns a pause that does a step of another process each time."""
    left = list(steps)
    return lambda _: left.pop(0)()


def test_each_run_is_trained_once_and_both_see_all_of_them(planned):
    plan, trained, together = [planned(name) for name in "abcd"], [], threading.Barrier(2)
    seen = {}

    def train(run):
        if len(trained) < 2:
            together.wait()  # both have one
        trained.append(run.name)
        finish(run)

    def work(number):
        sharing.SharedRuns(plan, train).train_all(lambda done: seen.update({number: [run.name for run in done]}))

    threads = [threading.Thread(target=work, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(trained) == ["a", "b", "c", "d"]
    assert seen == {0: ["a", "b", "c", "d"], 1: ["a", "b", "c", "d"]}


def test_it_says_once_for_what_and_on_whom_it_waits(planned, capsys):
    first, second = planned("first"), planned("second")
    hold(first)
    pause = pauses(lambda: hold(first, 2), lambda: hold(first, 3), lambda: finish(first))
    tables = []
    sharing.SharedRuns([first, second], finish, pause).train_all(lambda done: tables.append([run.name for run in done]))
    assert tables == [["second"], ["first", "second"]]
    line = f"waiting for '{first.folder}', which process 17 on elsewhere trains"
    assert capsys.readouterr().err.splitlines() == [line]


def test_what_begins_from_another_run_waits_for_it(planned):
    source = planned("source")
    after, taught = (
        planned("after", f"{source.folder}/model.keras"),
        planned("taught", "", "distill", f"{source.folder}"),
    )
    other = planned("other", teacher=str(source.folder))  # which it does not use
    hold(source)
    trained = []

    def train(run):
        trained.append(run.name)
        finish(run)

    pause = pauses(lambda: trained.append("waited"), lambda: finish(source))
    sharing.SharedRuns([source, after, taught, other], train, pause).train_all(lambda _: None)
    assert trained == ["other", "waited", "after", "taught"]


def test_runs_that_name_each_other_are_not_waited_for(planned, tmp_path):
    plan = [planned("a", str(tmp_path / "b")), planned("b", str(tmp_path / "a"))]
    sharing.SharedRuns(plan, finish).train_all(lambda _: None)
    assert all(Run(run.folder).finished for run in plan)


def test_who_was_taken_over_goes_on_with_the_next_and_waits(planned, capsys):
    plan = [planned("a"), planned("b")]

    def train(run):
        if run.name == "a":
            hold(run, number=2)
        finish(run)

    def end():
        (plan[0].folder / ".lock.2").unlink()
        finish(plan[0])

    shared = sharing.SharedRuns(plan, train, pauses(end))
    shared.train_all(lambda _: None)
    assert shared.errors == {}
    error = capsys.readouterr().err
    assert f"the run '{plan[0].folder}' was taken over by process 17 on elsewhere" in error
    assert [run.name for run in shared.finished] == ["a", "b"]


def test_a_run_that_failed_here_and_not_elsewhere_is_no_error(planned):
    plan = [planned(name) for name in "abc"]

    def train(run):
        if run.name == "c":
            finish(plan[0])  # by another process, meanwhile
            finish(run)
        else:
            raise UserError("not enough memory")

    shared = sharing.SharedRuns(plan, train)
    shared.train_all(lambda _: None)
    assert list(shared.errors) == [plan[1].folder]
