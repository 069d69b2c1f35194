"""The curves of a detector: precision against recall, and F1 against the threshold, a line for each class."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tinytrain.reporting import svg
from tinytrain.reporting.facts import percent
from tinytrain.reporting.svg import Chart
from tinytrain.tasks.detect.report_rows import RECALLS, THRESHOLDS, ClassRow

HEIGHT = 360  # pixels
LINES = len(svg.SERIES)  # classes at most, each in a color of its own
Style = Literal["-", "--", ":"]
STYLES: tuple[Style, ...] = (
    "-",
    "--",
    ":",
)  # of the shipped model, of the one that it was made from, of the one before


def precision_recall(name: str, kinds: list[str], rows: list[ClassRow]) -> Chart:
    """Returns the curves of the classes with most boxes; arguments as `f1`."""
    chosen, shipped = _most_boxes(rows), kinds[-1]
    listed = ", ".join(f"{row.name} {percent(row.figures['ap50'][shipped])}" for row in chosen)
    alt = f"Precision against recall at IoU 0.5, {' and '.join(kinds)}. AP50 of the classes, {shipped}: {listed}"

    def lines(axes: Axes) -> None:
        axes.set_xlabel("recall")
        axes.set_xlim(0, 1.02)
        for row, color in zip(chosen, svg.SERIES, strict=False):
            for kind in kinds:
                reached = row.precision_at[kind] > 0
                _line(axes, RECALLS[reached], row.precision_at[kind][reached], color, _style(kind, kinds))

    title = _title("Precision against recall", chosen, rows)
    return svg.chart(f"precision-{name}", alt, [(svg.HALF, HEIGHT)], _draw(title, lines, kinds, chosen))


def f1(name: str, kinds: list[str], rows: list[ClassRow], threshold: float, what: str) -> Chart:
    """Returns F1 of the classes with most boxes, against the lowest score of a box that is shown.

    Args:
        name: of the chart, unique in the page.
        kinds: the kinds of models, the shipped one last: its lines are solid.
        rows: the classes.
        threshold: the score that the model is used with.
        what: what F1 is of, in words.
    """
    chosen, shipped = _most_boxes(rows), kinds[-1]
    listed = ", ".join(f"{row.name} {percent(row.figures['f1'][shipped])}" for row in chosen)
    alt = f"{what} against the threshold, {' and '.join(kinds)}. F1 at {threshold:.2f}, {shipped}: {listed}"

    def lines(axes: Axes) -> None:
        axes.set_xlabel("lowest score that is shown")
        axes.set_xlim(0, 1)
        axes.axvline(threshold, color=svg.MUTED, linewidth=1, linestyle=":")
        for row, color in zip(chosen, svg.SERIES, strict=False):
            for kind in kinds:
                _line(axes, THRESHOLDS, row.f1_at[kind], color, _style(kind, kinds))

    title = _title("F1 against the threshold", chosen, rows)
    return svg.chart(f"f1-{name}", alt, [(svg.HALF, HEIGHT)], _draw(title, lines, kinds, chosen))


def _most_boxes(rows: list[ClassRow]) -> list[ClassRow]:
    return sorted(rows, key=lambda row: -row.boxes)[:LINES]


def _title(what: str, chosen: list[ClassRow], rows: list[ClassRow]) -> str:
    few = f", the {len(chosen)} of {len(rows)} classes with most boxes" if len(chosen) < len(rows) else ""
    return f"{what}{few}"


def _style(kind: str, kinds: list[str]) -> Style:
    return STYLES[len(kinds) - 1 - kinds.index(kind)]


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, color: str, style: Style) -> None:
    axes.plot(x, y, color=color, linestyle=style, linewidth=1.8 if style == STYLES[0] else 1.2)


def _draw(
    title: str, lines: Callable[[Axes], None], kinds: list[str], chosen: list[ClassRow]
) -> Callable[[Figure, int], None]:
    def draw(figure: Figure, _: int) -> None:
        axes = svg.axes(figure, "both")
        axes.set_title(title)
        axes.set_ylim(0, 1.02)
        lines(axes)
        handles: list[Artist] = [Patch(color=color) for _, color in zip(chosen, svg.SERIES, strict=False)]
        labels = [svg.short(row.name) for row in chosen]
        if len(kinds) > 1:
            handles += [Line2D([], [], color=svg.MUTED, linestyle=_style(kind, kinds)) for kind in kinds]
            labels += kinds
        figure.legend(handles, labels, loc="outside lower left", ncols=4, handlelength=1.6, borderpad=0)

    return draw
