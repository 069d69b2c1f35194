"""`--budget time`: the epochs that take the same processor time, kept, and equal for every process."""

import json

import pytest

from tinytrain.config import load as configs
from tinytrain.errors import UserError
from tinytrain.experiments import budget
from tinytrain.experiments.planned import Planned
from tinytrain.train.rehearsal import Rehearsal, StepTime

SMALL = ["data.train_images=100", "optim.batch=25", "model.width=0.25"]  # 4 steps an epoch
CPU_SECONDS = {"resnet8": 1.0, "mobilenet_v1": 0.3, "mobilenet_v2": 0.5}


@pytest.fixture
def timed(monkeypatch):
    """A step takes as long as CPU_SECONDS says; returns the names of the networks that were timed."""
    names = []

    def step_time(rehearsal):
        names.append(rehearsal.config.model.name)
        return StepTime(99.0, CPU_SECONDS[rehearsal.config.model.name], 5)

    monkeypatch.setattr(Rehearsal, "step_time", step_time)
    return names


def planned(folder, name, epochs=6, seed=0, words=()):
    overrides = [*SMALL, f"model.name={name}", f"optim.epochs={epochs}", f"seed={seed}", *words]
    config = configs.load(None, overrides)
    return Planned(name, "digits", seed, config, folder / name / f"seed{seed}", folder, configs.typed(None, overrides))


def epochs(plan):
    return {(one.name, one.seed): one.config.optim.epochs for one in plan}


def test_cheaper_arms_get_the_time_of_the_dearest(timed, tmp_path):
    plan = [planned(tmp_path, name, seed=seed) for seed in (0, 1) for name in ("resnet8", "mobilenet_v1")]
    longer, sentence = budget.applied("time", plan, tmp_path)
    # resnet8: 6 · 4 · 1 s = 24 s; mobilenet_v1: 24 s / (4 · 0.3 s) = 20
    assert epochs(longer) == {(name, seed): n for name, n in (("resnet8", 6), ("mobilenet_v1", 20)) for seed in (0, 1)}
    assert timed == ["resnet8", "mobilenet_v1"]  # once for all seeds
    assert "about 24 s on digits" in sentence
    stored = json.loads((tmp_path / "budget.json").read_text())
    assert stored["cpu_seconds"] == {"digits": 24.0}
    rows = [(row["name"], row["own_epochs"], row["steps"], row["epochs"]) for row in stored["arms"]]
    assert rows == [("resnet8", 6, 4, 6), ("mobilenet_v1", 6, 4, 20)]
    assert plan[1].config.optim.epochs == 6  # the plan that was given is as it was


def test_the_same_command_again_measures_nothing_and_trains_the_same(timed, tmp_path, monkeypatch):
    plan = [planned(tmp_path, name) for name in ("resnet8", "mobilenet_v1")]
    first, _ = budget.applied("time", plan, tmp_path)
    before = (tmp_path / "budget.json").read_bytes()
    monkeypatch.setitem(CPU_SECONDS, "mobilenet_v1", 0.1)  # it would be quicker by now
    again, _ = budget.applied("time", plan, tmp_path)
    assert [one.config for one in again] == [one.config for one in first]
    assert len(timed) == 2
    assert (tmp_path / "budget.json").read_bytes() == before


def test_an_arm_that_is_added_later_gets_the_same_time(timed, tmp_path):
    plan = [planned(tmp_path, name) for name in ("mobilenet_v1", "mobilenet_v2")]
    assert epochs(budget.applied("time", plan, tmp_path)[0]) == {("mobilenet_v1", 0): 10, ("mobilenet_v2", 0): 6}
    plan.append(planned(tmp_path, "resnet8"))
    longer, _ = budget.applied("time", plan, tmp_path)  # 6 · 4 · 0.5 s = 12 s, three epochs of 4 s
    assert epochs(longer) == {("mobilenet_v1", 0): 10, ("mobilenet_v2", 0): 6, ("resnet8", 0): 3}


def test_what_is_counted_in_epochs_grows_with_them(timed, tmp_path):
    words = ["optim.schedule=steps", "optim.drops=[3,4.5]", "optim.warmup_epochs=1.5", "search.epochs=2"]
    plan = [planned(tmp_path, "resnet8"), planned(tmp_path, "mobilenet_v1", words=words)]
    _, longer = budget.applied("time", plan, tmp_path)[0]
    assert longer.config.optim.drops == pytest.approx([10, 15])  # at 1/2 and 3/4 of 20 epochs
    assert longer.config.optim.warmup_epochs == pytest.approx(5)  # a quarter
    assert longer.config.search.epochs == 2
    assert {"optim.epochs", "optim.drops"} <= set(longer.typed)


def test_a_look_writes_nothing(timed, tmp_path):
    plan = [planned(tmp_path / "out", name) for name in ("resnet8", "mobilenet_v1")]
    longer, _ = budget.applied("time", plan, tmp_path / "out", write=False)
    assert epochs(longer)["mobilenet_v1", 0] == 20
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_equal_is_one_sentence(timed, tmp_path):
    budget.applied("time", [planned(tmp_path, "resnet8")], tmp_path)
    with pytest.raises(
        UserError, match=r"budget.json' was measured with 6 epochs of resnet8 on digits, received 5: ask"
    ):
        budget.applied("time", [planned(tmp_path, "resnet8", epochs=5)], tmp_path)
    with pytest.raises(UserError, match="unknown budget 'tim'; did you mean 'time'"):
        budget.applied("tim", [], tmp_path)
    teacher = planned(tmp_path, "mobilenet_v1")
    words = ["method=distill", f"distill.teacher={teacher.folder}"]
    with pytest.raises(UserError, match=r"mobilenet_v2 starts from or learns from .* is not trained yet"):
        budget.applied("time", [teacher, planned(tmp_path, "mobilenet_v2", words=words)], tmp_path)


def test_equal_epochs_leave_the_plan_as_it_is(tmp_path):
    plan = [planned(tmp_path, "resnet8")]
    assert budget.applied("epochs", plan, tmp_path) == (plan, "")
    assert list(tmp_path.iterdir()) == []
