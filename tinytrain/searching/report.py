"""What a search writes: search.csv with a row for each trial, and search.md with the finalists, the front and why."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from tinytrain import tables
from tinytrain.searching.limits import Cost
from tinytrain.searching.space import Network
from tinytrain.searching.work import folder_of

Row = dict[str, Any]
COSTS = ("latency_ms", "ram_bytes", "flash_bytes")  # that the picture shows the accuracy against


def rows(trials: Sequence[FrozenTrial], finals: Sequence[Row], out: Path) -> list[Row]:
    """Returns the rows of search.csv, one for each trial that is over; figures in 0..1, None where not measured.

    Args:
        trials: of the study.
        finals: rows of the finalists (finalists.py).
        out: DIR.
    """
    by_number = {row["number"]: row for row in finals}
    over = [one for one in trials if one.state in (TrialState.COMPLETE, TrialState.PRUNED) and "cost" in one.user_attrs]
    return [_row(one, by_number.get(one.number, {}), out) for one in over]


def _row(trial: FrozenTrial, final: Row, out: Path) -> Row:
    known, cost = trial.user_attrs, Cost.of(trial.user_attrs["cost"])
    low, high = cost.latency_range_ms or (None, None)
    training = dict(word.partition("=")[::2] for word in known["words"])
    return {
        "trial": trial.number,
        "ended": known.get("reason") or "at its end",
        **known["network"],
        **{key: training.get(f"optim.{key}", "") for key in ("lr", "weight_decay", "label_smoothing")},
        "resized_crop": training.get("augment.resized_crop", ""),
        "epochs": known.get("epochs", 0),
        "val": known.get("val") if known.get("epochs") else None,
        "int8_val": known.get("int8"),
        "finalist_int8_val": final.get("int8_val"),
        "finalist_int8_test": final.get("int8_test"),
        "finalist_float_test": final.get("float_test"),
        "macs": cost.macs,
        "params": cost.params,
        "ram_bytes": cost.memory.ram_bytes,
        "flash_bytes": cost.memory.flash_bytes,
        "latency_ms": cost.latency_ms,
        "latency_low_ms": low,
        "latency_high_ms": high,
        "run": str(folder_of(out, trial.number)),
    }


def name(row: Row) -> str:
    """Returns the network of a row, to read."""
    return str(Network(row["name"], row["width"], row["resolution"], row["stem"]))


def accuracy(row: Row) -> float:
    """Returns the int8 figure of a row that has one on val: as a finalist, if it is one."""
    return row["int8_val"] if row["finalist_int8_val"] is None else row["finalist_int8_val"]


def is_measured(row: Row) -> bool:
    """Returns whether a row has an int8 figure."""
    return row["int8_val"] is not None


def front(table: Sequence[Row], costs: Sequence[str] = COSTS) -> list[Row]:
    """Returns the rows that no other row beats: none is at least as good in all and better in one.

    Args:
        table: rows with an int8 figure.
        costs: the columns that count beside it; one that is not known anywhere does not count.
    """
    known = [column for column in costs if all(row[column] is not None for row in table)]

    def beats(other: Row, row: Row) -> bool:
        pairs = [(accuracy(other), accuracy(row)), *((-other[column], -row[column]) for column in known)]
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

    return [row for row in table if not any(beats(other, row) for other in table)]


def markdown(table: Sequence[Row], best: Row, label: str, command: str, export: Sequence[str]) -> str:
    """Returns search.md.

    Args:
        table: rows of `rows`.
        best: the winner's.
        label: the name of the figure.
        command: that made it.
        export: the words of the command that exports the winner.
    """
    measured = [row for row in table if is_measured(row)]
    finals = sorted((row for row in measured if row["finalist_int8_val"] is not None), key=lambda row: -accuracy(row))
    others = [row for row in front(measured) if row not in finals]
    stopped = [row for row in table if row not in finals]
    return "\n".join(
        [
            f"# The search for a network: {name(best)}",
            "",
            why(table, best, label),
            "",
            f"`{shlex.join(export)}`",
            "",
            "![int8 accuracy against latency, RAM and flash](search.png)",
            "",
            f"Finalists, by int8 {label} on val, which decides; test was looked at once and decides nothing:",
            "",
            tables.markdown([_headings(label), *(_cells(row) for row in finals)], "<<" + ">" * 7),
            "",
            "These others need less time, RAM or flash than every network that is at least as accurate:"
            if others
            else "Every other trial is beaten in accuracy, latency, RAM and flash.",
            "",
            *(
                [tables.markdown([_headings(label), *(_cells(row) for row in others)], "<<" + ">" * 7), ""]
                if others
                else []
            ),
            f"search.csv has all {len(table)} trials, {len(stopped)} of them without a fine-tune. Command: {command}",
            "",
        ]
    )


def why(table: Sequence[Row], best: Row, label: str) -> str:
    """Returns in a sentence which network won, and why."""
    finals = sorted((row for row in table if row["finalist_int8_val"] is not None), key=lambda row: -accuracy(row))
    others = [row for row in finals if row is not best]
    margin = (
        f", {100 * (accuracy(best) - accuracy(others[0])):.1f} points more than {name(others[0])}, the next of "
        f"{len(finals)} finalists"
        if others
        else ""
    )
    latency = "" if best["latency_ms"] is None else f" and a predicted {best['latency_ms']:.3g} ms"
    return (
        f"{name(best)} has the best int8 {label} on val, {100 * accuracy(best):.1f} %{margin}, with "
        f"{best['ram_bytes']:,} bytes of RAM, {best['flash_bytes']:,} of flash{latency}; on test it has "
        f"{100 * best['finalist_int8_test']:.1f} %."
    )


def _headings(label: str) -> tuple[str, ...]:
    return ("trial", "network", "epochs", f"int8 {label} %, val", "test", "MACs", "RAM", "flash", "latency, ms")


def _cells(row: Row) -> tuple[str, ...]:
    latency = "" if row["latency_ms"] is None else f"{row['latency_ms']:.3g}"
    test = "" if row["finalist_int8_test"] is None else f"{100 * row['finalist_int8_test']:.1f}"
    sizes = (f"{row[column]:,}" for column in ("macs", "ram_bytes", "flash_bytes"))
    return (str(row["trial"]), name(row), str(row["epochs"]), f"{100 * accuracy(row):.1f}", test, *sizes, latency)
