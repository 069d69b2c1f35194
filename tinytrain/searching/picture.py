"""search.png: the int8 accuracy of the trials against latency, RAM and flash, those that no other beats marked."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tinytrain.searching import report

Row = dict[str, Any]
PANELS = {
    "latency_ms": ("predicted latency / ms", 1.0),
    "ram_bytes": ("RAM / KiB", 1024.0),
    "flash_bytes": ("flash / KiB", 1024.0),
}
GAP = 0.045  # of the height of a panel, between two labels
LIFT = 0.6  # of that, by which a label is above its point, and so above the line


def draw(table: Sequence[Row], label: str, title: str, limits: dict[str, float | None]) -> Figure:
    """Draws a panel for each cost; where the board's latency is not predicted, there is none for it.

    Args:
        table: rows of search.csv with an int8 figure.
        label: the name of the figure.
        title: of the whole picture.
        limits: {column: the most that the board or the user allows, None: any}.
    """
    columns = [column for column in PANELS if all(row[column] is not None for row in table)]
    figure = Figure(figsize=(5.2 * len(columns), 5), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for axes, column in zip(figure.subplots(1, len(columns), squeeze=False, sharey=True).flat, columns, strict=True):
        _panel(axes, table, column, limits.get(column))
    figure.axes[0].set_ylabel(f"int8 {label} on val / %")
    figure.axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _panel(axes: Any, table: Sequence[Row], column: str, limit: float | None) -> None:
    name, unit = PANELS[column]
    front = sorted(report.front(table, [column]), key=lambda row: (row[column], report.accuracy(row)))
    for rows, style in (
        ([row for row in table if row["finalist_int8_val"] is None], {"c": "0.6", "s": 18, "label": "trial"}),
        ([row for row in table if row["finalist_int8_val"] is not None], {"c": "C0", "s": 45, "label": "finalist"}),
    ):
        axes.scatter([row[column] / unit for row in rows], [100 * report.accuracy(row) for row in rows], **style)
    x, y = [row[column] / unit for row in front], [100 * report.accuracy(row) for row in front]
    axes.step(x, y, where="post", color="C3", linewidth=1.2)
    axes.scatter(x, y, s=90, facecolors="none", edgecolors="C3", label="highest accuracy for its cost")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel=name)
    axes.grid(alpha=0.3, which="both")
    axes.margins(x=0.15, y=0.12)
    axes.set_ylim(top=min(axes.get_ylim()[1], 101))
    if limit is not None and limit / unit < 4 * max(row[column] / unit for row in table):
        axes.axvline(limit / unit, color="0.3", linestyle="--", linewidth=1)
    _write_names(axes, front, x, y)


def _write_names(axes: Any, front: Sequence[Row], x: Sequence[float], y: Sequence[float]) -> None:
    """Writes the network beside each point of the front, left or right of it, none over another."""
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    gap, next_free = GAP * (high - low), low
    for row, across, up in sorted(zip(front, x, y, strict=True), key=lambda point: point[2]):
        place = max(up + LIFT * gap, next_free)
        next_free = place + gap
        on_right = across * across < left * right  # of the middle of a logarithmic axis
        axes.annotate(
            f"{row['trial']}: {report.name(row)}",
            (across, up),
            xytext=(across * (1.08 if on_right else 1 / 1.08), place),
            ha="left" if on_right else "right",
            va="center",
            fontsize=7,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.4},
            arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.5},
        )
