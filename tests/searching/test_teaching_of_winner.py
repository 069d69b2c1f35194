"""A teacher for the winner of a search: when there is time for it, and what is said where there is none."""

from types import SimpleNamespace

import pytest

from tinytrain.config import load as configs
from tinytrain.data.load import load_dataset
from tinytrain.errors import UserError
from tinytrain.experiments.teaching import rules
from tinytrain.run import Run
from tinytrain.searching import budget, teaching


class Study:
    """What a lesson asks of a study: what is stored for all processes, and the seconds that are used."""

    def __init__(self, folder, used):
        self.folder, self.used, self.stored = folder, used, {}
        self.get, self.put = self.stored.get, self.stored.__setitem__

    def used_seconds(self):
        return self.used


def test_the_time_is_decided_once_for_all_processes(tmp_path):
    study = Study(tmp_path, used=3000.0)
    assert teaching._is_time(study, 521.0, 3600.0)  # 1.15 x 521 s is less than the 600 s that are left
    study.used = 3590.0
    assert teaching._is_time(study, 521.0, 3600.0)  # begun by another process
    assert not teaching._is_time(Study(tmp_path, used=3000.0), 522.0, 3600.0)
    assert teaching._is_time(Study(tmp_path, used=3000.0), 1e6, None)


def test_a_search_without_time_left_says_how_long_it_takes(tmp_path, trained_run):
    study = Study(tmp_path, used=3590.0)
    (tmp_path / "search.md").write_text("# The search\n")
    config = trained_run.config()
    winner = {"run": str(trained_run.folder), "ended": "at its end"}
    result, text = teaching.of_winner(study, {"winner": winner}, "It won.", load_dataset(config), 3600.0)
    assert result == {"winner": winner, "teaching": None}
    assert text.startswith("It won.\n\n--teacher auto takes about ")
    assert f"10 s of --hours are left: it was not started; to do it, run tinytrain fit {trained_run.folder}/" in text
    assert text.removeprefix("It won.\n\n") in (tmp_path / "search.md").read_text()
    assert not (tmp_path / teaching.FOLDER).exists()


def test_a_winner_that_was_stopped_early_is_trained_whole(tmp_path, trained_run, monkeypatch):
    lessons = []

    def lesson(arms, command, progressed):
        lessons.append(arms)
        return SimpleNamespace(train_all=lambda: ({"use": "there"}, "a table"))

    monkeypatch.setattr(teaching, "Lesson", lesson)
    study, dataset = Study(tmp_path, used=0.0), load_dataset(trained_run.config())
    study.beat = lambda: None
    for ended in ("at its end", "others are better"):
        (tmp_path / "search.md").write_text("# The search\n")
        winner = {"run": str(trained_run.folder), "ended": ended}
        result, text = teaching.of_winner(study, {"winner": winner}, "It won.", dataset, None)
        assert (result["teaching"], text) == ({"use": "there"}, "It won.\n\na table")
    assert [arms.plain.folder for arms in lessons] == [trained_run.folder, tmp_path / "taught/plain"]
    assert lessons[0].plain.config == Run(trained_run.folder).config()
    assert (tmp_path / "search.md").read_text().endswith("## A teacher for the winner\n\nFloat figures.\n\na table\n")


def test_a_search_that_names_a_teacher_itself_is_refused(command_line, tmp_path):
    words = ["--data=digits", "--mcu=nucleo_f401re", "--trials=1", "--out=new", "--teacher=auto", "method=distill"]
    status, out, error = command_line("search", *words)
    assert (status, out) == (2, "")
    assert "--teacher trains a teacher for the winner: leave out method=distill" in error
    assert not (tmp_path / "new").exists()
    with pytest.raises(UserError, match="distill"):
        teaching.refuse(configs.load(None, ["distill.teacher=runs/x"]))


def test_the_seconds_of_a_winner_are_those_of_all_its_epochs(trained_run):
    config, rows = trained_run.config(), trained_run.history()
    mean = sum(float(row["seconds"]) for row in rows) / len(rows)
    config.optim.epochs = 20
    assert teaching._plain_seconds(trained_run, config) == pytest.approx(20 * mean)
    needed = rules.expected_seconds(20 * mean, 5, True)
    assert budget.goes_on(1.16 * needed, needed)
    assert not budget.goes_on(1.14 * needed, needed)
