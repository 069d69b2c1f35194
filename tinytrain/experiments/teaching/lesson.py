"""A comparison with a teacher from its first run to its table; a finished run is kept, an unfinished one goes on.

What comes later depends on what came before: the plain student says whether it underfits, and the seconds of all runs
how long the same time is. Every process that shares the folder reads the same files, and so decides the same.
"""

import sys
from collections.abc import Callable
from typing import Any

from tinytrain.errors import escaped
from tinytrain.experiments import runs
from tinytrain.experiments.planned import Planned
from tinytrain.experiments.teaching import outcome, rules
from tinytrain.experiments.teaching.arms import TAUGHT, TEACHER, Arms
from tinytrain.files import write_readme, write_text
from tinytrain.run import Run

TABLE = "teacher.md"
TITLE = "A network that learns from a larger one, written by `tinytrain fit --teacher`"
FILES = {
    "plain/": "a run: the student alone",
    "teacher/": "a run: the larger network, unless one was given",
    "distilled/": "a run: the student with the teacher",
    "netaug_distilled/": "a run: the same inside wider networks, if the plain student underfits",
    "longer/": "a run: the plain student, trained for as long as the teacher and the taught student together",
    TABLE: "the table of all runs, what was decided and why, and the command",
}


class Lesson:
    """A comparison with a teacher.

    Args:
        arms: its runs.
        command: that was typed, for teacher.md.
        progressed: called after each run that is finished.
    """

    def __init__(self, arms: Arms, command: str, progressed: Callable[[], None] = lambda: None) -> None:
        self.arms, self.command, self.progressed = arms, command, progressed
        self.rows: list[outcome.Row] = []
        self.notes: list[str] = []  # what was decided, and why
        self.netaug = False

    def train_all(self) -> tuple[dict[str, Any], str]:
        """Trains all runs; returns (result, the table with what it says).

        The result is {"out", "teacher": distill.teacher, "underfits": of the plain student, "taught": the folder of
        the better taught student on val, "arms": rows of the table, "why": the sentences, "use": the folder of the best
        student on val}.

        Raises:
            UserError: a run failed, or a folder holds a run of another config. DoesNotFit: the student is too large.
        """
        arms, plan = self.arms, self.arms.first
        self._note(f"the teacher: {arms.larger or arms.teacher_key}")
        self._train(plan)
        underfits = self._decide_on_netaug()
        plan = [*plan, arms.taught(with_netaug=False), *([arms.taught(with_netaug=True)] if self.netaug else [])]
        self._train(plan)
        epochs = self._equal_time(plan)
        if epochs > int(self.rows[0]["epochs"]):
            plan = [*plan, arms.longer(epochs)]
            self._train(plan)
        else:
            self._note(
                "the teacher and the distillation took no longer than the plain student: no longer training is needed"
            )
        val_images = int(Run(arms.plain.folder).metrics()["val"]["images"])
        why = outcome.verdict(self.rows, val_images)
        sentences = f"{why}\n{outcome.anecdote(arms.student.config.seed, arms.out)}"
        text = f"{outcome.table(self.rows)}\n\n{sentences}"
        self._write(sentences)
        result = {
            "out": str(arms.out),
            "teacher": arms.teacher_key,
            "underfits": underfits,
            "taught": outcome.best_taught(self.rows)["run"],
            "arms": self.rows,
            "why": why,
            "use": outcome.used(self.rows)["run"],
        }
        return result, text

    def _train(self, plan: list[Planned]) -> None:
        runs.train_all(plan, self.arms.out / TABLE, self._update)

    def _update(self, finished: list[Planned]) -> None:
        """Takes over all finished runs, and writes their table."""
        seconds = {planned.name: outcome.row(planned)["seconds"] for planned in finished}
        of_teacher = seconds.get(TEACHER, 0.0)
        self.rows = [outcome.row(planned, of_teacher if planned.name in TAUGHT else 0.0) for planned in finished]
        self._write("Some runs are not finished yet.")
        self.progressed()

    def _write(self, sentences: str) -> None:
        notes = "".join(f"- {note}\n" for note in self.notes)
        text = (
            f"# A teacher for the student\n\n{outcome.table(self.rows)}\n\n{sentences}\n\n{notes}\n`{self.command}`\n"
        )
        write_text(self.arms.out / TABLE, text)
        write_readme(self.arms.out, TITLE, FILES)

    def _note(self, note: str) -> None:
        self.notes.append(note)
        print(escaped(f"tinytrain: {note}"), file=sys.stderr)

    def _decide_on_netaug(self) -> bool:
        """Decides whether NetAug is tried as well; returns whether the plain student underfits."""
        last = Run(self.arms.plain.folder).history()[-1]
        train, val = float(last["top1"]), float(last["val_top1"])
        underfits = rules.underfits(train, val)
        figures = f"training top-1 {100 * train:.1f} %, val {100 * val:.1f} % in its last epoch"
        if not underfits:
            self._note(f"the plain student does not underfit ({figures}): NetAug is not tried")
        elif obstacle := self.arms.why_no_netaug():
            self._note(f"the plain student underfits ({figures}), but NetAug is not tried: {obstacle}")
        else:
            self.netaug = True
            self._note(f"the plain student underfits ({figures}): NetAug is tried as well")
        return underfits

    def _equal_time(self, plan: list[Planned]) -> int:
        """Returns the epochs of plain training that take as long as the teacher and its better student together."""
        plain, taught = self.rows[0], outcome.best_taught(self.rows)
        seconds = [float(row["seconds"]) for row in Run(plan[0].folder).history()]
        budget = taught["seconds_with_teacher"]
        epochs = rules.equal_time_epochs(seconds, budget, plain["seconds"] - sum(seconds))
        self._note(
            f"{taught['arm']} took {budget:.0f} s including its teacher: the plain student is trained for {epochs} "
            "epochs in the same time"
        )
        return epochs
