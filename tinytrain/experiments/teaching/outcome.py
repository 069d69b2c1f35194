"""What came out of a comparison with a teacher: its table, and the sentences that say what pays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinytrain import tables
from tinytrain.experiments.planned import Planned
from tinytrain.experiments.results_table import run_row
from tinytrain.experiments.teaching import rules
from tinytrain.experiments.teaching.arms import LONGER, PLAIN, TAUGHT, TEACHER
from tinytrain.run import Run

Row = dict[str, Any]


def row(planned: Planned, teacher_seconds: float = 0.0) -> Row:
    """Returns the row of a finished run: figures in 0..1, times in seconds.

    Args:
        planned: the run.
        teacher_seconds: what the training of its teacher took, 0 for a run without one.
    """
    figures, model = run_row(planned), Run(planned.folder).config().model
    seconds = figures["training_seconds"] + figures["search_seconds"]
    return {
        "arm": planned.name,
        "network": f"{model.name} {model.width:g}",
        "method": planned.config.method,
        "epochs": figures["epochs"],
        "seconds": seconds,
        "seconds_with_teacher": round(seconds + teacher_seconds, 1),
        "val_top1": figures["val_top1"],
        "test_top1": figures["test_top1"],
        "macs": figures["macs"],
        "params": figures["params"],
        "run": str(planned.folder),
    }


def used(rows: Sequence[Row]) -> Row:
    """Returns the row of the student with the best val top-1, of equal ones the one that took the least time."""
    return _best([row for row in rows if row["arm"] != TEACHER])


def best_taught(rows: Sequence[Row]) -> Row:
    """Returns the row of the taught student with the best val top-1."""
    return _best([row for row in rows if row["arm"] in TAUGHT])


def _best(rows: Sequence[Row]) -> Row:
    return min(rows, key=lambda row: (-row["val_top1"], row["seconds_with_teacher"]))


def verdict(rows: Sequence[Row], val_images: int) -> str:
    """Returns in sentences whether the teacher pays, by val alone.

    Args:
        rows: of all runs of a comparison.
        val_images: how many val images there are.
    """
    by_arm = {row["arm"]: row for row in rows}
    taught, best = best_taught(rows), used(rows)
    equal = by_arm.get(LONGER, by_arm[PLAIN])
    gain, times = taught["val_top1"] - equal["val_top1"], [row["seconds_with_teacher"] for row in (equal, taught)]
    same = rules.is_same_time(*times)
    how_long = "the same time" if same else f"{times[0]:.0f} s instead of {times[1]:.0f} s"
    compared = (
        f"{taught['arm']} is {_points(gain)} plain training for {how_long} on val "
        f"({100 * taught['val_top1']:.1f} and {100 * equal['val_top1']:.1f} %)"
    )
    sentences = [f"{compared}: use {best['run']}." if best is taught else _does_not_pay(compared, best)]
    if not same and LONGER in by_arm:
        sentences.append(
            "These times are not equal: an epoch took longer or shorter than before, as happens on a busy machine."
        )
    if abs(gain) < (chance := rules.chance(taught["val_top1"], equal["val_top1"], val_images)):
        sentences.append(
            f"With {val_images:,} val images, chance alone can make a difference of up to {100 * chance:.1f} points."
        )
    teacher, plain = by_arm.get(TEACHER), by_arm[PLAIN]
    if teacher and teacher["val_top1"] <= plain["val_top1"]:
        sentences.append(
            f"The teacher itself is no better than the plain student ({100 * teacher['val_top1']:.1f} and "
            f"{100 * plain['val_top1']:.1f} %): it has little to teach."
        )
    return " ".join(sentences)


def _does_not_pay(compared: str, best: Row) -> str:
    return f"The teacher does not pay off here, as {compared}: use {best['run']}."


def _points(gain: float) -> str:
    """Returns "1.2 points above" and the like."""
    points = f"{100 * abs(gain):.1f}"
    if points == "0.0":
        return "as good as"
    return f"{points} points {'above' if gain > 0 else 'below'}"


def anecdote(seed: int, out: Path) -> str:
    """Returns the warning that stands below every comparison."""
    return (
        f"One seed proves little: before you rely on this, repeat it a few times with other seeds (seed={seed + 1}, "
        f"…), each in another folder than '{out}'."
    )


def table(rows: Sequence[Row]) -> str:
    """Returns the rows as a table in Markdown."""
    headings = ("arm", "network", "method", "epochs", "seconds", "with its teacher's", "val top-1 %", "test top-1 %")
    return tables.markdown([headings, *map(_cells, rows)], "<<<" + ">" * 5)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["arm"],
        row["network"],
        row["method"] or "plain",
        str(row["epochs"]),
        f"{row['seconds']:.0f}",
        f"{row['seconds_with_teacher']:.0f}",
        f"{100 * row['val_top1']:.1f}",
        f"{100 * row['test_top1']:.1f}",
    )
