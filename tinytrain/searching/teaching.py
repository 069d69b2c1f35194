"""A teacher for the winner of a search: `fit --teacher auto` with its config, if time is left for it."""

import shlex
from pathlib import Path
from typing import Any

from tinytrain import tables
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data.source import Dataset
from tinytrain.errors import UserError
from tinytrain.experiments.teaching import larger, rules
from tinytrain.experiments.teaching.arms import Arms, Student
from tinytrain.experiments.teaching.lesson import Lesson
from tinytrain.files import write_text
from tinytrain.run import Run
from tinytrain.searching import budget
from tinytrain.searching.study import Study

Row = dict[str, Any]
FOLDER, DECIDED = "taught", "teaching"


def refuse(config: Config) -> None:
    """Raises UserError, before the search, for a config that says itself who teaches."""
    if "distill" in configs.methods(config) or config.distill.teacher:
        raise UserError(
            "--teacher trains a teacher for the winner: leave out method=distill and distill.teacher, or keep them and "
            "leave out --teacher"
        )


def of_winner(study: Study, result: Row, text: str, dataset: Dataset, seconds: float | None) -> tuple[Row, str]:
    """Returns the result of a search and its text with what teaching its winner gave, which search.md says too.

    Args:
        study: the search, which is over.
        result: that of the command so far; it gets "teaching", the result of the lesson, None if there was no time.
        text: that of the command so far.
        dataset: the images.
        seconds: of the whole search, None without a limit.
    """
    winner = result["winner"]
    run, out = Run(Path(winner["run"])), study.folder / FOLDER
    config = run.config()
    student = Student.of(config, configs.keys(), dataset, run.config_path)
    chosen = larger.choose(student.known, len(dataset.classes))
    whole = winner["ended"] == "at its end"  # else it is no plain training to compare with
    needed = rules.expected_seconds(_plain_seconds(run, config), chosen.ratio, whole)
    command = shlex.join(["tinytrain", "fit", str(run.config_path), "--teacher", "auto", "--out", str(out)])
    if not _is_time(study, needed, seconds):
        left = tables.duration(max((seconds or 0.0) - study.used_seconds(), 0.0))
        said = (
            f"--teacher auto takes about {tables.duration(needed)} for the winner, but only {left} of --hours are "
            f"left: it was not started; to do it, run {command}"
        )
        return _added(study.folder, result | {"teaching": None}, text, said)
    arms = Arms(student, out, chosen, plain=run.folder if whole else None)
    lesson, said = Lesson(arms, command, study.beat).train_all()
    return _added(study.folder, result | {"teaching": lesson}, text, said)


def _plain_seconds(run: Run, config: Config) -> float:
    """Returns what all epochs of a run take, as those that it has have taken."""
    seconds = [float(row["seconds"]) for row in run.history()]
    return sum(seconds) / len(seconds) * config.optim.epochs


def _is_time(study: Study, needed: float, seconds: float | None) -> bool:
    """Returns whether a lesson has time, as the first process that asked has decided."""
    if study.get(DECIDED) is None:
        left = None if seconds is None else seconds - study.used_seconds()
        study.put(DECIDED, left is None or budget.goes_on(left, needed))
    return bool(study.get(DECIDED))


def _added(folder: Path, result: Row, text: str, said: str) -> tuple[Row, str]:
    path = folder / "search.md"
    write_text(path, f"{path.read_text()}\n## A teacher for the winner\n\nFloat figures.\n\n{said}\n")
    return result, f"{text}\n\n{said}"
