"""The files of a search, written anew after each trial, and what the command says at its end."""

import functools
import shlex
from typing import Any

import matplotlib as mpl

from tinytrain.data.source import counted
from tinytrain.deploy import firmware
from tinytrain.errors import UserError
from tinytrain.experiments.results_table import write_csv
from tinytrain.files import write_atomically, write_readme, write_text
from tinytrain.searching import finalists, picture, report
from tinytrain.searching.limits import Limits
from tinytrain.searching.study import Study

Row = dict[str, Any]
TITLE = "A search for the best network for a board, written by `tinytrain search`"
FILES = {
    "trial-NNN/": "a run of `tinytrain fit` for each trial; its README.txt explains its files",
    "search.csv": "one row for each trial that has ended",
    "search.md": "the winner and why, the finalists, and the command that exports it; written at the end",
    "search.png": "accuracy against latency, RAM and flash; written at the end",
    "search.db": "the database of the trials, unless --storage names another",
    "search.json": "the number that identifies this folder in the database",
    "taught/": "the runs with a teacher, if --teacher was given",
}


class Output:
    """The files search.csv, search.md, search.png and README.txt.

    Args:
        study: the study.
        limits: of the board.
        label: the name of the figure.
        command: that was typed.
        qat_epochs: of the fine-tune, if nothing else is said to `export`.
    """

    def __init__(self, study: Study, limits: Limits, label: str, command: str, qat_epochs: float) -> None:
        self.study, self.limits, self.label, self.command, self.qat_epochs = study, limits, label, command, qat_epochs

    def write(self) -> None:
        """Writes search.csv with the trials so far, and README.txt."""
        table = report.rows(self.study.trials(), [], self.study.folder)
        if table:
            write_csv(self.study.folder / "search.csv", table)
            write_readme(self.study.folder, TITLE, FILES)

    def finish(self, finals: list[Row]) -> tuple[Row, str]:
        """Writes all files; returns the result of the command and the text that says it.

        Raises:
            UserError: no trial has a network.
        """
        out, board = self.study.folder, self.limits.board
        table = report.rows(self.study.trials(), finals, out)
        if not finals:
            reasons = [f"trial {row['trial']}: {row['ended']}" for row in table[:1]]
            raise UserError(f"no trial of the search produced a network; {''.join(reasons) or 'there was no trial'}")
        write_csv(out / "search.csv", table)
        chosen = finalists.winner(finals)
        best = next(row for row in table if row["trial"] == chosen["number"])
        export = finalists.export_command(out, chosen, board.name, self.qat_epochs)
        write_text(out / "search.md", report.markdown(table, best, self.label, f"`{self.command}`", export))
        self._draw([row for row in table if report.is_measured(row)], report.name(best))
        why = report.why(table, best, self.label)
        result = {
            "out": str(out),
            "winner": best,
            "why": why,
            "export": shlex.join(export),
            "finalists": [row for row in table if row["finalist_int8_val"] is not None],
            "trials": table,
        }
        return result, f"{why}\n{out / 'search.md'} shows the others. Export it: {shlex.join(export)}"

    def _draw(self, table: list[Row], winner: str) -> None:
        board = self.limits.board
        limits: dict[str, float | None] = {
            "latency_ms": self.limits.latency_ms,
            "ram_bytes": float(board.ram_limit_bytes(firmware.STACK_BYTES)),
            "flash_bytes": float(board.flash_bytes),
        }
        title = f"{counted(len(table), 'network')} for {board.name}; the winner is {winner}"
        with mpl.rc_context({"text.parse_math": False}):
            drawn = picture.draw(table, self.label, title, limits)
            path = self.study.folder / "search.png"
            write_atomically(path, functools.partial(drawn.savefig, format="png", dpi=120))
