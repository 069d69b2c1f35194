"""`tinytrain fit --teacher` from end to end on the digits: killed between two runs and gone on with, and refused."""

import csv
import json
import subprocess

import pytest
from box_trees import write_voc
from kills import command, kill
from readmes import unexplained

from tinytrain.run import Run

SMALL = ("model.name=resnet8", "model.width=0.25", "model.stem=imagenet", "data.train_images=100", "optim.batch=20")
SMALL += ("data.val_images=60", "data.test_images=60", "optim.epochs=1")
ARMS = ["plain", "teacher", "distilled", "netaug_distilled", "longer"]


def contents(run):
    """Returns when each file of a run was written."""
    return {path.name: path.stat().st_mtime_ns for path in run.iterdir() if path.is_file()}


def took_a_second(history):
    """Sets the time of the only epoch in a history: on a busy machine it may take longer than all that is compared."""
    heading, row = csv.reader(history.read_text().splitlines())
    row[heading.index("seconds")] = "1.0"
    history.write_text(f"{','.join(heading)}\n{','.join(row)}\n")


@pytest.fixture(scope="module")
def taught(made_once):
    """A lesson that was killed when its teacher began, and gone on with: (its folder, result, what was said)."""
    words = ["fit", "--data=digits", "--teacher=auto", "--out=out", *SMALL]

    def make(folder):
        folder.mkdir()
        kill(words, folder, lambda lines: lines[-1] == "out/teacher:\n")
        took_a_second(folder / "out/plain/history.csv")
        before = contents(folder / "out/plain")
        again = subprocess.run(command(*words, "--json"), cwd=folder, capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        said = [before == contents(folder / "out/plain"), again.stderr, again.stdout.splitlines()]
        (folder / "said.json").write_text(json.dumps(said))

    folder = made_once("taught", make)
    return folder / "out", *json.loads((folder / "said.json").read_text())


@pytest.mark.long
def test_a_finished_run_is_kept(taught):
    folder, is_as_it_was, said, _ = taught
    assert is_as_it_was
    assert [line for line in said.splitlines() if line.endswith(":")] == [f"out/{name}:" for name in ARMS[1:]]
    assert all(Run(folder / name).finished for name in ARMS)


def test_the_table_is_what_the_runs_say(taught):
    folder, _, _, printed = taught
    result = json.loads(printed[-1])
    assert [row["arm"] for row in result["arms"]] == ARMS
    text = (folder / "teacher.md").read_text()
    for row in result["arms"]:
        metrics = json.loads((folder / row["arm"] / "metrics.json").read_text())
        assert (row["val_top1"], row["test_top1"]) == (metrics["val"]["top1"], metrics["test"]["top1"])
        assert f"| {100 * row['val_top1']:.1f} | {100 * row['test_top1']:.1f} |" in text
        assert any(line.startswith(f"| {row['arm']} | resnet8 ") for line in printed)
    best = max(row["val_top1"] for row in result["arms"] if row["arm"] != "teacher")
    assert Run(folder.parent / result["use"]).metrics()["val"]["top1"] == best
    assert result["why"] in text
    assert unexplained(folder) == []
    assert "One seed proves little" in "".join(printed)
    assert "tinytrain fit --data=digits --teacher=auto --out=out --json model.name=resnet8" in text


def test_longer_training_takes_as_long_as_teacher_and_student_together(taught):
    folder, _, said, printed = taught

    def seconds(name):
        return [float(row["seconds"]) for row in csv.DictReader((folder / name / "history.csv").open())]

    result = json.loads(printed[-1])
    taught_arms = [row for row in result["arms"] if row["arm"].endswith("distilled")]
    best = max(taught_arms, key=lambda row: (row["val_top1"], -row["seconds"]))
    assert best["run"] == result["taught"]
    budget = sum(seconds("teacher")) + sum(seconds(best["arm"]))
    (one,) = seconds("plain")
    epochs = len(seconds("longer"))
    assert epochs == Run(folder / "longer").config().optim.epochs
    assert epochs == pytest.approx(budget / one, abs=1.1)  # rounded down, and seconds in the table to tenths
    assert best["seconds_with_teacher"] == pytest.approx(budget, abs=0.2)
    assert f"for {epochs} epochs in the same time" in said


def test_who_teaches_whom(taught):
    folder, _, _, printed = taught
    student, teacher = Run(folder / "netaug_distilled").config(), Run(folder / "teacher").config()
    assert (student.method, student.distill.teacher) == ("netaug+distill", str(folder / "teacher"))
    assert (teacher.model.name, teacher.model.width, teacher.method) == ("resnet8", 1.0, "")
    assert teacher.model.resolution == student.model.resolution
    assert Run(folder / "teacher").split() == Run(folder / "netaug_distilled").split()
    assert Run(folder / "distilled").config().method == "distill"
    assert json.loads(printed[-1])["underfits"] is True


def test_a_given_teacher_is_not_trained(taught, command_line, tmp_path):
    folder = taught[0]
    words = ["fit", "--data", "digits", "--teacher", folder / "teacher", "--out", tmp_path / "given", "--json", *SMALL]
    status, out, error = command_line(*words, "method=am_softmax")
    assert status == 0, error
    result = json.loads(out.splitlines()[-1])
    assert [row["arm"] for row in result["arms"]][:2] == ["plain", "distilled"]
    assert result["arms"][1]["method"] == "am_softmax+distill"
    assert result["arms"][1]["seconds_with_teacher"] == result["arms"][1]["seconds"]
    assert not (tmp_path / "given/teacher").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--teacher needs --out DIR"),
        (["--out", "new", "--resume"], "--teacher does not take --resume: to continue, run the same command again"),
        (["--out", "new", "--workers", "2"], "--teacher trains several networks, and workers share one: start the"),
        (["--out", "new", "method=distill"], "--teacher sets method distill and distill.teacher itself"),
        (["--out", "new", "distill.teacher=runs/x"], "leave both out of the config"),
        (["--out", "run"], "'run' holds a run: --teacher writes several runs, name another folder with --out"),
        (["--out", "file"], "'file' holds a file"),
        (["--out", "new", "--teacher", "nowhere"], "--teacher nowhere does not exist: give applications:NAME"),
        (["--out", "new", "--teacher", "applications:ResNet50"], "is for color images of 1000 classes"),
        (["--out", "new", "task=detect"], "task = detect, but 'digits' is data for the task classify"),
        (["--out", "new", "model.name=resnet8", "model.width=4"], "--teacher auto knows no network with 4 times"),
    ],
)
def test_what_it_refuses(command_line, tmp_path, words, sentence):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.toml").touch()
    (tmp_path / "file").touch()
    status, out, error = command_line("fit", "--data", "digits", "--teacher", "auto", *words)
    assert (status, out) == (2, "")
    assert sentence in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_a_teacher_of_other_classes_is_refused(taught, command_line, image_folder, tmp_path):
    root = image_folder("pictures", classes=("a", "b"), count=10)
    words = ["--teacher", taught[0] / "teacher", "--out", "new", "model.resolution=32", "model.channels=1"]
    status, out, error = command_line("fit", "--data", f"folder:{root}", *words)
    assert (status, out) == (2, "")
    assert f"--teacher {taught[0] / 'teacher'} is for classes of 10, but the student for classes of 2" in error
    assert not (tmp_path / "new").exists()


def test_boxes_are_refused(command_line, tmp_path):

    write_voc(tmp_path / "boxes")
    status, _, error = command_line("fit", "--data", "voc:boxes", "--teacher", "auto", "--out", "new")
    assert status == 2
    assert "is data for detect: for a detector, train the teacher" in error


@pytest.mark.long
def test_a_student_that_does_not_fit_is_refused_before_anything_is_trained(command_line, tmp_path):
    words = ["--teacher", "auto", "--mcu", "nucleo_f401re", "--out", "new", "model.width=0.5", "model.resolution=32"]
    status, _, error = command_line("fit", "--data", "digits", *words, *SMALL[3:])
    assert status == 3
    assert "does not fit nucleo_f401re" in error
    assert not (tmp_path / "new").exists()
