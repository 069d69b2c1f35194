"""The chart of what accuracy costs: a figure of networks against their multiply-accumulates, a curve for each arm."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """A network: its MACs, and the mean and the sample standard deviation (0 for one seed) of its figure over seeds."""

    macs: int
    value: float
    deviation: float


Curves = Mapping[str, list[Point]]


def curves(measured: Iterable[tuple[str, int, float]]) -> dict[str, list[Point]]:
    """Returns {label: its points by rising MACs}, where runs with the same MACs are those of several seeds.

    Args:
        measured: (label, MACs, figure) of each run.
    """
    values: dict[str, dict[int, list[float]]] = {}
    for label, macs, value in measured:
        values.setdefault(label, {}).setdefault(macs, []).append(value)
    return {
        label: [
            Point(macs, statistics.mean(each), statistics.stdev(each) if len(each) > 1 else 0.0)
            for macs, each in sorted(by_macs.items())
        ]
        for label, by_macs in values.items()
    }


def draw(panels: Mapping[str, tuple[str, Curves]], title: str) -> Figure:
    """Draws a panel for each dataset.

    Args:
        panels: {name of a dataset: (name and unit of the figure, its curves)}.
        title: of the whole figure.
    """
    panels = panels or {"nothing was measured yet": ("", {})}
    figure = Figure(figsize=(max(6.5 * len(panels), 7), 5), layout="constrained")
    figure.suptitle(title, fontsize=10)
    for axes, (name, (label, lines)) in zip(
        figure.subplots(1, len(panels), squeeze=False).flat, panels.items(), strict=True
    ):
        _panel(axes, lines)
        axes.set(xlabel="MACs / million", ylabel=label, title=name)
    return figure


def _panel(axes: Any, lines: Curves) -> None:
    for number, (label, points) in enumerate(lines.items()):
        axes.errorbar(
            [point.macs / 1e6 for point in points],
            [point.value for point in points],
            yerr=[point.deviation for point in points] if any(point.deviation for point in points) else None,
            fmt="osD^v<>"[number % 7] + "-",
            color=f"C{number % 10}",
            capsize=3,
            linewidth=1.4,
            label=label,
        )
    axes.grid(alpha=0.3)
    if lines:
        axes.legend(fontsize=8)
