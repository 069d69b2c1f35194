"""`tinytrain fit --teacher`: a network that learns from a larger one, compared with plain training for the same time.

DIR holds a run folder for each arm (experiments/teaching/arms.py) and teacher.md. The same command, run again or in
several processes, goes on.
"""

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tinytrain import progress
from tinytrain.commands import fit
from tinytrain.config import load as configs
from tinytrain.config.schema import Config
from tinytrain.data import identity
from tinytrain.data.load import load_dataset
from tinytrain.data.source import Dataset
from tinytrain.data.splits import Splits
from tinytrain.deploy.fit_check import BoardCheck
from tinytrain.errors import UserError
from tinytrain.experiments.teaching import larger
from tinytrain.experiments.teaching.arms import AUTO, Arms, Student
from tinytrain.experiments.teaching.lesson import Lesson
from tinytrain.methods.distill import teachers
from tinytrain.run import Run
from tinytrain.train import task as tasks
from tinytrain.train.resolve import task_of


def teach(
    config: Config,
    out: Path | str,
    teacher: str = AUTO,
    mcu: str | None = None,
    typed: Collection[str] | None = None,
    path: Path | None = None,
    words: Sequence[str] = (),
    choose_model: bool = False,
) -> tuple[dict[str, Any], str]:
    """Trains a teacher, its student, and a plain network for the same time; returns (result, its table).

    Args:
        config: the student; distillation is put around its methods.
        out: the folder of the runs.
        teacher: "auto" trains a larger network first; else distill.teacher: a run folder, a .keras file or
            applications:NAME.
        mcu: a board or microcontroller; the student is refused if it does not fit.
        typed: as in `fit`.
        path: the file that the config comes from.
        words: the command line that was typed.
        choose_model: as in `fit`.

    The result is that of `Lesson.train_all`.

    Raises:
        UserError: a mistake in the config or the data, a teacher that cannot teach this student, or a run failed.
        DoesNotFit: the student is too large for `mcu`.
    """
    out = Path(out)
    _refuse(config, out)
    if choose_model:
        typed = fit.take_first_choice(config, typed, mcu)
    elif typed is None:
        known = configs.keys()
        typed = {dotted for dotted in known if configs.get_key(config, dotted) != configs.get_key(Config(), dotted)}
    with progress.stage("reading the data"):
        dataset = load_dataset(config)
    _refuse_other_tasks(config, dataset)
    student = Student.of(config, typed, dataset, path, BoardCheck(mcu) if mcu else None)
    if teacher != AUTO:
        _check(teacher, student)
    chosen = larger.choose(student.known, len(dataset.classes)) if teacher == AUTO else None
    arms = Arms(student, out, chosen, "" if chosen else teacher)
    return Lesson(arms, shlex.join(words)).train_all()


def _refuse(config: Config, out: Path) -> None:
    """Raises UserError for what says twice who teaches, and for a folder of something else."""
    if "distill" in configs.methods(config) or config.distill.teacher:
        raise UserError(
            "--teacher sets method distill and distill.teacher itself: leave both out of the config, or keep them and "
            "leave out --teacher"
        )
    if out.is_file() or Run(out).config_path.is_file():
        raise UserError(
            f"'{out}' holds a {'file' if out.is_file() else 'run'}: --teacher writes several runs, name another folder "
            "with --out"
        )


def _refuse_other_tasks(config: Config, dataset: Dataset) -> None:
    if (task := task_of(config, dataset)) != "classify":
        raise UserError(
            f"--teacher compares networks by top-1, but '{config.data.spec}' is data for {task}: for a detector, train "
            "the teacher first and then use method=distill distill.teacher=RUN"
        )


def _check(teacher: str, student: Student) -> None:
    """Raises UserError unless the teacher takes the student's images and knows its classes; notes val images it saw."""
    classes, task = student.dataset.classes, tasks.of(student.known, student.dataset.classes)
    try:
        teachers.load(teacher, student.network(), classes, task)
    except UserError as error:
        raise UserError(str(error).replace(f"distill.teacher = '{teacher}'", f"--teacher {teacher}")) from None
    if run := identity.run_of(teacher):
        identity.note_trained_on(run, Splits(student.dataset, student.known), "val", f"--teacher {teacher}")
