"""table.json: what a reproduced table says, for programs such as benchmarks/paper_claims.py.

table           its name
column          what the arms are compared by
command, scale, data, seeds, budget
                as typed; "1" for the full size; the names of the datasets; their number; "epochs" or "time"
planned, finished
                how many runs
commits         those that trained them
comparisons     a row for each arm beside its baseline (order.py)
best, chance    the highest top-1 of an arm and what guessing would reach, both in %; None without a top-1
"""

import statistics
from collections.abc import Sequence
from typing import Any, TypeAlias

from tinytrain import provenance
from tinytrain.experiments.papers import order
from tinytrain.experiments.papers.columns import Column
from tinytrain.experiments.papers.reproduction import Reproduction
from tinytrain.run import Run

Row: TypeAlias = dict[str, Any]
NAME = "table.json"


def of(reproduction: Reproduction, settings: Row, runs: Sequence[Row]) -> Row:
    """Returns the content of table.json, as the docstring of the module describes it.

    Args:
        reproduction: the table and its finished runs.
        settings: "command", "scale", "data", "seeds", "budget" and "planned".
        runs: the rows of results.csv, which name the commits.
    """
    table = reproduction.table
    column = next(column for column in table.columns if column.name == table.order)
    return {
        "table": table.name,
        "column": column.heading,
        **settings,
        "finished": len(runs),
        "commits": list(dict.fromkeys(commit for run in runs for commit in run["commits"].split())),
        "comparisons": order.comparisons(reproduction),
        **_best(reproduction, column),
    }


def _best(reproduction: Reproduction, column: Column) -> Row:
    """Returns {"best", "chance"} of the column that the arms are compared by."""
    names = [name for name, dataset in reproduction.datasets.items() if column.data in ("", dataset)]
    values = [reproduction.values(arm, column).values() for arm in reproduction.table.arms]
    means = [statistics.mean(of_arm) for of_arm in values if of_arm]
    classes = [
        len(provenance.read(Run(planned.folder)).get("classes", []))
        for planned in reproduction.finished
        if planned.data in names
    ]
    if not column.measure.is_top1 or not means or not all(classes):
        return {"best": None, "chance": None}
    return {"best": max(means), "chance": statistics.mean(100 / count for count in classes)}
