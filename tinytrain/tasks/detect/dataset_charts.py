"""Charts of the boxes of a dataset: their sides at the input, where their centres are, how many each class has."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinytrain.data.box_input_check import LEARNABLE
from tinytrain.data.box_rows import BoxRows
from tinytrain.files import write_atomically

COLORS = ("#0072B2", "#D55E00")  # of widths and heights: Okabe and Ito
MUTED, LINE = "#666666", "#bbbbbb"
SHORTEST = 0.5  # pixels, at the left end of the histogram
BINS, CELLS = 40, 32  # of the histogram; of the map on each side
MOST_CLASSES = 50  # bars
BAR_INCHES = 0.16


def write(out: Path, rows: BoxRows, side: int, anchors: dict[int, np.ndarray] | None, classes: list[str]) -> None:
    """Writes a PNG of three charts.

    Args:
        out: the file.
        rows: the boxes in pixels of the input.
        side: of the input in pixels.
        anchors: {stride: (A, 2)}, marked in the histogram; None: there are none.
        classes: the names of the classes.
    """
    bars = min(len(classes), MOST_CLASSES)
    figure = Figure(figsize=(14, max(4.2, 1.2 + BAR_INCHES * bars)), dpi=100, layout="constrained")
    sides, centres, counts = figure.subplots(1, 3)
    _draw_sides(sides, rows, side, anchors or {})
    _draw_centres(centres, rows, side)
    _draw_counts(counts, rows, classes)
    write_atomically(out, lambda file: figure.savefig(file, format="png"))


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=10, loc="left", parse_math=False)
    axes.tick_params(labelsize=8)


def _draw_sides(axes: Axes, rows: BoxRows, side: int, anchors: dict[int, np.ndarray]) -> None:
    _title(axes, f"sides of {len(rows.label):,} training boxes at {side} px")
    lengths = np.maximum(rows.sizes, SHORTEST)
    edges = np.geomspace(lengths.min(initial=LEARNABLE / 2), side, BINS + 1).tolist()
    for axis, name in enumerate(("width", "height")):
        axes.hist(np.minimum(lengths[:, axis], side), edges, histtype="step", color=COLORS[axis], label=name, lw=1.5)
    axes.axvline(LEARNABLE, color=MUTED, lw=1, ls=":", label=f"{LEARNABLE} px: the least that is learnt")
    top = axes.get_ylim()[1]
    for number, (stride, sizes) in enumerate(sorted(anchors.items())):
        for axis in (0, 1):
            height = np.full(len(sizes), top * (1.06 + 0.1 * number + 0.045 * axis))
            axes.plot(sizes[:, axis], height, "v", color=COLORS[axis], ms=5, clip_on=False)
        axes.text(
            side, top * (1.08 + 0.1 * number), f" anchors of\n stride {stride}", fontsize=7, color=MUTED, va="center"
        )
    axes.set_ylim(0, top * (1.04 + 0.1 * len(anchors)))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda length, _: f"{length:g}")
    axes.set_xlabel("pixels of the input", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="center left")


def _draw_centres(axes: Axes, rows: BoxRows, side: int) -> None:
    _title(axes, "centres of the boxes in the input")
    x, y = np.clip(rows.centres, 0, side).T
    counts, _, _ = np.histogram2d(y, x, bins=CELLS, range=[[0, side], [0, side]])
    picture = axes.imshow(counts, extent=(0, side, side, 0), cmap="viridis", interpolation="nearest")
    bar = axes.figure.colorbar(picture, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=8)
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_counts(axes: Axes, rows: BoxRows, classes: list[str]) -> None:
    counts = np.bincount(rows.label, minlength=len(classes))
    order = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
    more = f", the {len(order)} largest of {len(classes)} classes" if len(order) < len(classes) else ""
    _title(axes, f"training boxes of each class{more}")
    bars = axes.barh(range(len(order)), counts[order], color=COLORS[0], height=0.8)
    axes.bar_label(bars, [f" {counts[label]:,}" for label in order], fontsize=7)
    axes.set_yticks(range(len(order)), [classes[label] for label in order], fontsize=7, parse_math=False)
    axes.set_ylim(len(order) - 0.4, -0.6)  # the largest class on top
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.spines[["top", "right"]].set_visible(False)
