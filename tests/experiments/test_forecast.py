"""What `--dry-run` says of planned runs: their images and steps, how far they are, and how long the rest takes."""

import dataclasses
import json

import pytest

from tinytrain.config import load as configs
from tinytrain.experiments import forecast
from tinytrain.experiments.forecast import Forecast
from tinytrain.experiments.planned import Planned
from tinytrain.run import Run
from tinytrain.train.rehearsal import Rehearsal, StepTime

SMALL = ["data.train_images=100", "optim.batch=30", "optim.epochs=4", "model.name=resnet8", "model.width=0.25"]


@pytest.fixture
def timed(monkeypatch):
    """Every step takes 2 s; returns the names of the networks that were timed."""
    names = []

    def step_time(rehearsal):
        names.append(rehearsal.config.model.name)
        return StepTime(2.0, 3.0, 7)

    monkeypatch.setattr(Rehearsal, "step_time", step_time)
    return names


def planned(folder, name="a", seed=0, words=()):
    overrides = [*SMALL, *words, f"seed={seed}"]
    config = configs.load(None, overrides)
    return Planned(name, "digits", seed, config, folder / name / f"seed{seed}", folder, configs.typed(None, overrides))


def begun(plan, seconds):
    """Makes the folder of a planned run with so many epochs behind it."""
    run = Run(plan.folder)
    run.folder.mkdir(parents=True)
    run.config_path.write_text(configs.dump(plan.config))
    lines = [f"{number},{each}" for number, each in enumerate(seconds, start=1)]
    run.history_path.write_text("\n".join(["epoch,seconds", *lines]) + "\n")
    return run


def test_new_runs_are_counted_and_each_network_is_timed_once(timed, tmp_path):
    plan = [planned(tmp_path / "out", name, seed) for seed in (0, 1) for name in ("a", "b")]
    result, text = forecast.of_plan(plan, tmp_path / "out")
    assert timed == ["resnet8"] * 2
    for row in result["runs"]:
        # 4 epochs of ⌊100 / 30⌋ steps of 2 s
        assert (row["state"], row["batch"], row["steps"], row["seconds"]) == ("new", 30, 3, 24.0)
        assert row["images"] == {"train": 100, "val": 143, "test": 359}
        assert row["basis"] == "7 steps timed on this machine"
    assert result["seconds"] == 96.0
    assert "4 runs of 4 to train: about 2 min by one process, without validation; nothing was written" in text
    assert not (tmp_path / "out").exists()
    json.dumps(result, allow_nan=False)


def test_a_run_that_was_begun_goes_on_at_its_own_speed_and_one_of_another_seed_likewise(timed, tmp_path):
    plan = [planned(tmp_path, seed=seed) for seed in (0, 1)]
    begun(plan[0], [9.0, 5.0, 6.0])
    first, second = Forecast(plan).rows
    assert timed == []
    assert (first["state"], first["done_epochs"], first["seconds"]) == ("goes on", 3, 6.0)  # the median, once more
    assert (second["state"], second["seconds"]) == ("new", 24.0)
    assert second["basis"] == first["basis"] == f"as 3 epochs of '{plan[0].folder}'"


def test_a_finished_run_takes_no_time_and_its_data_are_not_read(timed, tmp_path):
    plan = planned(tmp_path, words=["data.spec=folder:gone"])
    run = begun(plan, [5.0, 5.0])
    run.split_path.write_text(json.dumps({"train": list(map(str, range(70))), "val": ["x"], "test": []}))
    run.metrics_path.write_text("{}")
    run.model_path.touch()
    known = Forecast([plan])
    (row,) = known.rows
    assert (row["state"], row["seconds"], row["epochs"], row["steps"]) == ("finished", 0.0, 2, 2)  # ⌊70 / 30⌋
    assert forecast.total(known) == "nothing is left to train"


def test_a_run_that_another_process_trains_is_said_to_be_so(timed, tmp_path):
    plan = planned(tmp_path)
    plan.folder.mkdir(parents=True)
    with Run(plan.folder).writing():
        assert Forecast([plan]).rows[0]["state"] == "being trained"
    assert Forecast([plan]).rows[0]["state"] == "new"


def test_the_time_of_a_student_is_unknown_until_its_teacher_is_trained(timed, tmp_path):
    teacher = planned(tmp_path, "teacher")
    student = planned(tmp_path, "student", words=["method=distill", f"distill.teacher={teacher.folder}"])
    known = Forecast([teacher, student])
    assert [row["seconds"] for row in known.rows] == [24.0, None]
    assert known.rows[1]["basis"].startswith(f"unknown until '{teacher.folder}' is trained")
    assert "2 runs of 2 to train: at least 24 s by one process" in forecast.table(known)


def test_only_what_the_training_reads_is_shown_of_its_config(timed, tmp_path):
    text = forecast.of_one(Forecast([planned(tmp_path, words=["sam.rho=0.2", "qat.epochs=9", "augment.flip=true"])]))
    lines = text.splitlines()
    assert "  model.resolution=32" in lines  # "auto" no longer
    assert "  augment.flip=true" in lines
    assert not any(line.startswith(("  sam.", "  qat.", "  search.", "  netaug.")) for line in lines)
    assert "100 training, 143 val and 359 test images of digits" in lines
    assert "4 epochs of 3 steps of 30 images" in lines


def test_what_was_typed_is_shown_apart_from_what_was_chosen(timed, tmp_path):
    run = dataclasses.replace(planned(tmp_path, words=["augment.flip=true"]), typed={"augment.flip"})
    typed, chosen = forecast.of_one(Forecast([run])).partition("\nsettings that were chosen for you:\n")[::2]
    assert typed.endswith("\nsettings that you typed:\n  augment.flip=true\n")
    assert "  model.resolution=32" in chosen.splitlines()
    assert "augment.flip" not in chosen
