"""The chart of a table's first column as bars, the paper's beside ours, with a panel for each baseline and its arms."""

import statistics
from typing import Any

from matplotlib.figure import Figure

from tinytrain.experiments.papers import columns as table_columns
from tinytrain.experiments.papers.tables import Arm, Table
from tinytrain.experiments.planned import Planned
from tinytrain.run import Run

ROOM = 0.25  # above and below the bars, as a share of what they differ by
WIDTH = 0.38  # of a bar


def draw(table: Table, finished: list[Planned]) -> Figure:
    """Draws a panel for each arm that others are compared to: the paper's bars, ours, and a line at each baseline.

    Ours are means over the runs of an arm, with their sample standard deviation if there are several. As in the paper's
    figure the axes do not begin at 0.
    """
    baselines = list(dict.fromkeys(arm.against for arm in table.arms))
    measured = {arm.label: _measured(table, finished, arm) for arm in table.arms}
    figure = Figure(figsize=(9, 4 * len(baselines)), layout="constrained")
    data = ", ".join(dict.fromkeys(planned.data for planned in finished))
    figure.suptitle(f"Paper {table.paper}: {table.title}\n(here trained on {data})", fontsize=10)
    for axes, baseline in zip(figure.subplots(len(baselines), 1, squeeze=False).flat, baselines, strict=True):
        arms = [arm for arm in table.arms if arm.against == baseline]
        _panel(axes, arms, table.columns[0], measured, baseline)
    return figure


def _measured(table: Table, finished: list[Planned], arm: Arm) -> list[float]:
    """Returns the figures of an arm's runs in the first column."""
    runs = [Run(planned.folder) for planned in finished if planned.name == arm.label]
    values = [table_columns.value(table.columns[0], run, 1.0) for run in runs]
    return [value for value in values if value is not None]


def _panel(
    axes: Any, arms: list[Arm], column: table_columns.Column, measured: dict[str, list[float]], baseline: str
) -> None:
    paper = {arm.label: arm.paper[column.name] for arm in arms if column.name in arm.paper}
    ours = {arm.label: statistics.mean(measured[arm.label]) for arm in arms if measured[arm.label]}
    labels = [arm.label for arm in arms]
    for values, shift, color, name in ((paper, -WIDTH / 2, "0.75", "the paper"), (ours, WIDTH / 2, "C0", "here")):
        places = [labels.index(label) + shift for label in values]
        spread = [statistics.stdev(measured[label]) if len(measured[label]) > 1 else 0.0 for label in values]
        errors = spread if values is ours and any(spread) else None
        axes.bar(places, list(values.values()), WIDTH, color=color, label=name, yerr=errors, capsize=3)
        if baseline in values:
            axes.axhline(values[baseline], color=color, linestyle=":", zorder=0)
    if both := [*paper.values(), *ours.values()]:
        room = ROOM * (max(both) - min(both)) or 1.0
        axes.set_ylim(min(both) - room, max(both) + room)
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set(ylabel=column.heading)
    axes.legend(fontsize=8)
