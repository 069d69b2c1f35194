"""Learning curves of one run or several: loss, the figure of the task and learning rate over the epochs."""

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tinytrain.reporting import facts, svg
from tinytrain.reporting.runs import Subject
from tinytrain.reporting.svg import Chart

HEIGHT = 270  # pixels
TRAINING_SHOWN = 3  # runs at most: with more, the charts show val without training
LEAST_VALUES = 8  # of a line, from which on outliers can be told
OUTLYING = 3.0  # so many interquartile ranges above the upper quartile a value is far out (Tukey)
GAIN = 2.0  # the axis is limited only if that spreads the other values so much


def charts(subjects: list[Subject]) -> list[Chart]:
    """Returns the three charts of all runs with a history, no chart if none has one."""
    with_history = [subject for subject in subjects if subject.history]
    figure = facts.figure(subjects[0])
    titles = {"loss": "Loss", figure.key: figure.title, "lr": "Learning rate"}
    return [_chart(name, title, with_history) for name, title in titles.items()] if with_history else []


def _chart(name: str, title: str, subjects: list[Subject]) -> Chart:
    last_values = "; ".join(_last_values(subject, name, len(subjects) > 1) for subject in subjects[:8])
    above = values_above(subjects)[1] if name == "loss" else ""
    alt = f"{title} over the epochs. At the end: {last_values}" + (f". {above.capitalize()}" if above else "")
    return svg.chart(f"curve-{name}", alt, [(svg.SMALL, HEIGHT)], _draw(name, title, subjects))


def _last_values(subject: Subject, name: str, named: bool) -> str:
    """Returns the values of the last epoch in words, after the name of the run if `named`."""
    row, label = subject.history[-1], f"{subject.name} " if named else ""
    columns = [("train", name), ("val", f"val_{name}")] if name != "lr" else [("", name)]
    return label + " and ".join(f"{split} {row[key]:.3g}".strip() for split, key in columns if key in row)


def _is_score(name: str) -> bool:
    """Returns whether a column holds the figure of the task, a share in 0..1."""
    return name not in ("loss", "lr")


def _draw(name: str, title: str, subjects: list[Subject]) -> Callable[[Figure, int], None]:
    def draw(figure: Figure, _: int) -> None:
        axes = svg.axes(figure)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        if _is_score(name):
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        for number, subject in enumerate(subjects):
            _lines(axes, name, subject, number, len(subjects))
        if name == "loss":
            _limit(axes, subjects)
        if len(subjects) == 1 and name != "lr":
            _legend(figure, name, subjects[0])

    return draw


def values_above(subjects: list[Subject]) -> tuple[float, str]:
    """Returns where the axis of the loss ends, and which values are above it, in words.

    A loss of 14 after the first epoch would make flat lines of all later ones, which differ by tenths.

    Returns:
        (the highest value that is shown, "not shown: val 13.6 in epoch 1"); (inf, "") if all values are shown.
    """
    lines = [
        (label, [(row["epoch"], row[column]) for row in subject.history if _is_value(row, column)])
        for subject in subjects
        for column, label in (("val_loss", "val"), ("loss", "train"))
        if column == "val_loss" or len(subjects) <= TRAINING_SHOWN
    ]
    every = [value for _, points in lines for _, value in points]
    highest = max((_highest([value for _, value in points]) for _, points in lines if points), default=np.inf)
    if not every or max(every) - min(every) <= GAIN * (highest - min(every)):
        return np.inf, ""
    above = [(value, f"{label} {value:.3g} in epoch {epoch:g}") for label, line in lines for epoch, value in line]
    above = sorted((pair for pair in above if pair[0] > highest), reverse=True)
    more = f" and {len(above) - 1} more" if len(above) > 1 else ""
    return highest, f"not shown: {above[0][1]}{more}"


def _is_value(row: dict[str, Any], column: str) -> bool:
    return "epoch" in row and column in row and isfinite(row[column])


def _highest(values: list[float]) -> float:
    """Returns the highest of the values of a line that is not far above the others."""
    if len(values) < LEAST_VALUES:
        return max(values)
    lower, upper = np.quantile(values, (0.25, 0.75))
    return max(value for value in values if value <= upper + OUTLYING * (upper - lower))


def _limit(axes: Axes, subjects: list[Subject]) -> None:
    """Ends the axis of the loss below values that are far above the others, and says so."""
    highest, above = values_above(subjects)
    if not above:
        return
    shown = [y for line in axes.get_lines() for y in np.asarray(line.get_ydata(), float) if y <= highest]
    margin = 0.06 * (highest - min(shown))
    axes.set_ylim(min(shown) - margin, highest + 3 * margin)
    axes.annotate(above, (0.99, 0.99), xycoords="axes fraction", ha="right", va="top", color=svg.MUTED, fontsize=10)


def _lines(axes: Axes, name: str, subject: Subject, number: int, count: int) -> None:
    """Draws the lines of a run, the one of the training only if there are few runs.

    Args:
        axes: the axes of the chart.
        name: the column: "loss", "lr" or the key of the figure.
        subject: the run.
        number: of the run, from 0, which chooses the color.
        count: the number of runs in the chart.
    """
    color, is_only_run = svg.SERIES[number % len(svg.SERIES)], count == 1
    _line(axes, subject, f"val_{name}" if name != "lr" else name, color=color)
    if name != "lr" and count <= TRAINING_SHOWN:
        _line(axes, subject, name, color=svg.SERIES[1] if is_only_run else color, linestyle="--", linewidth=1.2)
    best = subject.metrics.get("best_epoch")
    if is_only_run and _is_score(name) and best:
        axes.axvline(best, color=svg.MUTED, linewidth=1, linestyle=":")


def _line(axes: Axes, subject: Subject, column: str, **style: object) -> None:
    points = [(row["epoch"], row[column]) for row in subject.history if column in row and "epoch" in row]
    marker = "o" if len(points) < 2 else None
    axes.plot([x for x, _ in points], [y for _, y in points], marker=marker, **style)  # type: ignore[arg-type]


def _legend(figure: Figure, name: str, subject: Subject) -> None:
    lines: list[tuple[str, str, Any]] = [("val", svg.SERIES[0], "-")]
    if any(name in row for row in subject.history):  # a detector's figures are of val images alone
        lines.append(("train", svg.SERIES[1], "--"))
    if _is_score(name) and subject.metrics.get("best_epoch"):
        lines.append(("epoch that is kept", svg.MUTED, ":"))
    handles = [Line2D([], [], color=color, linestyle=style) for _, color, style in lines]
    labels = [label for label, _, _ in lines]
    figure.legend(handles, labels, loc="outside lower left", ncols=3, handlelength=1.6, borderpad=0)
