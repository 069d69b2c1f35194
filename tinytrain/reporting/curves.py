"""Learning curves: loss, top-1 and learning rate over the epochs, of one run or of several in the same pictures."""

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tinytrain.reporting import svg
from tinytrain.reporting.runs import Subject
from tinytrain.reporting.svg import Chart

HEIGHT = 270  # pixels
TRAINING_SHOWN = 3  # runs at most whose training figures are drawn beside those of val
_TITLES = {"loss": "Loss", "top1": "Top-1 accuracy", "lr": "Learning rate"}


def charts(subjects: list[Subject]) -> list[Chart]:
    """Returns the three charts of all runs that have a history; none if none has."""
    begun = [subject for subject in subjects if subject.history]
    return [_chart(name, begun) for name in _TITLES] if begun else []


def _chart(name: str, subjects: list[Subject]) -> Chart:
    last = "; ".join(_last(subject, name, len(subjects) > 1) for subject in subjects[:8])
    alt = f"{_TITLES[name]} over the epochs. At the end: {last}"
    return svg.chart(f"curve-{name}", alt, [(svg.SMALL, HEIGHT)], _draw(name, subjects))


def _last(subject: Subject, name: str, named: bool) -> str:
    row, label = subject.history[-1], f"{subject.name} " if named else ""
    parts = [("train", name), ("val", f"val_{name}")] if name != "lr" else [("", name)]
    return label + " and ".join(f"{split} {row[key]:.3g}".strip() for split, key in parts if key in row)


def _draw(name: str, subjects: list[Subject]) -> Callable[[Figure, int], None]:
    def draw(figure: Figure, _: int) -> None:
        axes = svg.axes(figure)
        axes.set_title(_TITLES[name])
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        if name == "top1":
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        for number, subject in enumerate(subjects):
            _lines(axes, name, subject, number, len(subjects))
        if len(subjects) == 1 and name != "lr":
            _legend(figure, name, subjects[0])

    return draw


def _lines(axes: Axes, name: str, subject: Subject, number: int, count: int) -> None:
    """Draws the lines of a run; of many runs, those of the training would hide what matters."""
    color, alone = svg.SERIES[number % len(svg.SERIES)], count == 1
    _line(axes, subject, f"val_{name}" if name != "lr" else name, color=color)
    if name != "lr" and count <= TRAINING_SHOWN:
        _line(axes, subject, name, color=svg.SERIES[1] if alone else color, linestyle="--", linewidth=1.2)
    best = subject.metrics.get("best_epoch")
    if alone and name == "top1" and best:
        axes.axvline(best, color=svg.MUTED, linewidth=1, linestyle=":")


def _line(axes: Axes, subject: Subject, column: str, **style: object) -> None:
    points = [(row["epoch"], row[column]) for row in subject.history if column in row and "epoch" in row]
    marker = "o" if len(points) < 2 else None
    axes.plot([x for x, _ in points], [y for _, y in points], marker=marker, **style)  # type: ignore[arg-type]


def _legend(figure: Figure, name: str, subject: Subject) -> None:
    lines: list[tuple[str, str, Any]] = [("val", svg.SERIES[0], "-"), ("train", svg.SERIES[1], "--")]
    if name == "top1" and subject.metrics.get("best_epoch"):
        lines.append(("epoch that is kept", svg.MUTED, ":"))
    handles = [Line2D([], [], color=color, linestyle=style) for _, color, style in lines]
    labels = [label for label, _, _ in lines]
    figure.legend(handles, labels, loc="outside lower left", ncols=3, handlelength=1.6, borderpad=0)
